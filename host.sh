# runs inside the fake host: start containerd and the registry, then runs "$@"
export PATH=${CTD:+$CTD:}$PATH
mkdir -p /mnt/ctd /run/containerd /etc/containerd/certs.d/docker.io /run/reg
cat > /etc/containerd/config.toml <<E
version = 2
root = "/mnt/ctd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/run/containerd/containerd.sock"
E
cat > /run/reg/config.yml <<E
version: 0.1
storage: {filesystem: {rootdirectory: /imgt/storage}, maintenance: {readonly: {enabled: true}}}
http: {addr: "127.0.0.1:5000"}
log: {level: info}
E
echo '[host."http://127.0.0.1:5000"]' > /etc/containerd/certs.d/docker.io/hosts.toml
containerd > /mnt/containerd.log 2>&1 & CT=$!
docker-registry serve /run/reg/config.yml > /mnt/registry.log 2>&1 & RG=$!
for i in $(seq 100); do ctr version >/dev/null 2>&1 && curl -s http://127.0.0.1:5000/v2/ >/dev/null && break; sleep 0.1; done
set +e
"$@"
kill $RG $CT; wait
