//! What `load` and `pull` make of images whose parts others have named, packed or described.

use crate::host::FakeHost;
use crate::images_hostile::{load, make, nothing_stays};

/// Python for archives of other programs: `other` writes one whose layers are (name, bytes, diff id).
const OTHER: &str = r"
import gzip
def zstd(data):
    return subprocess.run('zstd -q', input=data, shell=True, stdout=subprocess.PIPE).stdout
def whole(*ids):
    return json.dumps({'architecture': ARCH, 'os': 'linux', 'config': {},
        'rootfs': {'type': 'layers', 'diff_ids': list(ids)}}).encode()
def other(name, layers, config='config.json', first=False, more=[], tags=['hostile:1']):
    data = whole(*[id for _, _, id in layers])
    config = config.replace('DIGEST', digest(data))
    listed = [{'Config': config, 'RepoTags': tags, 'Layers': [layer for layer, _, _ in layers]}]
    entries = [e(config, data=data), *[e(layer, data=packed) for layer, packed, _ in layers if packed], *more]
    at = 0 if first else len(entries)
    entries.insert(at, e('manifest.json', data=json.dumps(listed).encode()))
    open('/mnt/' + name + '.tar', 'wb').write(tar(*entries))
A, B, C = root(e('which', data=b'a')), root(e('which', data=b'b')), tar(e('above', data=b'c'))
";

#[test]
fn what_a_list_names_is_found_whatever_it_is_called_and_however_it_is_packed() {
    let host = FakeHost::with_registry();
    let script = r"
# As crane, kaniko and ko have it; small layers and large ones.
gz = [(digest(layer)[7:] + '.tar.gz', gzip.compress(layer), digest(layer)) for layer in (A, C)]
other('crane', gz, config='DIGEST')
other('first', gz, config='DIGEST', first=True)
other('zstd', [('one', zstd(A), digest(A)), ('./dir/two.layer', zstd(C), digest(C))])
other('plain', [('/one', A, digest(A)), ('two', C, digest(C))], config='image/config')
other('links', [('a/layer.tar', A, digest(A)), ('b/layer.tar', b'', digest(C)), ('d/layer.tar', b'', digest(C))],
    more=[e('c/layer.tar', data=C), e('b/layer.tar', T.SYMTYPE, '../c/layer.tar'), e('d/layer.tar', T.LNKTYPE, 'c/layer.tar')])
other('many', gz, more=[e('d/' * 1900 + str(n), data=b'') for n in range(5000)])
";
    make(&host, &format!("{OTHER}{script}"));
    let run = ["run", "--rm", "--pull", "never", "hostile:1"];
    let look = [&run[..], &["/bin/sh", "-c", "cat /which /above"]].concat();
    for name in ["crane", "first", "zstd", "plain", "links"] {
        load(&host, name).ok();
        assert_eq!(host.netrun(&look).ok().text(), "ac", "{name}");
        nothing_stays(&host, name);
    }
    load(&host, "many").fails(2, &["too many files"]);
    nothing_stays(&host, "many");
}
