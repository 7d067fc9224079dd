#!/bin/bash
# A job as GitLab's runner builds it (a network, services that are waited for, a helper that fetches into the volumes of the
# build, the build, the cache) with the docker lines that people have in .gitlab-ci.yml. Written for docker; it knows of
# nothing else. It needs a registry at 127.0.0.1:5000.
# usage: gitlab.sh ID           runs the job
#        gitlab.sh ID stop      what the runner removes when the job was cancelled: what has the job's label
set -euo pipefail

id=$1
# The runner's own names are longer; here they have at most 63 letters.
prefix=runner-t1_x9-project-42-$id
label=com.gitlab.gitlab-runner.job.id=$id
network=$prefix-net
registry=127.0.0.1:5000
work=/tmp/gitlab-$id
common=(--label "$label" --label com.gitlab.gitlab-runner.managed=true --network "$network")
services=()

section() { echo "section_start:$1"; }
fail() { echo "ERROR: Job failed: $*"; exit 1; }

clean_up() {
    local left
    left=$(docker ps -aqf "label=$label")
    # shellcheck disable=SC2086
    [[ -z $left ]] || docker rm -vf $left
    left=$(docker network ls -qf "label=$label")
    # shellcheck disable=SC2086
    [[ -z $left ]] || docker network rm $left
    left=$(docker volume ls -q --filter "label=$label")
    # shellcheck disable=SC2086
    [[ -z $left ]] || docker volume rm -f $left
}

# service ALIAS IMAGE [OPTION...]
service() {
    local name="$prefix-$1-0" alias=$1 image=$2
    shift 2
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image"
    docker run -d --name "$name" "${common[@]}" --network-alias "$alias" -e CI=true -e "CI_JOB_ID=$id" "$@" "$image"
    services+=("$name")
}

# wait_for_service CONTAINER: a helper on its network tries each exposed port, as the runner's does.
wait_for_service() {
    local ports address
    ports=$(docker inspect -f '{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}' "$1" | tr ' ' '\n' | sed -n 's,/tcp$,,p')
    address=$(docker inspect -f "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}" "$1")
    docker run --rm --name "$1-wait-for-service" "${common[@]}" -e "PORTS=$ports" -e "ADDRESS=$address" alpine:3.14 sh -c '
        for port in $PORTS; do
            tries=0
            until nc -w 1 "$ADDRESS" "$port" </dev/null; do
                tries=$((tries + 1)); [ $tries -lt 50 ] || exit 1; sleep 0.2
            done
        done' || { docker logs --timestamps --tail 20 "$1"; fail "service $1 probably did not start properly"; }
}

prepare() {
    section prepare_executor
    docker info --format '{{.ServerVersion}} {{.OSType}} {{.Architecture}}'
    docker info >/dev/null
    docker network create --driver bridge --label "$label" "$network"
    docker pull --quiet alpine:3.14
    service redis redis:7 --health-cmd 'redis-cli ping' --health-interval 300ms
    service web nginx:1 --memory 64m --restart on-failure:2
    local name
    for name in "${services[@]}"; do wait_for_service "$name"; done
    until [[ $(docker inspect -f '{{.State.Health.Status}}' "$prefix-redis-0") == healthy ]]; do sleep 0.1; done
}

get_sources() {
    section get_sources
    docker volume create --label "$label" "$prefix-cache-3c3f060a0374fc8bc39395164f415a70" >/dev/null
    # The container that has the volumes; the helper and the build take them from it.
    docker create --name "$prefix-build" "${common[@]}" -i --hostname "${prefix:0:40}" -w /builds/group/project \
        -v "$prefix-cache-3c3f060a0374fc8bc39395164f415a70:/cache" -v /builds \
        -e CI=true -e CI_PROJECT_DIR=/builds/group/project alpine:3.14 sh -e
    docker run --rm -i --volumes-from "$prefix-build" "${common[@]}" -w /builds alpine:3.14 sh -e <<'END'
mkdir -p /builds/group/project && cd /builds/group/project
printf 'all:\n\techo built\n' >Makefile
END
}

build() {
    section step_script
    local status=0
    docker start -a -i "$prefix-build" <<'END' | tee "$work/trace"
pwd; ls
test "$(echo ping | nc -w 2 redis 6379)" = +PONG
wget -q -O - http://web/
mkdir -p /cache/deps && echo dep >/cache/deps/one
echo artifact >artifact.txt
END
    grep -x Makefile "$work/trace"
    grep 'Welcome to nginx!' "$work/trace"
    [[ $(docker inspect --type container -f '{{.State.ExitCode}}' "$prefix-build") == 0 ]] || fail "the build"
    docker cp "$prefix-build:/builds/group/project/artifact.txt" "$work/artifact.txt"
    docker cp "$prefix-build:/builds/group/project" - | tar -t | grep -x project/Makefile
    # A script that fails ends the container with its status, and the one who is attached as well.
    docker run --rm -i "${common[@]}" alpine:3.14 sh -e <<<'false; echo not reached' || status=$?
    [[ $status == 1 ]] || fail "status $status"
}

# What people write below "script:" in a job with docker-in-docker.
publish() {
    section publish
    echo secret | docker login -u gitlab-ci-token --password-stdin "$registry"
    docker pull "$registry/group/project:latest" || true
    local made=$prefix-made
    docker run --name "$made" "${common[@]}" alpine:3.14 sh -c 'echo app >/app'
    docker commit --change 'CMD ["cat", "/app"]' "$made" "$registry/group/project:$id"
    docker rm "$made"
    docker tag "$registry/group/project:$id" "$registry/group/project:latest"
    docker push "$registry/group/project:$id"
    docker push --quiet "$registry/group/project:latest"
    docker save "$registry/group/project:$id" | gzip >"$work/image.tgz"
    docker rmi "$registry/group/project:$id" "$registry/group/project:latest"
    [[ -z $(docker images -q "$registry/group/project") ]] || fail "the image is still there"
    docker load <"$work/image.tgz"
    docker save "$registry/group/project:$id" | docker load -q
    [[ $(docker run --rm "$registry/group/project:$id") == app ]] || fail "another image"
    docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -x "$registry/group/project:$id"
    docker rmi -f "$registry/group/project:$id"
    docker logout "$registry"
}

finish() {
    section after_script
    docker run -d --name "$prefix-slow" "${common[@]}" alpine:3.14 sh -c 'trap "exit 5" TERM; echo up; while :; do sleep 0.1; done'
    until docker logs "$prefix-slow" | grep -q up; do sleep 0.1; done
    docker stop -t 5 "$prefix-slow"
    [[ $(docker wait "$prefix-slow") == 5 ]] || fail "it was not asked to end"
    docker start "$prefix-slow"
    docker kill -s KILL "$prefix-slow"
    [[ $(docker inspect --format '{{json .State.ExitCode}}' "$prefix-slow") == 137 ]] || fail "it was not killed"
    section cleanup_file_variables
    docker ps -a --no-trunc --filter "label=$label" --format '{{json .Names}}' | wc -l
    docker stop -t 1 "${services[@]}"
    docker rm -v -f "${services[@]}" "$prefix-build" "$prefix-slow"
    docker volume rm "$prefix-cache-3c3f060a0374fc8bc39395164f415a70"
    docker network rm "$network"
}

if [[ ${2:-} == stop ]]; then
    clean_up
    docker rmi -f "$registry/group/project:$id" "$registry/group/project:latest" 2>/dev/null || true
    docker logout "$registry" || true
    rm -rf "$work"
    exit
fi
mkdir -p "$work"
prepare
get_sources
build
publish
finish
rm -rf "$work"
echo "Job succeeded"
