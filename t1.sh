. /imgt/world.sh
P=/imgt/pull
ctr version | grep Version
world
for i in alpine:3.14 featured:1 layers:1; do QUIET=1 $P pull $i; done
$P local featured:1
$P unpack alpine:3.14
world
$P list
ctr images ls
ctr images check
ctr content ls
for i in alpine:3.14 featured:1 layers:1; do echo "run $i"; ctr run --rm docker.io/library/$i c1 /bin/sh -c 'cat /srv/plain /srv/work/zstd /data/five; ls /data/old; echo hi'; done
echo "--- wrong ones"
for i in nope:1 alpine:9 127.0.0.1:5000/library/alpine:3.14 127.0.0.1:1/x quay.io/x/y docker.io/library/alpine@sha256:0000000000000000000000000000000000000000000000000000000000000000; do echo "* $i"; QUIET=1 $P pull $i; done
D=$($P list | grep alpine:3.14 | head -1 | grep -o 'digest: "[^"]*' | cut -c10-)
$P pull alpine@$D
ctr content ls | grep -c 'distribution.source.127.0.0.1:5000=library/alpine'
echo "--- pull by ctr without unpack"
ctr images ls -q | xargs ctr images rm --sync >/dev/null
world
ctr images pull --help | grep -o -- '--hosts-dir' | head -1
ctr content fetch --hosts-dir /etc/containerd/certs.d docker.io/library/featured:1 >/dev/null 2>&1 || ctr content fetch --plain-http 127.0.0.1:5000/library/featured:1 > /dev/null
ctr images ls -q; world
R=$(ctr images ls -q)
$P local $R; $P unpack $R; $P unpack $R
ctr run --rm $R c2 /bin/cat /srv/plain
world
$P remove $R
$P remove $R
world
