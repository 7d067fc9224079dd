//! docker's habits as a table: each line as people type it, with netrun under docker's name, its exit
//! code, and what is seen.

use crate::host::FakeHost;

/// A line, its exit code, and what it must say: all of its stdout behind a `=`, else some words.
type Row = (&'static str, i32, &'static str);

fn host() -> FakeHost {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.announce("* /tmp/*");
    host.sh("mkdir /tmp/bin; ln -s $(command -v netrun) /tmp/bin/docker")
        .ok();
    let pull =
        "docker pull -q alpine:3.14 && docker pull -q nginx:1 && docker pull -q nginx:unchecked";
    line(&host, pull).ok();
    host
}

fn line(host: &FakeHost, line: &str) -> crate::host::Output {
    host.sh(&format!("cd /tmp; PATH=/tmp/bin:$PATH; {line}"))
}

#[track_caller]
fn check(host: &FakeHost, rows: &[Row]) {
    for (typed, code, said) in rows {
        let output = line(host, typed).code(*code);
        match said.strip_prefix('=') {
            Some(whole) => assert_eq!(output.text(), whole, "{output}"),
            None => {
                let text = format!("{}{}", output.stdout, output.stderr);
                assert!(text.contains(said), "{said:?} in {output}");
            }
        }
    }
}

/// What scripts rely on without thinking of it.
const HABITS: &[Row] = &[
    ("docker tag alpine:3.14 web2:latest", 0, "="),
    ("docker container inspect web2", 1, "no container \"web2\""),
    ("docker rmi web2", 0, "ntagged"),
    (
        "docker run --rm --name '' --network '' --hostname '' --platform '' --pid '' --ipc '' --uts '' \
         --cgroupns '' --stop-signal '' --mac-address '' --domainname '' --cpuset-cpus '' \
         --cgroup-parent '' --log-driver '' --ip '' --runtime '' --snapshotter '' --cidfile '' alpine:3.14 echo ok",
        0,
        "=ok",
    ),
    ("docker ps -a --format ''", 0, "CONTAINER ID"),
    ("docker run --rm alpine:3.14 echo $(printf '\\377')", 125, "UTF-8"),
    (
        "docker run -d --name u -m 64m --memory-swap 100m --expose 77 -p 18080:80 alpine:3.14 sleep 1000",
        0,
        "=u",
    ),
    (
        "docker inspect -f '{{.Config.Image}} {{json .Config.ExposedPorts}}' u",
        0,
        "=alpine:3.14 {\"77/tcp\":{},\"80/tcp\":{}}",
    ),
    (
        "docker update -m 80m u >/dev/null && docker inspect -f '{{.HostConfig.MemorySwap}}' u",
        0,
        "=104857600",
    ),
    ("docker update -m 256m u", 1, "--memory-swap"),
    ("docker exec -u nope u id", 126, "cannot be run in container"),
    ("docker exec -w /nope u id", 127, "working directory"),
    ("docker ps --format '{{.Ports}}'", 0, "=0.0.0.0:18080->80/tcp, 77/tcp"),
    (
        "docker exec u sh -c 'mkdir /d; ln -s /d/new /dangling; ln -s dangling /twice'; echo hi >hi
         docker cp hi u:/twice; docker exec u sh -c 'cat /d/new; readlink /dangling; readlink /twice'",
        0,
        "hi\n/d/new\ndangling",
    ),
    (
        "tar cz hi | docker cp - u:/d; docker exec u cat /d/hi",
        0,
        "=hi",
    ),
    ("printf 'BZh91AY&SY' | docker cp - u:/d", 1, "bzip2"),
    ("yes | head -1000 | docker cp - u:/d", 1, "is no tar"),
    ("docker rm -f u", 0, "=u"),
    (
        "docker run --rm -v /tmp/made/../mounted:/m alpine:3.14 true; ls -d /tmp/made /tmp/mounted",
        2,
        "=/tmp/mounted",
    ),
    (
        "docker run --rm -v /tmp/mounted:/etc/passwd alpine:3.14 true",
        125,
        "a file at a file",
    ),
    (
        "docker run --rm --sysctl net.ipv4.foo=1 alpine:3.14 true",
        125,
        "no such parameter",
    ),
    ("docker volume create v1", 0, "=v1"),
    ("docker volume prune -a </dev/null", 1, "nobody answered"),
    ("echo n | docker volume prune -a; docker volume ls -q", 0, "=v1"),
    ("yes | docker volume prune -a", 0, "=Deleted Volumes:\nv1"),
    (
        "tar c -C /tmp bin | docker import -c 'LABEL il=1 keep=img netrun.scope=x' - labelled:1 >/dev/null
         docker create -l keep=me --name li labelled:1 true >/dev/null
         docker inspect -f '{{json .Config.Labels}}' li; docker rm li",
        0,
        "={\"il\":\"1\",\"keep\":\"me\"}\nli",
    ),
];

#[test]
fn habits_of_scripts() {
    check(&host(), HABITS);
}

/// Streams, and who ends what.
const ATTACHED: &[Row] = &[
    (
        "docker run -d --name sa alpine:3.14 sh -c 'sleep 1; echo x; exit 4' >/dev/null; docker start -a sa",
        4,
        "=x",
    ),
    ("docker run -d -i --name di alpine:3.14 cat", 0, "=di"),
    (
        "echo hello | timeout 4 docker attach --sig-proxy=false di",
        124,
        "=hello",
    ),
    (
        "docker inspect -f '{{.State.Running}} {{.Config.StdinOnce}}' di",
        0,
        "=true false",
    ),
    ("docker run -d -i -t --name dit alpine:3.14 sh", 0, "=dit"),
    ("echo exit | docker attach dit", 1, "--no-stdin"),
    ("docker inspect -f '{{.State.Running}}' dit", 0, "=true"),
    ("docker rm -f sa di dit", 0, "=sa\ndi\ndit"),
    (
        "(timeout 20 docker run --rm alpine:3.14 sh -c 'while :; do echo e >&2; sleep .1; done' \
         2>&1 >/dev/null; echo $? >/tmp/status) | head -1; cat /tmp/status",
        0,
        "=e\n137",
    ),
];

#[test]
fn who_comes_by_ends_nothing() {
    check(&host(), ATTACHED);
}

/// An image is what it is, not what it is called.
const CALLED: &[Row] = &[
    (
        "docker tag alpine:3.14 a1:x; docker create --name u1 a1:x true; docker tag nginx:1 a1:x",
        0,
        "=u1",
    ),
    ("docker rmi alpine:3.14", 1, "used by u1"),
    ("docker rmi a1:x", 0, "ntagged"),
    (
        "docker tag alpine:3.14 a2:x; docker rmi alpine:3.14",
        0,
        "ntagged",
    ),
    ("docker image prune -af | grep -c a2:x", 1, "=0"),
    ("docker rm u1; docker rmi a2:x", 0, "eleted"),
    // A view of one layer is a bind mount on the same device.
    (
        "docker pull -q alpine:3.14; mkdir /mnt/seen; docker image mount alpine:3.14 /mnt/seen; netrun gc; \
         ls -d /mnt/seen/etc; docker image unmount /mnt/seen",
        0,
        "/mnt/seen/etc\n/mnt/seen",
    ),
];

#[test]
fn an_image_is_not_its_name() {
    check(&host(), CALLED);
}

/// What is wrong, and what is allowed instead.
const REFUSED: &[Row] = &[
    ("docker create --name c alpine:3.14 true", 0, "=c"),
    ("docker volume create data", 0, "=data"),
    ("docker run --cpu-shares 1 alpine:3.14", 125, "2 to 262144"),
    (
        "docker run --oom-score-adj 2000 alpine:3.14",
        125,
        "-1000 to 1000",
    ),
    ("docker run --dns x alpine:3.14", 125, "10.0.0.53"),
    ("docker run --ip x alpine:3.14", 125, "10.0.0.7"),
    ("docker run --pid foo alpine:3.14", 125, "such as private"),
    ("docker run --ipc foo alpine:3.14", 125, "such as private"),
    (
        "docker run --mount type=tmpfs,dst=/t,tmpfs-size=x alpine:3.14",
        125,
        "such as 64m",
    ),
    (
        "docker run --mount type=bind,src=/srv,dst=/t,ro=maybe alpine:3.14",
        125,
        "ro=false",
    ),
    (
        "docker run --mount type=bind,src=/nope,dst=/t alpine:3.14",
        125,
        "mkdir -p /nope",
    ),
    (
        "docker run --env-file /nope/env alpine:3.14",
        125,
        "ls /nope",
    ),
    (
        "docker run --log-driver none --log-opt max-size=1m alpine:3.14",
        125,
        "--log-driver none",
    ),
    ("docker ps -f name='('", 125, "hint: write"),
    ("docker volume ls -f name='('", 125, "hint: write"),
    ("docker ps -f is-task=true", 125, "not supported yet"),
    ("docker export -o /nope/x c", 1, "mkdir -p /nope"),
    (
        "docker commit -c 'ONBUILD RUN x' c",
        125,
        "not supported yet",
    ),
    ("docker create --name bad alpine:3.14 /nope", 0, "=bad"),
    ("docker start bad", 1, "/nope"),
    (
        "docker inspect -f '{{.State.Error}}' bad",
        0,
        "no such file or directory",
    ),
    // Fields that are there and have little to say.
    (
        "docker inspect -f '{{.HostConfig.PublishAllPorts}} {{json .HostConfig.Mounts}} {{html .Name}}' c",
        0,
        "=false null c",
    ),
    (
        "docker image inspect -f '{{.Metadata.LastTagTime}}' alpine:3.14",
        0,
        "=0001-01-01T00:00:00Z",
    ),
    (
        "docker volume ls --format '{{.Name}} {{.Links}} {{.Size}} {{.Availability}}'",
        0,
        "=data N/A N/A N/A",
    ),
    ("docker rm c bad", 0, "=c\nbad"),
    ("docker volume rm data", 0, "=data"),
];

#[test]
fn refusals_say_what_is_allowed() {
    let host = host();
    check(&host, REFUSED);
    host.finish();
}

const LISTS: &[Row] = &[
    ("docker volume create data", 0, "=data"),
    (
        "docker network create --label job=42 --subnet 10.77.0.0/24 lan",
        0,
        "=lan",
    ),
    (
        "docker run -d --name old -l job=42 -v data:/d alpine:3.14 sleep 1000",
        0,
        "=old",
    ),
    (
        "docker run -d --name new -P --network lan nginx:1",
        0,
        "=new",
    ),
    ("docker create --name idle alpine:3.14 true", 0, "=idle"),
    ("docker run --name gone alpine:3.14 sh -c 'exit 3'", 3, ""),
    // ps
    ("docker ps -q", 0, "=new\nold"),
    ("docker ps -aq", 0, "=gone\nidle\nnew\nold"),
    ("docker ps -lq", 0, "=gone"),
    ("docker ps -qn 2", 0, "=gone\nidle"),
    ("docker ps --last=3 -q --filter name=n", 0, "=gone\nnew"),
    ("docker container ls -aqf status=created", 0, "=idle"),
    ("docker ps -qf status=exited -f status=dead", 0, "=gone"),
    ("docker ps -aqf exited=3", 0, "=gone"),
    ("docker ps -qf label=job", 0, "=old"),
    ("docker ps -qf label=job=43", 0, "="),
    ("docker ps -qf volume=data", 0, "=old"),
    ("docker ps -qf volume=/d", 0, "=old"),
    ("docker ps -qf network=lan", 0, "=new"),
    ("docker ps -qf network=bridge", 0, "=old"),
    ("docker ps -qf publish=80", 0, "=new"),
    ("docker ps -qf publish=81-90/tcp", 0, "="),
    ("docker ps -aqf before=idle", 0, "=new\nold"),
    ("docker ps -aqf since=new", 0, "=gone\nidle"),
    ("docker ps -qf since=none", 1, "\"none\""),
    ("docker ps -qf health=none", 0, "=old"),
    ("docker ps -qf health=well", 125, "healthy"),
    ("docker ps -qf ancestor=nginx:1", 0, "=new"),
    (
        "docker ps -qf ancestor=$(docker images -q nginx:1) -f name=new",
        0,
        "=new",
    ),
    ("docker ps -qf ancestor=0123456789ab", 0, "="),
    ("docker ps -qf id=ol", 0, "=old"),
    (
        "docker ps -s --format '{{.Size}}' -f name=old",
        0,
        "(virtual ",
    ),
    ("docker ps -as --no-trunc", 0, "SIZE"),
    // Scripts count the columns of docker's tables.
    (
        "docker ps | head -1 | tr -s ' '",
        0,
        "=CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES",
    ),
    (
        "docker ps -f name=old | awk 'NR > 1 { print $1, $NF }'",
        0,
        "=old old",
    ),
    (
        "docker network ls | awk '$2 == \"lan\" { print $1, $3, $4 }'",
        0,
        "=lan bridge local",
    ),
    (
        "docker stats --no-stream | head -1 | tr -s ' '",
        0,
        "=CONTAINER ID NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS",
    ),
    ("netrun ps | head -1 | cut -c1-5", 0, "=NAMES"),
    // networks and volumes
    ("docker network ls -qf name=^la", 0, "=lan"),
    ("docker network ls -qf name=an$ -f name=none", 0, "=lan"),
    ("docker network ls -qf type=builtin", 0, "=netrun"),
    (
        "docker network ls -q --filter label=job=42 --filter scope=local",
        0,
        "=lan",
    ),
    (
        "docker network ls --no-trunc --format '{{.Name}} {{.Driver}}' -f id=lan",
        0,
        "=lan bridge",
    ),
    ("docker network ls -f dangling", 125, "not a filter"),
    ("docker volume ls -qf dangling=false", 0, "=data"),
    ("docker volume ls -q", 0, "=data"),
    ("docker images -q alpine | wc -l", 0, "=1"),
    (
        "docker image ls --format '{{.Repository}}:{{.Tag}}' nginx",
        0,
        "=nginx:1\nnginx:unchecked",
    ),
    // what is left
    ("docker rm -vf old new idle gone", 0, "gone"),
    (
        "docker network rm lan && docker volume rm data",
        0,
        "=lan\ndata",
    ),
];

#[test]
fn lists_and_their_filters() {
    let host = host();
    check(&host, LISTS);
    host.finish();
}

const INSPECTED: &[Row] = &[
    ("docker network create --subnet 10.77.0.0/24 lan", 0, "=lan"),
    ("docker volume create data", 0, "=data"),
    (
        "docker run -d --name web --network lan -p 8080:80 -p 127.0.0.1::81 -e A=b -v data:/d nginx:1",
        0,
        "=web",
    ),
    (
        "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web | grep -c ^10.77.0.",
        0,
        "=1",
    ),
    (
        "docker inspect -f '{{.State.Running}} {{.State.Status}}' web",
        0,
        "=true running",
    ),
    (
        "docker inspect --format='{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}' web",
        0,
        "=8080",
    ),
    (
        "docker inspect -f '{{json .HostConfig.PortBindings}}' web",
        0,
        "={\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}],\"81/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}",
    ),
    (
        "docker inspect -f '{{.HostConfig.IpcMode}}/{{.HostConfig.PidMode}}/{{.HostConfig.UTSMode}}' web",
        0,
        "=private//",
    ),
    (
        "docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web | grep ^A=",
        0,
        "=A=b",
    ),
    (
        "docker inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}' web",
        0,
        "=volume data /d",
    ),
    (
        "docker inspect -f '{{range $p, $_ := .Config.ExposedPorts}}{{$p}} {{end}}' web",
        0,
        "=80/tcp 81/tcp",
    ),
    (
        "docker inspect -s -f '{{gt .SizeRootFs .SizeRw}}' web",
        0,
        "=true",
    ),
    (
        "docker inspect -f '{{index .Config.Healthcheck.Test 0}} {{.Config.Healthcheck.Interval}}' web",
        0,
        "=CMD-SHELL 300000000",
    ),
    (
        "docker inspect --type container -f '{{.Id}}' web",
        0,
        "=web",
    ),
    ("docker inspect --type image web", 1, "no image \"web\""),
    (
        "docker inspect --type image -f '{{.Os}} {{.Config.Healthcheck.Retries}}' nginx:1",
        0,
        "=linux 2",
    ),
    (
        "docker inspect -f '{{.Name}} {{(index .IPAM.Config 0).Subnet}}' lan",
        0,
        "=lan 10.77.0.0/24",
    ),
    (
        "docker run --rm alpine:3.14 true; docker inspect --type network bridge -f '{{.Name}}'",
        0,
        "netrun",
    ),
    (
        "docker inspect data -f '{{.Name}} {{.Driver}}'",
        0,
        "=data local",
    ),
    ("docker inspect --type volume web", 1, "no volume \"web\""),
    ("docker inspect web none lan -f '{{.Name}}'", 1, "\"none\""),
    (
        "docker inspect web none lan -f '{{.Name}}' 2>/dev/null",
        1,
        "=web\nlan",
    ),
    (
        "docker container inspect web -f '{{len .Config.Cmd}}'",
        0,
        "=6",
    ),
    (
        "docker volume inspect data -f '{{.Mountpoint}}'",
        0,
        "=/var/lib/netrun/volumes/default/data/_data",
    ),
    (
        "docker network inspect lan -f '{{len .Containers}}'",
        0,
        "=1",
    ),
    (
        "docker version --format '{{.Server.APIVersion}}/{{.Client.APIVersion}}'",
        0,
        "=1.52/1.52",
    ),
    (
        "docker info -f '{{.Swarm.LocalNodeState}} {{.CgroupDriver}} {{gt .NCPU 0}} {{gt .MemTotal 0}} {{.LoggingDriver}}'",
        0,
        "=inactive cgroupfs true true local",
    ),
    (
        "docker system info --format '{{.Name}}' | grep -cx $(hostname)",
        0,
        "=1",
    ),
    ("docker port web 80/tcp", 0, "=0.0.0.0:8080"),
    ("docker port web 82", 1, "82/tcp"),
    // What was asked for, word for word.
    (
        "docker create --name asked --cap-add net_admin --cap-drop CHOWN --security-opt seccomp:unconfined \
         --security-opt systempaths=unconfined --device /dev/full:/dev/brim:r --device-cgroup-rule 'c 188:*  rwm' \
         --ulimit nofile=100:200 --ulimit core=-1 --cgroup-parent /jobs --volumes-from web:ro --cidfile /tmp/cid \
         --entrypoint /bin/echo alpine:3.14 one two",
        0,
        "=asked",
    ),
    (
        "docker inspect -f '{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}' asked",
        0,
        "=[CAP_NET_ADMIN] [CAP_CHOWN] [seccomp=unconfined systempaths=unconfined] false",
    ),
    (
        "docker inspect -f '{{json .HostConfig.Devices}}{{.HostConfig.DeviceCgroupRules}}{{.HostConfig.VolumesFrom}}' asked",
        0,
        "=[{\"PathOnHost\":\"/dev/full\",\"PathInContainer\":\"/dev/brim\",\"CgroupPermissions\":\"r\"}][c 188:* rwm][web:ro]",
    ),
    (
        "docker inspect -f '{{json .HostConfig.Ulimits}}{{.HostConfig.CgroupParent}}{{.HostConfig.ContainerIDFile}}' asked",
        0,
        "=[{\"Name\":\"nofile\",\"Soft\":100,\"Hard\":200},{\"Name\":\"core\",\"Soft\":-1,\"Hard\":-1}]/jobs/tmp/cid",
    ),
    (
        "docker inspect -f '{{.Config.Entrypoint}}{{.Config.Cmd}}{{.Path}}{{.Args}}' asked",
        0,
        "=[/bin/echo][one two]/bin/echo[one two]",
    ),
    (
        "docker inspect -f '{{json .HostConfig.CapAdd}}{{json .Config.Entrypoint}}{{json .HostConfig.Devices}}' web",
        0,
        "=nullnull[]",
    ),
    ("docker rm asked", 0, "=asked"),
    (
        "docker rm -fv web; docker network rm lan; docker volume rm data",
        0,
        "",
    ),
];

#[test]
fn inspected_with_dockers_templates() {
    let host = host();
    check(&host, INSPECTED);
    host.finish();
}

const OPTIONS: &[Row] = &[
    (
        "docker network create --ipv6 --subnet 10.78.0.0/24 --subnet fd78::/64 six",
        0,
        "=six",
    ),
    (
        "docker run --rm --network six --ip 10.78.0.9 --ip6 fd78::9 alpine:3.14 hostname -i",
        0,
        "",
    ),
    (
        "docker run -d --name db --net six --net-alias first --network-alias second alpine:3.14 sleep 1000",
        0,
        "=db",
    ),
    (
        "docker run --rm --network six --ip6 fd78::9 alpine:3.14 ip -6 addr | grep -o fd78::9/64",
        0,
        "=fd78::9/64",
    ),
    (
        "docker run --rm --network six alpine:3.14 sh -c 'grep -c first.second /etc/hosts'",
        0,
        "=2",
    ),
    (
        "docker run --rm --dns-opt ndots:3 --dns 192.0.2.1 alpine:3.14 cat /etc/resolv.conf",
        0,
        "options ndots:3",
    ),
    (
        "docker run -d --rm --name p --publish-all nginx:1 && docker port p 80 | grep -c ^0.0.0.0:",
        0,
        "=p\n1",
    ),
    (
        "echo in | docker run --interactive --rm alpine:3.14 cat",
        0,
        "=in",
    ),
    (
        "docker run --detach --tty --detach-keys ctrl-x --name t alpine:3.14 sh -c 'tty; sleep 1000'",
        0,
        "=t",
    ),
    ("docker inspect -f '{{.Config.Tty}}' t", 0, "=true"),
    (
        "docker run --detach-keys nonsense alpine:3.14 true",
        125,
        "nonsense",
    ),
    // What the kernel killed for lack of memory is known as such.
    (
        "docker run --name oom -m 16m --memory-swap 16m alpine:3.14 tail /dev/zero",
        137,
        "",
    ),
    (
        "docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom; docker rm oom",
        0,
        "=true 137\noom",
    ),
    (
        "docker run --name well -m 16m alpine:3.14 true; docker inspect -f '{{.State.OOMKilled}}' well; docker rm well",
        0,
        "=false\nwell",
    ),
    // After the image everything is the command's.
    (
        "docker run --rm alpine:3.14 echo -d --name x -v y",
        0,
        "=-d --name x -v y",
    ),
    (
        "docker run --rm --entrypoint echo alpine:3.14 -it --net none",
        0,
        "=-it --net none",
    ),
    (
        "docker create --name c --entrypoint /bin/echo alpine:3.14 --rm -e A=b",
        0,
        "=c",
    ),
    ("docker start -a c", 0, "=--rm -e A=b"),
    // The status of a process is no code of a failure.
    (
        "docker run -d --name s alpine:3.14 sh -c 'sleep 2; exit 5'",
        0,
        "=s",
    ),
    ("docker exec s sh -c 'exit 125'", 125, ""),
    ("docker attach s", 5, ""),
    ("docker start -a s", 5, ""),
    ("docker attach s", 1, "not running"),
    ("docker rm s", 0, "=s"),
    (
        "docker run --rm --attach stderr alpine:3.14 sh -c 'echo out; echo err >&2' 2>/dev/null",
        0,
        "=",
    ),
    (
        "docker run --rm --runtime runc --quiet --workdir /srv alpine:3.14 pwd",
        0,
        "=/srv",
    ),
    (
        "docker run --rm --sig-proxy=false alpine:3.14 echo on",
        0,
        "=on",
    ),
    // docker refuses what no host of this size gives, and takes zero for no limit.
    (
        "docker run --rm --cpus 10000 alpine:3.14 true",
        125,
        "more than this host has",
    ),
    (
        "docker run --rm --cpus 0 -m 0 --memory-reservation 0 --health-cmd '' --timeout 0 alpine:3.14 echo on",
        0,
        "=on",
    ),
    (
        "docker run --rm --timeout -1s alpine:3.14 true",
        125,
        "\"-1s\" is no duration",
    ),
    ("docker run --frob alpine:3.14", 125, "--frob"),
    ("docker rm -f db p t c", 0, "db"),
    ("docker network rm six", 0, "=six"),
];

#[test]
fn options_of_run_that_are_dockers_other_names() {
    let host = host();
    check(&host, OPTIONS);
    host.finish();
}

const HEALTH: &[Row] = &[
    (
        "docker run -d --name says --wait --wait-timeout 30s nginx:1",
        0,
        "=says",
    ),
    (
        "docker run -d --name not --no-healthcheck nginx:1",
        0,
        "=not",
    ),
    ("docker run -d --name none nginx:unchecked", 0, "=none"),
    (
        "docker run -d --name own --health-cmd 'test -e /up' --health-interval 200ms --health-retries 1 nginx:unchecked",
        0,
        "=own",
    ),
    (
        "docker run -d --name soon --wait --wait-timeout 30s --health-interval 1h --health-start-period 1h --health-start-interval 100ms nginx:1",
        0,
        "=soon",
    ),
    (
        "docker run --no-healthcheck --health-cmd true nginx:1",
        125,
        "contradict",
    ),
    (
        "docker inspect -f '{{.State.Health.Status}}' says soon",
        0,
        "=healthy\nhealthy",
    ),
    (
        "docker inspect -f '{{if .Config.Healthcheck}}{{.State.Health.Status}}{{else}}nobody asks{{end}}' not none",
        0,
        "=nobody asks\nnobody asks",
    ),
    ("docker ps -qf health=none", 0, "=none\nnot"),
    (
        "until [ \"$(docker ps -qf health=unhealthy)\" = own ]; do sleep 0.1; done",
        0,
        "=",
    ),
    (
        "docker exec own touch /up; docker wait --condition healthy own",
        0,
        "",
    ),
    // The image's own retries: 2 failures in a row.
    (
        "docker exec says rm /usr/share/nginx/html/index.html",
        0,
        "=",
    ),
    (
        "until [ \"$(docker ps -qf health=unhealthy)\" = says ]; do sleep 0.1; done",
        0,
        "=",
    ),
    (
        "docker inspect -f '{{range .State.Health.Log}}{{.ExitCode}}{{end}}' says | grep -o '11$'",
        0,
        "=11",
    ),
    ("docker rm -f says not none own soon", 0, ""),
];

#[test]
fn what_the_image_says_of_its_health() {
    let host = host();
    check(&host, HEALTH);
    host.finish();
}

const SEVERAL: &[Row] = &[
    (
        "docker run -d --name a alpine:3.14 sleep 1000; docker run -d --name b alpine:3.14 sleep 1000",
        0,
        "=a\nb",
    ),
    ("docker pause a none b 2>/dev/null", 1, "=a\nb"),
    ("docker exec a true", 1, "is paused"),
    ("docker unpause a none b 2>/dev/null", 1, "=a\nb"),
    ("docker exec none true", 1, "\"none\""),
    ("docker exec a none", 127, "none"),
    ("netrun exec none true", 125, "\"none\""),
    ("docker update -c 512 --cpus 0 a", 0, "=a"),
    (
        "docker exec a sh -c 'touch /made; rm /etc/motd' && docker diff a",
        0,
        "=C /etc\nD /etc/motd\nA /made",
    ),
    ("docker diff b", 0, "="),
    ("docker restart -t 0 a none b 2>/dev/null", 1, "=a\nb"),
    (
        "docker update --memory 64m a none b 2>/dev/null",
        1,
        "=a\nb",
    ),
    ("docker kill -s KILL a none b 2>/dev/null", 1, "=a\nb"),
    ("docker wait a none b", 1, "\"none\""),
    ("docker wait a none b 2>/dev/null", 1, "=137\n137"),
    ("docker wait a b", 0, "=137\n137"),
    (
        "docker create --name new alpine:3.14 true; docker wait new; docker rm new",
        0,
        "=new\n0\nnew",
    ),
    ("netrun wait a", 137, "=137"),
    ("docker start a none b 2>/dev/null", 1, "=a\nb"),
    ("docker stop -t 0 a none b 2>/dev/null", 1, "=a\nb"),
    ("docker rm a none b 2>/dev/null", 1, "=a\nb"),
    ("docker rm -f a none", 0, ""),
    (
        "docker volume create v1; docker volume create v2",
        0,
        "=v1\nv2",
    ),
    ("docker volume rm v1 none v2 2>/dev/null", 1, "=v1\nv2"),
    ("docker volume rm -f none", 0, ""),
    (
        "docker network create n1; docker network create n2",
        0,
        "=n1\nn2",
    ),
    ("docker network rm n1 none n2 2>/dev/null", 1, "=n1\nn2"),
    (
        "docker image inspect -f '{{.Os}}' alpine:3.14 none nginx:1 2>/dev/null",
        1,
        "=linux\nlinux",
    ),
    (
        "docker rmi none nginx:unchecked",
        1,
        "Untagged: nginx:unchecked",
    ),
    ("docker ps --frob", 125, "--frob"),
    ("docker volume create --opt type=nfs v3", 125, "--opt"),
    ("docker frob", 125, "frob"),
];

#[test]
fn one_that_fails_keeps_none_of_the_others() {
    let host = host();
    check(&host, SEVERAL);
    host.finish();
}

const PRUNES: &[Row] = &[
    (
        "docker network create --label job=1 n1; docker network create n2; docker network create used",
        0,
        "",
    ),
    (
        "docker run -d --name runs -l job=1 --network used alpine:3.14 sleep 1000",
        0,
        "=runs",
    ),
    (
        "docker run --name one -l job=1 -v /anonymous alpine:3.14 true; docker run --name two alpine:3.14 true",
        0,
        "",
    ),
    (
        "docker volume create --label job=1 v1; docker volume create v2",
        0,
        "",
    ),
    ("docker container prune", 1, "-f"),
    (
        "docker container prune -f --filter label!=job",
        0,
        "=Deleted Containers:\ntwo",
    ),
    ("docker network prune -f --filter label!=job", 0, "=n2"),
    (
        "docker volume prune -f --filter all=true --filter label!=job",
        0,
        "=Deleted Volumes:\nv2",
    ),
    ("docker system prune -f --filter until=1h", 0, "="),
    (
        "docker system prune -f --filter label=job",
        0,
        "=Deleted Containers:\none\nDeleted Networks:\nn1",
    ),
    ("docker volume ls -q | wc -l", 0, "=2"),
    ("docker system prune -f --volumes | grep -c .", 0, "=2"),
    ("docker volume ls -q", 0, "=v1"),
    ("docker image prune -f", 0, "Total reclaimed space"),
    (
        "docker system prune -af | grep untagged | sort",
        0,
        "=untagged: docker.io/library/nginx:1\nuntagged: docker.io/library/nginx:unchecked",
    ),
    ("docker volume rm v1", 0, "=v1"),
    (
        "docker rm -f runs; docker network rm used",
        0,
        "=runs\nused",
    ),
];

#[test]
fn what_nobody_uses_goes() {
    let host = host();
    check(&host, PRUNES);
    host.finish();
}

const POLICIES: &[Row] = &[
    // One that waits to be started again; it counts as running.
    (
        "docker run -d --name loop --restart always alpine:3.14 false",
        0,
        "=loop",
    ),
    (
        "until docker ps -q --filter status=restarting | grep -q loop; do sleep 0.05; done; docker update --restart no loop",
        0,
        "=loop",
    ),
    // It may have been on its way up, to end once more.
    (
        "docker wait loop; docker ps -a --format '{{.State}}'",
        0,
        "=1\nexited",
    ),
    // As with docker, a kill ends the waiting, too.
    (
        "docker update --restart always loop && docker start loop && \
         until docker ps -q --filter status=restarting | grep -q loop; do sleep 0.05; done; sleep 0.3",
        0,
        "loop",
    ),
    (
        "docker kill loop; docker ps -a --format '{{.State}}'",
        0,
        "=loop\nexited",
    ),
    (
        "docker start loop && sleep 0.4 && docker kill loop && docker ps -a --format '{{.State}}'",
        0,
        "=loop\nloop\nexited",
    ),
    ("docker wait loop; docker kill loop", 1, "not running"),
    ("sleep 2; docker ps -aq --filter status=exited", 0, "=loop"),
    // One that does not run, and one that does.
    ("docker update --restart on-failure:3 loop", 0, "=loop"),
    (
        "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' loop",
        0,
        "=on-failure:3",
    ),
    (
        "docker start loop; docker wait --condition exited loop >/dev/null; docker rm -f loop",
        0,
        "loop",
    ),
    (
        "docker run -d --name runs alpine:3.14 sh -c 'sleep 1; exit 4'",
        0,
        "=runs",
    ),
    ("docker update --restart on-failure:1 runs", 0, "=runs"),
    (
        "until [ \"$(docker inspect -f '{{.RestartCount}}{{.State.Status}}' runs)\" = 1exited ]; do sleep 0.1; done",
        0,
        "=",
    ),
    ("docker rm runs", 0, "=runs"),
    (
        "docker run -d --rm --name brief alpine:3.14 sleep 1000",
        0,
        "=brief",
    ),
    ("docker update --restart always brief", 1, "--rm"),
    ("docker update --restart sometimes brief", 125, "on-failure"),
    ("docker update brief", 1, "nothing to change"),
    ("docker rm -f brief", 0, "=brief"),
];

#[test]
fn a_policy_can_be_changed_at_any_time() {
    let host = host();
    check(&host, POLICIES);
    host.finish();
}

const FILES: &[Row] = &[
    ("docker create --name c alpine:3.14 true", 0, "=c"),
    (
        "mkdir small && mount -t tmpfs -o size=100k tmpfs small && for f in a b c; do echo kept >small/$f; done",
        0,
        "",
    ),
    ("docker save -o small/a alpine:3.14", 1, "No space left"),
    ("docker export -o small/b c", 1, "No space left"),
    ("docker cp c:/bin/busybox small/c", 1, "No space left"),
    (
        "cat small/a small/b small/c; ls -A small | wc -l",
        0,
        "=kept\nkept\nkept\n3",
    ),
    (
        "docker cp c:/etc/group small/c; head -1 small/c; umount small",
        0,
        "=root:x:0:root",
    ),
    // A device is no file to be replaced, nor to be removed.
    ("mknod full c 1 7; mknod null c 1 3", 0, ""),
    ("docker save -o full alpine:3.14", 1, "No space left"),
    (
        "docker save -o null alpine:3.14 && docker export -o null c",
        0,
        "",
    ),
    ("docker cp c:/etc/group null", 1, "ordinary file"),
    (
        "stat -c %F full null",
        0,
        "=character special file\ncharacter special file",
    ),
    // What is mounted on a file stays mounted, and has the new content.
    (
        "docker run -d --name r alpine:3.14 sleep 1000; echo 192.0.2.1 x >hosts; docker cp hosts r:/etc/hosts",
        0,
        "=r",
    ),
    (
        "docker exec r sh -c 'cat /etc/hosts; ls -A /etc | grep -c netrun'",
        1,
        "=192.0.2.1 x\n0",
    ),
    ("docker rm -f r", 0, "=r"),
    ("docker rm c", 0, "=c"),
];

#[test]
fn files_that_cannot_be_written_whole_leave_what_was_there() {
    let host = host();
    check(&host, FILES);
    host.finish();
}

const FULL_DISK: &[Row] = &[
    (
        "mkdir -p /var/lib/netrun && mount -t tmpfs -o size=300k tmpfs /var/lib/netrun",
        0,
        "",
    ),
    (
        "docker run -d --name ok -v v:/d alpine:3.14 sleep 1000",
        0,
        "=ok",
    ),
    (
        "head -c 1m /dev/zero >/var/lib/netrun/fill",
        1,
        "No space left",
    ),
    ("docker volume create other", 1, "No space left"),
    (
        "docker run -d --name no alpine:3.14 true",
        125,
        "No space left",
    ),
    ("docker cp /mnt/bin/netrun ok:/d/", 1, "No space left"),
    (
        "docker ps -aq; docker volume ls -q; docker exec ok ls -A /d",
        0,
        "=ok\nv",
    ),
    ("rm /var/lib/netrun/fill", 0, ""),
    // What does not fit into the log is lost, the container is not.
    (
        "docker run -d --name logs alpine:3.14 sh -c 'seq 100000; echo over >/done; sleep 1000'",
        0,
        "=logs",
    ),
    (
        "until docker exec logs test -e /done; do sleep 0.1; done; docker logs logs | head -1",
        0,
        "=1",
    ),
    ("docker rm -f ok logs; docker volume rm v", 0, "v"),
    ("umount /var/lib/netrun", 0, ""),
];

#[test]
fn a_full_disk_takes_nothing_with_it() {
    let host = host();
    check(&host, FULL_DISK);
    host.finish();
}

/// Every option of `run` is in some test: what nobody has seen working does not count as there.
#[test]
fn every_option_of_run_has_its_row() {
    let host = FakeHost::bare();
    let help = host.netrun(&["run", "--help"]).ok().stdout;
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests = String::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            tests += &std::fs::read_to_string(path).unwrap();
        }
    }
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
    let words = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    let options = words.map(|word| word.trim_end_matches(|c: char| !c.is_ascii_lowercase()));
    for option in options.filter(|option| option.len() > 2 && *option != "--help") {
        let option = option.split(['=', '[']).next().unwrap_or(option);
        let seen = tests.match_indices(option);
        let seen = seen
            .filter(|(at, _)| ends(&tests[at + option.len()..]))
            .count();
        assert!(seen > 0, "no test has {option}");
    }
}
