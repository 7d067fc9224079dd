#!/bin/bash
# A job with a container and two services, in the docker commands that GitHub's runner gives for such a job: "Initialize
# containers", the steps, "Stop containers". Written for docker; it knows of nothing else.
# usage: github.sh ID           runs the job
#        github.sh ID stop      what the runner still does when the job was cancelled, or, where the runner itself was
#                               killed, what the next job's "Initialize containers" begins with: it goes by the label
set -euo pipefail

id=$1
label=$(printf %s "$id" | md5sum | cut -c1-6)
network=github_network_$(printf %s "$id" | md5sum | cut -c1-32)
work=/tmp/github-$id
redis='' nginx='' job=''

group() { echo "##[group]$*"; }
fail() { echo "##[error]$*"; exit 1; }

# "Clean up resources from previous jobs".
clean_up() {
    local left
    left=$(docker ps --all --quiet --no-trunc --filter "label=$label")
    # shellcheck disable=SC2086
    [[ -z $left ]] || docker rm --force $left
    docker network prune --force --filter "label=$label"
}

check_version() {
    local server client
    server=$(docker version --format '{{.Server.APIVersion}}')
    client=$(docker version --format '{{.Client.APIVersion}}')
    for version in "$server" "$client"; do
        [[ $version =~ ^([0-9]+)\.([0-9]+)$ && $((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2])) -ge 1035 ]] ||
            fail "the API is too old: '$version'"
    done
}

# is_running CONTAINER: as the runner asks after a start.
is_running() {
    local said
    said=$(docker ps --all --filter "id=$1" --filter status=running --no-trunc --format '{{.ID}} {{.Status}}')
    [[ $said == "$1 Up "* ]] || { docker logs --details "$1"; fail "$1 does not run: '$said'"; }
}

# wait_until_healthy CONTAINER: with a growing pause, as long as it says "starting"; without a health check at once.
wait_until_healthy() {
    local said pause=1
    while said=$(docker inspect --format='{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}' "$1"); do
        case $said in
            '') return ;;
            starting) sleep "0.$pause"; pause=$((pause < 5 ? pause * 2 : 9)) ;;
            healthy) echo "$1 is healthy"; return ;;
            *) docker logs --details "$1"; fail "$1 is $said" ;;
        esac
    done
}

# host_port CONTAINER PORT: what "${{ job.services.NAME.ports[PORT] }}" becomes.
host_port() { docker port "$1" | sed -nE "s,^$2/tcp -> 0\.0\.0\.0:([0-9]+)\$,\1,p"; }

initialize_containers() {
    group Checking docker version
    check_version
    group Clean up resources from previous jobs
    clean_up
    group Create local container network
    docker network create --label "$label" "$network"
    group Starting redis service container
    docker pull redis:7
    redis=$(docker create --name "${label}_redis7_$$" --label "$label" --network "$network" --network-alias redis -p 6379 \
        --health-cmd "redis-cli ping" --health-interval 300ms --health-timeout 2s --health-retries 5 \
        -e "REDIS_ARGS=--save 60 1" -e GITHUB_ACTIONS=true -e CI=true redis:7)
    docker start "$redis"
    is_running "$redis"
    group Starting nginx service container
    docker pull nginx:1
    nginx=$(docker create --name "${label}_nginx1_$$" --label "$label" --network "$network" --network-alias nginx -p 8080:80 \
        -e GITHUB_ACTIONS=true -e CI=true -v "$work/site":"/usr/share/nginx/html":ro nginx:1)
    docker start "$nginx"
    is_running "$nginx"
    group Starting job container
    docker --config "$work/_temp/.docker" pull alpine:3.14
    job=$(docker create --name "${label}_alpine314_$$" --label "$label" --workdir /__w/project/project --network "$network" \
        --cpus 1 --ulimit nofile=1024:1024 -e "HOME=/github/home" -e GITHUB_ACTIONS=true -e CI=true \
        -v "$work/docker.sock":"/var/run/docker.sock" -v "$work/_work":"/__w" -v "$work/externals":"/__e":ro \
        -v "$work/_temp":"/__w/_temp" -v "$work/_temp/_github_home":"/github/home" --entrypoint "tail" alpine:3.14 "-f" "/dev/null")
    docker start "$job"
    is_running "$job"
    docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$job" | grep -x HOME=/github/home
    docker exec "$job" sh -c "cat /etc/*release | grep ^ID"
    group Waiting for all services to be ready
    wait_until_healthy "$redis"
    wait_until_healthy "$nginx"
    REDIS_PORT=$(host_port "$redis" 6379)
    [[ $(docker port "$nginx" 80/tcp | head -1) == 0.0.0.0:8080 ]] || fail "nginx is not at 8080"
}

# step NAME: its stdin is the "run:" of the step.
step() {
    group "Run $1"
    cat >"$work/_temp/$1.sh"
    docker exec -i --workdir /__w/project/project -e GITHUB_STEP="$1" -e GITHUB_OUTPUT -e CI "$job" sh -e "/__w/_temp/$1.sh"
}

steps() {
    export GITHUB_OUTPUT=/__w/_temp/output
    step checkout <<<'echo "int main;" >main.c; pwd; id -u'
    step test <<<'test "$(redis-cli -h redis ping 2>/dev/null || echo ping | nc -w 2 redis 6379)" = +PONG
        wget -q -O - http://nginx/ | grep "site of the job"
        echo "result=42" >>"$GITHUB_OUTPUT"; test "$GITHUB_STEP$CI" = testtrue; ! touch /__e/x 2>/dev/null'
    [[ $(cat "$work/_temp/output") == result=42 ]] || fail "no output of the step"
    # A step that fails fails with its own status.
    local status=0
    step failing <<<'exit 7' || status=$?
    [[ $status == 7 ]] || fail "the step's status is $status"
    host_step
    action
}

# A "run:" of a job without a container: people's own docker lines, on the host.
host_step() {
    group Run on the host
    [[ $(printf 'PING\n' | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$REDIS_PORT; cat >&3; head -1 <&3") == +PONG* ]] ||
        fail "no redis at $REDIS_PORT"
    docker volume create --label "$label" "cache-$id" >/dev/null
    docker run --rm -v "cache-$id:/cache" alpine:3.14 sh -c 'mkdir -p /cache/deps && echo cached >/cache/deps/one'
    [[ $(docker run --rm -v "cache-$id:/cache:ro" alpine:3.14 cat /cache/deps/one) == cached ]] || fail "no cache"
    docker cp "$job:/__w/project/project/main.c" "$work/out.c"
    docker cp "$work/out.c" "$redis:/tmp/out.c"
    [[ $(docker exec "$redis" cat /tmp/out.c) == "int main;" ]] || fail "nothing was copied"
    docker run -d --name "worker-$id" --label "$label" alpine:3.14 sh -c 'echo working; echo warn >&2; exit 3' >/dev/null
    [[ $(docker wait "worker-$id") == 3 ]] || fail "no status"
    [[ $(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "worker-$id") == "exited 3" ]] || fail "no state"
    [[ $(docker logs "worker-$id" 2>/dev/null) == working ]] || fail "no log"
    docker ps -a --filter "label=$label" --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}'
    docker rm -v "worker-$id"
    docker volume rm "cache-$id"
    docker image prune --force
    docker system prune --force --filter "label=$label" --filter until=24h
}

# uses: docker://alpine:3.14
action() {
    group Run docker://alpine:3.14
    INPUT_WHO=world docker run --name "${label}_action_$$" --label "$label" --workdir /github/workspace --rm -e "INPUT_WHO" -e GITHUB_ACTIONS=true \
        -e CI=true --network "$network" -v "$work/docker.sock":"/var/run/docker.sock" -v "$work/_work/project/project":"/github/workspace" \
        --entrypoint /bin/sh alpine:3.14 -c 'echo "hello $INPUT_WHO"; ls'
}

stop_containers() {
    group Print service container logs
    docker logs --details "$redis"
    docker logs --details "$nginx"
    group Stop and remove containers
    docker rm --force "$redis"
    docker rm --force "$nginx"
    docker rm --force "$job"
    group Remove container network
    docker network rm "$network"
}

if [[ ${2:-} == stop ]]; then
    clean_up
    docker volume rm --force "cache-$id"
    rm -rf "$work"
    exit
fi
mkdir -p "$work"/{site,_work/project/project,externals,_temp/_github_home,_temp/.docker}
echo '{}' >"$work/_temp/.docker/config.json"
echo 'the site of the job' >"$work/site/index.html"
initialize_containers
steps
stop_containers
rm -rf "$work"
echo "Job completed: success"
