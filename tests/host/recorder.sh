#!/bin/sh
# A CNI plugin that writes down how it is called, and then does what its configuration says:
# "say": {VERB: {"stdout": TEXT, "stderr": TEXT, "exit": STATUS, "times": N}}; after N calls of that
# verb it does the usual again, which is to succeed.
records=/mnt/records
mkdir -p "$records"
name=${0##*/}
input=$(cat)
number=$(ls "$records" | wc -l)
printf '%s' "$input" | jq --arg plugin "$name" --arg netns "$(readlink /proc/self/ns/net)" --args \
    '{verb: $ENV.CNI_COMMAND, plugin: $plugin, words: $ARGS.positional, directory: $ENV.PWD, netns: $netns,
      env: ($ENV | del(.PWD, .OLDPWD, .SHLVL, ._)), stdin: .}' "$@" >"$records/$(printf %04d "$number")"

say() { printf '%s' "$input" | jq -r --arg verb "$CNI_COMMAND" ".say[\$verb].$1 // empty"; }
if printf '%s' "$input" | jq -e --arg verb "$CNI_COMMAND" '.say[$verb]' >/dev/null; then
    times=$(say times)
    calls=$(jq -r "select(.plugin == \"$name\" and .verb == \"$CNI_COMMAND\") | .verb" "$records"/* | wc -l)
    if [ "${times:-1000}" -ge "$calls" ]; then
        say stderr >&2
        say stdout
        exit "$(say exit | grep . || echo 0)"
    fi
fi

case $CNI_COMMAND in
VERSION)
    echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]}' ;;
ADD)
    # The first one makes the interface, each further one adds a route, both an unknown key.
    printf '%s' "$input" | jq --arg name "$name" '
        (if .cniVersion == "" then "0.1.0" else .cniVersion end) as $version
        | .prevResult as $prev
        | if $version == "0.1.0" or $version == "0.2.0" then
              $prev // {cniVersion: $version, ip4: {ip: "10.1.0.2/16", routes: [{dst: "0.0.0.0/0", gw: "10.1.0.1"}]}}
          else
              ($prev // {
                  cniVersion: $version,
                  interfaces: [{name: "br0", mac: "02:00:00:00:00:01"},
                               {name: $ENV.CNI_IFNAME, mac: "02:00:00:00:00:02", sandbox: $ENV.CNI_NETNS}],
                  ips: [{address: "10.1.0.2/16", gateway: "10.1.0.1", interface: 1}
                        + if $version < "1" then {version: "4"} else {} end],
                  dns: {nameservers: ["192.0.2.1"]}
              }) | .routes += [{dst: "10.\(.routes | length).0.0/16"}]
          end
        | .["by-" + $name] = true' ;;
esac
