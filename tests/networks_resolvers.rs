//! Names as the C libraries find them: in images of musl and of glibc, both linked dynamically, with
//! nothing in them but their library and `tests/programs/resolve.c`.

use std::time::Duration;

use crate::host::FakeHost;

/// How long the readers may go on.
const PATIENCE: Duration = Duration::from_secs(600);

const PROGRAM: &str = include_str!("programs/resolve.c");

/// Makes the images `musl:1` and `glibc:1`.
const IMAGES: &str = r#"
set -e
cd /mnt
mkdir -p musl/bin musl/lib glibc/bin glibc/etc
musl-gcc -O1 -o musl/bin/resolve resolve.c
cp -L /lib/ld-musl-*.so.1 musl/lib/
cc -O1 -o glibc/bin/resolve resolve.c
for library in $(ldd glibc/bin/resolve | grep -o '/[^ ]*'); do
    mkdir -p "glibc$(dirname "$library")"
    cp -L "$library" "glibc$library"
done
echo 'hosts: files dns' >glibc/etc/nsswitch.conf
for image in musl glibc; do
    tar -C $image -c . | netrun import -c 'CMD ["/bin/resolve"]' - $image:1
done
"#;

const IMAGES_MADE: [&str; 2] = ["musl:1", "glibc:1"];

fn host() -> FakeHost {
    let host = FakeHost::new();
    host.write("/mnt/resolve.c", PROGRAM);
    host.sh(IMAGES).ok();
    host.announce_images();
    host
}

fn up(host: &FakeHost, name: &str, net: &str, image: &str) {
    // What no file says is asked of a server that is not there.
    let run = ["run", "-d", "--dns", "127.0.0.1", "--name", name];
    host.netrun(&[&run[..], &["--net", net, image]].concat())
        .ok();
}

fn resolve(host: &FakeHost, from: &str, names: &[&str]) -> Vec<String> {
    let asked = [&["exec", from, "/bin/resolve"][..], names].concat();
    let found = host.netrun(&asked).ok();
    found.lines().into_iter().map(str::to_owned).collect()
}

/// A line for each name, with these addresses behind it.
fn lines(names: &[&str], addresses: &str) -> Vec<String> {
    let line = |name: &&str| format!("{name} {addresses}");
    let lines = names.iter().map(line);
    lines.map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn musl_and_glibc_find_who_is_there_and_nobody_else() {
    let host = host();
    let subnets = ["--subnet", "10.5.0.0/24", "--subnet", "fd05::/64", "lan"];
    host.netrun(&[&["network", "create"], &subnets[..]].concat())
        .ok();
    host.netrun(&["network", "create", "--subnet", "10.6.0.0/24", "far"])
        .ok();
    up(&host, "m", "lan:alias=mm", "musl:1");
    up(&host, "g", "lan:alias=gg,alias=gg.example.org", "glibc:1");
    up(&host, "stranger", "far", "musl:1");
    let (m, g) = (["m", "mm", "m.lan"], ["g", "gg", "gg.example.org", "g.lan"]);
    let (of_m, of_g) = ("10.5.0.2 fd05::2", "10.5.0.3 fd05::3");
    // Before the first instruction: the program is the container's first.
    for image in IMAGES_MADE {
        let names = [&m[..], &g, &["stranger", "m.far"]].concat();
        let run = ["run", "--rm", "--dns", "127.0.0.1", "--net", "lan", image];
        let first = host
            .netrun(&[&run[..], &["/bin/resolve"], &names].concat())
            .ok();
        let expected = [lines(&m, of_m), lines(&g, of_g)].concat();
        let expected = [expected, lines(&["stranger", "m.far"], "")].concat();
        assert_eq!(first.lines(), expected, "{image}");
    }
    // In both directions, and themselves.
    for from in ["m", "g"] {
        let found = [resolve(&host, from, &m), resolve(&host, from, &g)].concat();
        assert_eq!(found, [lines(&m, of_m), lines(&g, of_g)].concat(), "{from}");
        assert_eq!(
            resolve(&host, from, &["stranger"]),
            ["stranger"],
            "from {from}"
        );
    }
    assert_eq!(resolve(&host, "stranger", &["m"]), ["m"]);
    come_and_go(&host, of_m);
    host.netrun(&["rm", "-f", "m", "g", "stranger"]).ok();
    host.netrun(&["network", "rm", "lan", "far"]).ok();
    host.assert_clean();
}

/// The stranger, which runs musl, comes to the network of the others, and leaves it.
fn come_and_go(host: &FakeHost, of_m: &str) {
    let names = ["stranger", "st", "stranger.lan"];
    let connect = ["network", "connect", "--ip", "10.5.0.77", "--ip6"];
    let connect = [
        &connect[..],
        &["fd05::77", "--alias", "st", "lan", "stranger"],
    ]
    .concat();
    host.netrun(&connect).ok();
    for from in ["m", "g"] {
        let found = resolve(host, from, &names);
        assert_eq!(found, lines(&names, "10.5.0.77 fd05::77"), "{from}");
        // On the network that it is attached to alone.
        assert_eq!(resolve(host, from, &["stranger.far"]), ["stranger.far"]);
    }
    assert_eq!(resolve(host, "stranger", &["m"]), lines(&["m"], of_m));
    host.netrun(&["network", "disconnect", "lan", "stranger"])
        .ok();
    for from in ["m", "g"] {
        assert_eq!(resolve(host, from, &names), names, "{from}");
    }
    assert_eq!(resolve(host, "stranger", &["m", "g"]), ["m", "g"]);
    up(host, "late", "lan", "glibc:1");
    for from in ["m", "g"] {
        assert_eq!(resolve(host, from, &["late"])[0].split(' ').count(), 3);
    }
    host.netrun(&["rm", "-f", "late"]).ok();
    for from in ["m", "g"] {
        assert_eq!(resolve(host, from, &["late"]), ["late"]);
    }
}

#[test]
fn a_network_of_ipv6_alone_has_names_too() {
    let host = host();
    host.netrun(&["network", "create", "--subnet", "fd06::/64", "six"])
        .ok();
    up(&host, "m", "six", "musl:1");
    up(&host, "g", "six", "glibc:1");
    for from in ["m", "g"] {
        let found = resolve(&host, from, &["m", "g.six"]);
        assert_eq!(found, ["m fd06::2", "g.six fd06::3"], "{from}");
    }
    host.netrun(&["rm", "-f", "m", "g"]).ok();
    host.netrun(&["network", "rm", "six"]).ok();
    host.assert_clean();
}

/// While containers come and go, who stays is found by every single question.
#[test]
fn who_stays_is_found_whatever_changes_around_it() {
    let host = host();
    host.netrun(&["network", "create", "--ipv6", "lan"]).ok();
    host.netrun(&["network", "create", "far"]).ok();
    up(&host, "rock", "lan:alias=stone", "musl:1");
    // Names enough that the file is read in several pieces.
    let long = |n: usize| format!("alias={}{n}", "a".repeat(60));
    let aliases: Vec<String> = (0..12).map(long).collect();
    for (name, image) in [("c1", "musl:1"), ("c2", "glibc:1")] {
        up(&host, name, "far", image);
        up(
            &host,
            &format!("{name}-long"),
            &format!("lan:{}", aliases.join(",")),
            image,
        );
    }
    let readers: Vec<_> = IMAGES_MADE
        .iter()
        .map(|image| {
            let run = ["run", "--rm", "--dns", "127.0.0.1", "--net", "lan", image];
            let ask = ["/bin/resolve", "-u", "end", "rock", "stone", "rock.lan"];
            let reader = host.netrun_cmd(&[&run[..], &ask].concat());
            reader.patience(PATIENCE).spawn()
        })
        .collect();
    // Two come and go each time, in the files of the three that stay and of the two readers.
    for _ in 0..crate::long::times(100) {
        let line = "for c in c1 c2; do netrun network connect lan $c & done; wait
            for c in c1 c2; do netrun network disconnect lan $c & done; wait";
        host.sh(line).ok();
    }
    up(&host, "end", "lan", "musl:1");
    for reader in readers {
        let said = reader.wait().ok();
        assert!(said.text().ends_with(" asked, 0 missed"), "{said}");
    }
    host.sh("netrun rm -f $(netrun ps -aq)").ok();
    host.netrun(&["network", "rm", "lan", "far"]).ok();
    host.assert_clean();
}
