//! What `load` and `pull` make of images whose parts others have named, packed or described.

use std::fs;

use crate::host::FakeHost;
use crate::host::scripted::{Reply, digest_of, document};
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

#[test]
fn a_layer_is_what_its_diff_id_says_even_if_the_snapshot_is_there() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let script = r"
image('right', A, tags=['right:1'])
other('packed', [('a.tar', gzip.compress(A), digest(A))])
other('wrong-plain', [('b.tar', B, digest(A))])
other('wrong-gzip', [('b.tar', gzip.compress(B), digest(A))])
other('wrong-zstd', [('b.tar', zstd(B), digest(A))])
other('wrong-below', [('b.tar', gzip.compress(B), digest(A)), ('c.tar', C, digest(C))])
open('/mnt/config', 'wb').write(whole(digest(A)))
open('/mnt/layer', 'wb').write(gzip.compress(B, 1))
";
    make(&host, &format!("{OTHER}{script}"));
    let (config, layer) = (
        fs::read(host.path("/mnt/config")).unwrap(),
        fs::read(host.path("/mnt/layer")).unwrap(),
    );
    let part = |media_type: &str, bytes: &[u8]| serde_json::json!({"mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": part("application/vnd.oci.image.config.v1+json", &config),
        "layers": [part("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    });
    let _registry = host.scripted("127.0.0.1:5100", move |request, _| {
        let blobs = [&config, &layer].into_iter();
        let mut asked = blobs.filter(|blob| request.target.ends_with(&digest_of(blob)));
        Some(match asked.next() {
            Some(blob) => Reply::new(200, blob.clone()),
            None if request.target.contains("/manifests/") => {
                document(manifest.to_string().into_bytes())
            }
            None => return None,
        })
    });
    let refused = || {
        for name in ["wrong-plain", "wrong-gzip", "wrong-zstd", "wrong-below"] {
            load(&host, name).fails(2, &["unpacks to", "instead of"]);
        }
        host.netrun(&["pull", "127.0.0.1:5100/wrong:1"])
            .fails(2, &["unpacks to", "instead of"]);
    };
    refused();
    nothing_stays(&host, "refused");
    load(&host, "right").ok();
    refused();
    // The same layer in another pack is verified once, and then known.
    for _ in 0..2 {
        let line = ["load", "-i", "/mnt/packed.tar"];
        let loaded = host.netrun(&line).ok();
        assert!(!loaded.stderr.contains("unpack"), "{loaded}");
    }
    let listed = host.ctr(&["content", "ls"]).ok();
    let known = listed.stdout.matches("containerd.io/uncompressed").count();
    assert_eq!(known, 2, "{listed}");
    let names = host.netrun(&["images", "--format", "{{.Name}}"]).ok();
    assert_eq!(
        names.lines(),
        ["docker.io/library/hostile:1", "docker.io/library/right:1"]
    );
}

#[test]
fn an_image_for_other_machines_only_is_pulled_with_all_platforms() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let other = match std::env::consts::ARCH {
        "s390x" => "ppc64le",
        _ => "s390x",
    };
    let config = serde_json::json!({
        "architecture": other, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = config.to_string().into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(&config), "size": config.len()},
        "layers": [],
    });
    let manifest = manifest.to_string().into_bytes();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest_of(&manifest), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": other}}],
    });
    let index = index.to_string().into_bytes();
    let chart = serde_json::json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": digest_of(b"{}"), "size": 2},
        "layers": [],
    });
    let _registry = host.scripted("127.0.0.1:5100", move |request, _| {
        let ends = |bytes: &[u8]| request.target.ends_with(&digest_of(bytes));
        Some(match request.target.as_str() {
            target if target.contains("/chart/manifests/") => {
                document(chart.to_string().into_bytes())
            }
            _ if ends(b"{}") => Reply::new(200, "{}"),
            _ if ends(&config) => Reply::new(200, config.clone()),
            _ if ends(&manifest) => document(manifest.clone()),
            target if target.contains("/manifests/") => document(index.clone()),
            _ => return None,
        })
    });
    let image = "127.0.0.1:5100/other:1";
    let not_made = "not made for linux/";
    host.netrun(&["pull", image]).fails(125, &[not_made]);
    assert_eq!(host.netrun(&["images", "-q"]).ok().text(), "");
    for more in [&[][..], &["--if-missing"]] {
        let line = [&["pull", "-q", "--all-platforms"], more, &[image]].concat();
        assert_eq!(host.netrun(&line).ok().text(), image, "{more:?}");
    }
    let shown = ["image", "inspect", "-f", "{{.Architecture}}", image];
    assert_eq!(host.netrun(&shown).ok().text(), other);
    host.netrun(&["run", "--rm", image]).fails(125, &[not_made]);
    // What is no image is called by its name.
    let artifact = "an artifact of type application/vnd.cncf.helm.config.v1+json";
    host.netrun(&["pull", "127.0.0.1:5100/chart:1"])
        .fails(2, &["no container image", artifact, "helm"]);
}

#[test]
fn an_id_is_that_of_the_configuration_and_all_its_names_go_with_it() {
    let host = FakeHost::with_registry();
    host.announce_images();
    let script = r"
for name, pack in ('plain', bytes), ('gzip', gzip.compress), ('zstd', zstd):
    other(name, [('a.tar', pack(A), digest(A))], tags=None)
";
    make(&host, &format!("{OTHER}{script}"));
    let load_all = || ["plain", "gzip", "zstd"].map(|name| load(&host, name).ok());
    let ids = || {
        let listed = ["images", "-q", "-f", "dangling=true"];
        host.netrun(&listed).ok().text().to_owned()
    };
    load_all();
    let id = ids();
    assert_eq!(host.netrun(&["images"]).ok().lines().len(), 4);
    for line in [
        &["run", "--rm", &id, "/bin/sh", "-c", "true"][..],
        &["image", "inspect", &id],
        &["history", &id],
    ] {
        host.netrun(line).ok();
    }
    host.netrun(&["rmi", &id]).ok();
    assert_eq!(ids(), "");
    // A name that somebody has given goes with the id as long as it is the only one.
    load_all();
    host.netrun(&["tag", &id, "one:1"]).ok();
    host.netrun(&["rmi", &id]).ok();
    load_all();
    host.netrun(&["tag", &id, "one:1"]).ok();
    host.netrun(&["tag", &id, "two:2"]).ok();
    host.netrun(&["rmi", &id])
        .fails(2, &["several names", "rmi -f"]);
    host.netrun(&["rmi", "-f", &id]).ok();
    assert_eq!(host.netrun(&["images", "-q"]).ok().text(), "");
}
