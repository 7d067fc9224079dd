//! Images that mean harm: layers that would leave their snapshot or fill the disk, configurations and
//! names that are none. Each is a clear error or a harmless image, and nothing stays.

use std::time::Duration;

use crate::host::scripted::Reply;
use crate::host::{ALPINE, FakeHost, Output};

/// Python that makes archives: `e` an entry of a tar, `tar` a tar of entries, `image` an archive for
/// `load`, of layers that are bytes.
const MAKE: &str = r"
import hashlib, io, json, os, subprocess, tarfile as T
SHELL = open('/bin/busybox', 'rb').read()
def e(path, type=T.REGTYPE, link='', data=b'evil\n', **more):
    info = T.TarInfo(path)
    info.type, info.linkname, info.mode = type, link, 0o755
    for key, value in more.items():
        setattr(info, key, value)
    if type == T.REGTYPE:
        info.size = len(data)
    return info, data
def tar(*entries):
    whole = io.BytesIO()
    with T.open(fileobj=whole, mode='w', format=T.PAX_FORMAT) as out:
        for info, data in entries:
            out.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return whole.getvalue()
def root(*entries):
    return tar(e('bin', T.DIRTYPE), e('bin/sh', data=SHELL), e('tmp', T.DIRTYPE), *entries)
def digest(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()
ARCH = {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(os.uname().machine, os.uname().machine)
def image(name, *layers, config={}, whole=None, tags=['hostile:1'], ids=None):
    if whole is None:
        whole = {'architecture': ARCH, 'os': 'linux', 'config': config,
            'rootfs': {'type': 'layers', 'diff_ids': ids or [digest(layer) for layer in layers]}}
    if not isinstance(whole, bytes):
        whole = json.dumps(whole).encode()
    names = ['%d.tar' % number for number in range(len(layers))]
    listed = [{'Config': 'c.json', 'RepoTags': tags, 'Layers': names}]
    with open('/mnt/' + name + '.tar', 'wb') as out:
        out.write(tar(e('c.json', data=whole), e('manifest.json', data=json.dumps(listed).encode()),
            *[e(name, data=layer) for name, layer in zip(names, layers)]))
";

pub fn make(host: &FakeHost, script: &str) {
    host.write("/mnt/make.py", &format!("{MAKE}{script}"));
    host.cmd("python3").args(&["/mnt/make.py"]).run().ok();
}

pub fn load(host: &FakeHost, name: &str) -> Output {
    host.netrun(&["load", "-q", "-i", &format!("/mnt/{name}.tar")])
}

/// Nothing is left of what was refused, or of `hostile:1` once it is removed and swept.
#[track_caller]
pub fn nothing_stays(host: &FakeHost, name: &str) {
    let _ = host.netrun(&["rmi", "-f", "hostile:1"]);
    host.netrun(&["gc"]).ok();
    let left = host.settle(Duration::from_secs(10));
    assert!(left.is_empty(), "{name}: {left:#?}");
}

/// What becomes of a layer.
enum Layer {
    /// It is unpacked, and this command in a container says that.
    Harmless(&'static str, &'static str),
    /// It is refused with this word.
    Refused(&'static str),
}

use Layer::{Harmless, Refused};

/// Layers by name, and their entries in Python.
const LAYERS: &[(&str, &str, Layer)] = &[
    (
        "parent",
        "e('../../../../tmp/escaped')",
        Harmless("cat /tmp/escaped", "evil"),
    ),
    (
        "absolute",
        "e('/tmp/escaped')",
        Harmless("cat /tmp/escaped", "evil"),
    ),
    (
        "link",
        "e('out', T.SYMTYPE, '/tmp'), e('out/escaped')",
        Harmless("cat /tmp/escaped", "evil"),
    ),
    (
        "relative",
        "e('out', T.SYMTYPE, '../../../../../../tmp'), e('out/escaped')",
        Harmless("cat /tmp/escaped", "evil"),
    ),
    (
        "root",
        "e('.', T.SYMTYPE, '/tmp'), e('escaped')",
        Harmless("cat /escaped", "evil"),
    ),
    (
        "hard",
        "e('escaped', T.LNKTYPE, '/tmp/victim')",
        Refused("no such file"),
    ),
    (
        "hard-up",
        "e('escaped', T.LNKTYPE, '../../../../../tmp/victim')",
        Refused("no such file"),
    ),
    (
        "hard-link",
        "e('out', T.SYMTYPE, '/tmp'), e('escaped', T.LNKTYPE, 'out/victim')",
        Refused("no such file"),
    ),
    ("whiteout-up", "e('.wh...')", Refused("invalid whiteout")),
    ("whiteout-self", "e('.wh..')", Refused("invalid whiteout")),
    (
        "whiteout-link",
        "e('out', T.SYMTYPE, '/tmp'), e('out/.wh.victim')",
        Harmless("echo ran", "ran"),
    ),
    ("long", "e('x' * 300)", Refused("too long")),
    ("deep", "e('a/' * 1500 + 'x')", Harmless("echo ran", "ran")),
    // They are made as they are, and the container's cgroup keeps it off them.
    (
        "disk",
        "e('disk', T.BLKTYPE, devmajor=8, devminor=0)",
        Harmless(
            "test -b /disk && head -c 1 /disk 2>&1",
            "head: /disk: Operation not permitted",
        ),
    ),
    (
        "memory",
        "e('memory', T.CHRTYPE, devmajor=1, devminor=1)",
        Harmless(
            "test -c /memory && head -c 1 /memory 2>&1",
            "head: /memory: Operation not permitted",
        ),
    ),
    (
        "null",
        "e('null', T.CHRTYPE, devmajor=1, devminor=3), e('pipe', T.FIFOTYPE)",
        Harmless("echo x >/null && test -p /pipe && echo ran", "ran"),
    ),
];

#[test]
fn layers_stay_within_their_snapshot() {
    let host = FakeHost::with_registry();
    host.sh("echo mine >/tmp/victim").ok();
    host.announce("file /tmp/victim");
    let script: String = LAYERS
        .iter()
        .map(|(name, entries, _)| format!("image('{name}', root({entries}))\n"))
        .collect();
    make(&host, &script);
    for (name, _, expected) in LAYERS {
        let loaded = load(&host, name);
        match expected {
            Refused(word) => drop(loaded.fails(1, &[word])),
            Harmless(command, says) => {
                loaded.ok();
                let run = ["run", "--rm", "hostile:1", "/bin/sh", "-c", command];
                assert_eq!(host.netrun(&run).text(), *says, "{name}");
            }
        }
        assert_eq!(host.read("/tmp/victim"), "mine\n", "{name}");
        nothing_stays(&host, name);
    }
}

/// Prints what is in each snapshot's directory, a line for each file: all that a layer can say of it.
const DUMP: &str = r"
import hashlib, os, stat
BASE = '/mnt/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots'
def about(root, path, seen):
    s = os.lstat(path)
    xattrs = [(k, os.getxattr(path, k, follow_symlinks=False)) for k in sorted(os.listxattr(path, follow_symlinks=False))]
    what = ''
    if stat.S_ISREG(s.st_mode):
        what = hashlib.sha256(open(path, 'rb').read()).hexdigest(), s.st_size, s.st_blocks
    elif stat.S_ISLNK(s.st_mode):
        what = os.readlink(path)
    same = seen.setdefault(s.st_ino, path[len(root):]) if not stat.S_ISDIR(s.st_mode) else ''
    # When a file was hidden, or a directory made up, is of no interest.
    whiteout = stat.S_ISCHR(s.st_mode) and s.st_rdev == 0
    old = s.st_mtime_ns if s.st_mtime < 1700000000 and not whiteout else 'now'
    return repr((path[len(root):], oct(s.st_mode), s.st_uid, s.st_gid, old, s.st_rdev, same, what, xattrs))
def dump(root):
    seen, lines = {}, [about(root, root, {})]
    for at, directories, files in sorted(os.walk(root)):
        lines += [about(root, os.path.join(at, name), seen) for name in sorted(directories + files)]
    return '\n'.join(lines)
roots = [os.path.join(BASE, name, 'fs') for name in os.listdir(BASE)]
print('\n\n'.join(sorted(dump(root) for root in roots if os.path.isdir(root))))
";

/// Layers that are sound, one on top of the other; what each has that the way of unpacking might lose.
const SOUND: &str = r"
dir = lambda path, **more: e(path, T.DIRTYPE, **more)
old = {'mtime': 1234567890.5}
image('sound', root(dir('etc', uid=5, gid=6, **old), dir('deep'), dir('deep/er'), e('etc/passwd', data=b'root:x:0:0::/:/bin/sh'), e('link', T.SYMTYPE, 'etc')),
    tar(dir('opt', **old), e('opt/suid', uid=7, gid=8, **old), e('opt/again', T.LNKTYPE, 'opt/suid'), e('opt/here', T.SYMTYPE, '../etc')),
    # No directory is named: they are as they are below, or made up.
    tar(e('deep/er/file', **old), e('etc/hosts'), e('new/er/file')),
    tar(dir('deep', **old), e('deep/.wh.er'), e('.wh.link')),
    tar(dir('etc', **old), e('etc/.wh..wh..opq'), e('etc/only')),
    tar(e('link/through'), e('opt/here/through')),
    tar(dir('x', **old), e('x/a', pax_headers={'SCHILY.xattr.user.note': 'kept'}), e('x/null', T.CHRTYPE, devmajor=1, devminor=3), e('x/pipe', T.FIFOTYPE),
        e('x/é中', data=b''), e('x/old', mtime=0), e('x/later', mtime=4000000000)),
    tar(dir('later', mtime=4000000000), e('later/file')),
    tar(dir('.', mode=0o700, uid=9), e('last')),
    tar())
";

#[test]
fn layers_unpacked_beside_each_other_are_as_containerd_makes_them() {
    let host = FakeHost::with_registry();
    make(&host, SOUND);
    host.write("/mnt/dump.py", DUMP);
    let dump = || {
        // What was of no use is still on the disk until then.
        host.netrun(&["gc"]).ok();
        let dump = host.cmd("python3").args(&["/mnt/dump.py"]);
        dump.run().ok().stdout
    };
    let line = ["load", "--progress", "json", "-i", "/mnt/sound.tar"];
    let said = host.netrun(&line).ok().stderr;
    let first = said.find("\"unpacked\"").unwrap();
    let begun = said[..first].matches("\"unpacking\"").count();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(begun > 1 || cores == 1, "several at once: {said}");
    let ours = dump();
    nothing_stays(&host, "ours");
    host.ctr(&["image", "import", "/mnt/sound.tar"]).ok();
    let theirs = dump();
    host.ctr(&["image", "rm", "--sync", "docker.io/library/hostile:1"])
        .ok();
    assert_eq!(ours.matches("\n\n").count(), 9);
    assert_eq!(ours, theirs);
    nothing_stays(&host, "theirs");
}

/// More than an overlay's options have room for in a page.
#[test]
fn an_image_of_very_many_layers_is_like_others() {
    let host = FakeHost::with_registry();
    make(
        &host,
        "image('many', root(), *[tar(e('d%d' % n, T.DIRTYPE), e('d%d/f' % n)) for n in range(90)],
            config={'Volumes': {'/d5': {}}})",
    );
    load(&host, "many").ok();
    let line = ["run", "--name", "c", "hostile:1", "/bin/sh", "-c"];
    let counted = host
        .netrun(&[&line[..], &["echo /d*/f | wc -w"]].concat())
        .ok();
    assert_eq!(counted.text(), "90");
    host.netrun(&["cp", "c:/d89/f", "/mnt/copied"]).ok();
    assert_eq!(host.read("/mnt/copied"), "evil\n");
    host.netrun(&["commit", "c", "more:1"]).ok();
    host.netrun(&["rm", "-v", "c"]).ok();
    host.sh("mkdir /mnt/at").ok();
    host.netrun(&["image", "mount", "more:1", "/mnt/at"]).ok();
    assert_eq!(host.read("/mnt/at/d0/f"), "evil\n");
    host.netrun(&["image", "unmount", "/mnt/at"]).ok();
    host.netrun(&["rmi", "more:1"]).ok();
    nothing_stays(&host, "many");
}

#[test]
fn layers_that_would_fill_any_disk_are_given_back_at_once() {
    let host = FakeHost::with_registry();
    small_root(&host, "size=64m,nr_inodes=3000");
    // A terabyte as a hole in a kilobyte, as zstd's frames in 33 MB, and ten thousand files; a wrong diff
    // id last, whose layer is sound.
    make(
        &host,
        r"
hole = e('zeros', data=b'0\n'.ljust(512, b'\0'), pax_headers={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0',
    'GNU.sparse.name': 'zeros', 'GNU.sparse.realsize': str(1 << 40)})
none = ['sha256:' + '1' * 64]
image('hole', tar(hole), ids=none)
info = T.TarInfo('zeros')
info.size = 1 << 40
pack = lambda data: subprocess.run('zstd -q', input=data, shell=True, stdout=subprocess.PIPE).stdout
frame = subprocess.run('head -c 1073741824 /dev/zero | zstd -q', shell=True, stdout=subprocess.PIPE).stdout
image('frames', pack(info.tobuf(T.GNU_FORMAT)) + frame * 1024, ids=none)
image('files', tar(*[e('%d/%d' % (n // 100, n), data=b'') for n in range(10000)]))
image('wrong', root(), ids=none)
open('/mnt/layer.tar', 'wb').write(tar(hole))
",
    );
    for (name, code, word) in [
        ("hole", 1, "no space left"),
        ("frames", 1, "no space left"),
        ("files", 1, "no space left"),
        ("wrong", 2, "instead of sha256:1111"),
    ] {
        load(&host, name).fails(code, &[word]);
        assert_eq!(host.netrun(&["images", "-q"]).ok().text(), "", "{name}");
        emptied(&host, name);
    }
    host.netrun(&["import", "/mnt/layer.tar", "hostile:1"])
        .fails(1, &["no space left"]);
    emptied(&host, "import");
    host.netrun(&["pull", ALPINE]).ok();
    host.netrun(&["rmi", ALPINE]).ok();
}

#[test]
fn a_full_disk_in_the_middle_of_anything_leaves_no_image() {
    let host = FakeHost::with_registry();
    host.netrun(&["pull", "layers:1"]).ok();
    host.netrun(&["save", "-o", "/mnt/layers.tar", "layers:1"])
        .ok();
    host.netrun(&["rmi", "layers:1"]).ok();
    // Full while layers are fetched, while they are unpacked, and in between.
    for size in ["1000k", "1300k", "2000k", "3000k"] {
        small_root(&host, &format!("size={size}"));
        for line in [
            &["pull", "layers:1"][..],
            &["load", "-i", "/mnt/layers.tar"],
            &["run", "--rm", "layers:1", "true"],
        ] {
            let code = if line[0] == "run" { 125 } else { 1 };
            host.netrun(line).fails(code, &["no space left"]);
            assert_eq!(host.netrun(&["images", "-q"]).ok().text(), "", "{size}");
            // Not even containerd's own databases can be written on a full disk; once there is room, it
            // takes what was left.
            host.sh("mount -o remount,size=20m /mnt/small").ok();
            emptied(&host, size);
            host.sh(&format!("mount -o remount,size={size} /mnt/small"))
                .ok();
        }
        host.sh("mount -o remount,size=20m /mnt/small").ok();
        host.netrun(&["pull", "layers:1"]).ok();
        host.netrun(&["rmi", "layers:1"]).ok();
    }
}

/// Gives containerd a new root on a disk of its own.
fn small_root(host: &FakeHost, options: &str) {
    host.announce("mount /mnt/small*");
    host.stop_containerd();
    host.sh(&format!(
        "umount /mnt/small; mkdir -p /mnt/small && mount -t tmpfs -o {options} tmpfs /mnt/small &&
        rm -rf /mnt/containerd && ln -s small/root /mnt/containerd && mkdir /mnt/small/root"
    ))
    .ok();
    host.start_containerd();
}

/// All is given back, after `gc`, at once.
#[track_caller]
fn emptied(host: &FakeHost, name: &str) {
    host.netrun(&["gc"]).ok();
    let used = host.sh("du -sk /mnt/small | cut -f1").ok();
    let used: u32 = used.text().parse().unwrap();
    assert!(used < 1000, "{name}: {used} KiB are left");
    let left = host.settle(Duration::from_secs(10));
    assert!(left.is_empty(), "{name}: {left:#?}");
}

/// What becomes of a configuration: the image's own command prints `ran`, or an exit code and a word.
type Config = (&'static str, &'static str, Result<(), (i32, &'static str)>);

/// Images that are not loaded.
const REFUSED: &[Config] = &[
    (
        "huge",
        "config={'Labels': {'a': 'x' * 9000000}}",
        Err((2, "too large")),
    ),
    (
        "environment",
        "config={'Env': ['VARIABLE%d=x' % n for n in range(1000000)]}",
        Err((2, "too large")),
    ),
    ("text", "config='text'", Err((2, "unusable configuration"))),
    ("list", "whole=b'[]'", Err((2, "unusable configuration"))),
    ("null", "whole=b'null'", Err((2, "unusable configuration"))),
    ("nothing", "whole=b''", Err((2, "unusable configuration"))),
    (
        "no-json",
        "whole=b'\\0\\xff'",
        Err((2, "unusable configuration")),
    ),
    (
        "env-text",
        "config={'Env': 'A=b'}",
        Err((2, "expected a sequence")),
    ),
    (
        "cmd-numbers",
        "config={'Cmd': [1, 2]}",
        Err((2, "expected a string")),
    ),
    (
        "deep",
        "whole=b'{\"config\":{\"Labels\":' + b'[' * 100000 + b']' * 100000 + b'}}'",
        Err((2, "unusable configuration")),
    ),
    (
        "more-layers",
        "ids=['sha256:' + '1' * 64] * 2",
        Err((2, "layers")),
    ),
    (
        "no-digest",
        "ids=['sha256:short']",
        Err((2, "instead of sha256:short")),
    ),
    (
        "name-up",
        "tags=['../../etc/passwd:1']",
        Err((2, "no name")),
    ),
    ("name-upper", "tags=['UPPER:1']", Err((2, "no name"))),
    (
        "name-long",
        "tags=['a' * 10000 + ':1']",
        Err((2, "no name")),
    ),
    (
        "name-unicode",
        "tags=['\u{e9}\u{202e}:1', 'sound:1']",
        Err((2, "no name")),
    ),
];

/// Images that are loaded; each runs, or is refused then.
const LOADED: &[Config] = &[
    (
        "same-variable",
        "config={'Env': ['A=b'] * 1000000, 'Cmd': RAN}",
        Ok(()),
    ),
    (
        "variables",
        "config={'Env': ['%d=' % n for n in range(400000)], 'Cmd': RAN}",
        Err((125, "too much environment")),
    ),
    (
        "deep-beside",
        "whole=(SOUND[:-1] + ',\"x\":' + '[' * 100000 + ']' * 100000 + '}').encode()",
        Ok(()),
    ),
    (
        "no-equals",
        "config={'Env': ['A', '=x', ''], 'Cmd': RAN}",
        Ok(()),
    ),
    (
        "health",
        "config={'Healthcheck': {'Test': 'x', 'Interval': -5}, 'Cmd': RAN}",
        Ok(()),
    ),
    (
        "ports",
        "config={'ExposedPorts': {'99999/tcp': {}, 'x': {}}, 'Cmd': RAN}",
        Ok(()),
    ),
    (
        "created",
        "whole=json.dumps({**json.loads(SOUND), 'created': 'yesterday'}).encode()",
        Ok(()),
    ),
    (
        "env-nul",
        "config={'Env': ['A=\\0b'], 'Cmd': RAN}",
        Err((125, "null")),
    ),
    (
        "cmd-nul",
        "config={'Cmd': ['/bin/sh\\0x']}",
        Err((125, "invalid argument")),
    ),
    (
        "dir-nul",
        "config={'WorkingDir': '/a\\0b', 'Cmd': RAN}",
        Err((125, "invalid argument")),
    ),
    (
        "dir-up",
        "config={'WorkingDir': '../../tmp/escaped', 'Cmd': RAN}",
        Err((125, "absolute")),
    ),
    (
        "user",
        "config={'User': '\\0:\\n', 'Cmd': RAN}",
        Err((125, "passwd")),
    ),
    (
        "user-large",
        "config={'User': '99999999999999', 'Cmd': RAN}",
        Err((125, "2147483647")),
    ),
    (
        "signal",
        "config={'StopSignal': 'SIGNOPE', 'Cmd': RAN}",
        Err((125, "SIGNOPE")),
    ),
    (
        "volume-up",
        "config={'Volumes': {'../../../../tmp/escaped': {}}, 'Cmd': RAN}",
        Ok(()),
    ),
    (
        "volume-root",
        "config={'Volumes': {'/': {}}, 'Cmd': RAN}",
        Ok(()),
    ),
    (
        "escapes",
        "config={'Labels': {'\\x1b[31mred\\n': '\\x1b]0;title\\x07'}, 'Cmd': RAN}",
        Ok(()),
    ),
];

#[test]
fn configurations_are_refused_when_they_are_loaded_or_when_they_are_run() {
    let host = FakeHost::with_registry();
    host.announce("* /var/lib/netrun/volumes*");
    let mut script = String::from(
        "RAN = ['/bin/sh', '-c', 'echo ran']\nLAYER = root()\nSOUND = json.dumps({'architecture': ARCH, \
         'os': 'linux', 'config': {'Cmd': RAN}, 'rootfs': {'type': 'layers', 'diff_ids': [digest(LAYER)]}})\n",
    );
    for (name, arguments, _) in REFUSED.iter().chain(LOADED) {
        script += &format!("image('{name}', LAYER, {arguments})\n");
    }
    make(&host, &script);
    for (name, _, expected) in REFUSED {
        let (code, word) = expected.unwrap_err();
        let refused = load(&host, name).fails(code, &[word]);
        assert!(refused.stderr.len() < 2000, "{refused}");
        nothing_stays(&host, name);
    }
    for (name, _, expected) in LOADED {
        load(&host, name).ok();
        let run = host.netrun(&["run", "--rm", "hostile:1"]);
        match expected {
            Ok(()) => assert_eq!(run.ok().text(), "ran", "{name}"),
            Err((code, word)) => {
                assert_eq!(run.code, *code, "{name}: {run}");
                run.fails(*code, &[word]);
            }
        }
        for look in [
            &["images"][..],
            &["history", "hostile:1"],
            &["image", "inspect", "hostile:1"],
        ] {
            let shown = host.netrun(look).ok();
            assert!(!shown.stdout.contains(['\x1b', '\x07']), "{name}: {shown}");
        }
        nothing_stays(&host, name);
    }
    assert_eq!(host.sh("ls -A /tmp").ok().text(), "");
}

#[test]
fn names_that_are_none_are_refused_wherever_they_are_given() {
    let host = FakeHost::with_registry();
    host.announce_images();
    host.netrun(&["pull", ALPINE]).ok();
    let (long, tag) = ("a".repeat(10_000), format!("x:{}", "a".repeat(200)));
    for name in [
        "../x",
        "UPPER",
        "a/../b",
        &long,
        &tag,
        "\u{e9}:1",
        "a\u{202e}b",
        "a:b:c",
        "a b",
        "a\nb",
        "a\x1b[31mb",
        "x@sha256:123",
        "x@md5:d41d8cd98f00b204e9800998ecf8427e",
        "..:5000/x",
        "host/../../x:1",
        "h:99999/x",
        "a//b",
        "/a",
        "a/",
        "x:",
        "x:-a",
        "http://x/y",
        "",
    ] {
        for line in [
            &["pull", "--", name][..],
            &["tag", ALPINE, name],
            &["import", "/dev/null", name],
            &["load", "-i", "/dev/null", "--name", name],
        ] {
            if line.ends_with(&["--name", ""]) {
                // It is as if it were not given.
                continue;
            }
            let refused = host
                .netrun(line)
                .fails(2, &["image reference", "malformed"]);
            assert!(refused.stderr.len() < 1000, "{refused}");
            assert!(!refused.stderr.contains(['\x1b', '\u{202e}']), "{refused}");
        }
    }
    assert_eq!(host.netrun(&["images", "-q"]).ok().lines().len(), 1);
}

#[test]
fn a_registrys_words_do_not_command_the_terminal() {
    let host = FakeHost::with_registry();
    let _registry = host.scripted("127.0.0.1:5100", |_, _| {
        let body = r#"{"errors":[{"message":"\u001b]0;owned\u0007\u001b[2Jno"}]}"#;
        Some(Reply::new(404, body))
    });
    let refused = host
        .netrun(&["pull", "127.0.0.1:5100/x:1"])
        .fails(3, &["[2Jno"]);
    assert!(!refused.stderr.contains(['\x1b', '\x07']), "{refused}");
}
