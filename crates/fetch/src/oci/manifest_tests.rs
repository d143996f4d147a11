use serde_json::{Value, json};

use super::*;

fn hex(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

fn chosen(document: &Value, title: Option<&str>) -> Result<String, ChooseError> {
    let of = |descriptor: &Descriptor| descriptor.pin().map(|digest| digest.to_string());
    match Document::parse(&serde_json::to_vec(document).expect("JSON"))? {
        Document::Index(manifests) => of(for_platform(&manifests, "amd64")?),
        Document::Manifest(layers) => of(image(&layers, title)?),
    }
}

fn layer(kind: &str, of: char, title: Option<&str>) -> Value {
    let mut layer = json!({"mediaType": kind, "digest": hex(of), "size": 5});
    if let Some(title) = title {
        layer["annotations"] = json!({TITLE: title});
    }
    layer
}

fn entry(architecture: Option<&str>, os: &str, of: char) -> Value {
    let mut entry =
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": hex(of), "size": 5});
    if let Some(architecture) = architecture {
        entry["platform"] = json!({"architecture": architecture, "os": os});
    }
    entry
}

#[test]
fn the_image_is_found_where_tools_put_it() {
    let octets = "application/octet-stream";
    let tar = "application/vnd.oci.image.layer.v1.tar";
    for (layers, title, want) in [
        (json!([layer(octets, 'a', None)]), None, 'a'),
        (json!([layer(tar, 'a', Some("disk.raw"))]), None, 'a'),
        (
            json!([layer(octets, 'a', Some("README.md")), layer(octets, 'b', Some("Disk.QCOW2.zst"))]),
            None,
            'b',
        ),
        (
            json!([
                layer("application/vnd.example.config.json", 'a', None),
                layer("application/vnd.cdi.disk+zstd", 'b', None)
            ]),
            None,
            'b',
        ),
        (json!([layer(octets, 'a', Some("a.raw")), layer(octets, 'b', Some("b.raw"))]), Some("b.raw"), 'b'),
    ] {
        assert_eq!(chosen(&json!({"layers": layers}), title), Ok(hex(want)), "{layers}");
    }
    for (manifests, want) in [
        (json!([entry(None, "", 'a')]), 'a'),
        (json!([entry(Some("arm64"), "linux", 'a'), entry(Some("amd64"), "linux", 'b')]), 'b'),
        (json!([entry(Some("amd64"), "linux", 'a'), entry(Some("unknown"), "unknown", 'b')]), 'a'),
    ] {
        assert_eq!(chosen(&json!({"manifests": manifests}), None), Ok(hex(want)), "{manifests}");
    }
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let octets = "application/octet-stream";
    for (document, title, want) in [
        (json!({"layers": []}), None, "it is empty"),
        (json!({"manifests": []}), None, "it is empty"),
        (
            json!({"layers": [layer("application/vnd.docker.image.rootfs.diff.tar.gzip", 'a', None)]}),
            None,
            "a container's file system",
        ),
        (
            json!({"layers": [layer(octets, 'a', Some("a.raw")), layer(octets, 'b', Some("b.raw"))]}),
            None,
            "several files; name one (#NAME): a.raw, b.raw",
        ),
        (json!({"layers": [layer(octets, 'a', Some("a.raw"))]}), Some("b"), "no file \"b\", only a.raw"),
        (
            json!({"manifests": [entry(Some("arm64"), "linux", 'a')]}),
            None,
            "nothing for amd64, only for arm64",
        ),
        (
            json!({"manifests": [entry(Some("amd64"), "linux", 'a'), entry(Some("amd64"), "linux", 'b')]}),
            None,
            "several things for amd64",
        ),
        (json!({"fsLayers": [], "schemaVersion": 1}), None, "docker's first schema"),
        (json!({"errors": []}), None, "neither manifests nor layers"),
        (json!({"layers": [{"digest": "sha256:x", "size": 1}]}), None, "neither sha256 nor sha512"),
        (json!({"layers": [{"digest": hex('a'), "size": -1}]}), None, "no manifest"),
        (json!([]), None, "no manifest"),
    ] {
        let error = chosen(&document, title).expect_err("refused").to_string();
        assert!(error.contains(want), "{document}: {error}");
    }
}
