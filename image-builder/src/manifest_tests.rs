#![expect(clippy::cast_possible_truncation, reason = "test disks fit in memory")]

use std::{fs, process::Command};

use image::manifest::{FileChunks, accept, install_chunks};

use super::*;
use crate::compress;

/// A folder with a raw image of `size` bytes, a third of it zero.
fn raw(size: usize) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let content: Vec<u8> = (0..size)
        .map(|at| match at >> 18 {
            part if part % 3 == 1 => 0,
            part => u8::try_from((at.wrapping_mul(2_654_435_761) >> 13 ^ part) & 0xff).expect("masked"),
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.raw");
    fs::write(&path, &content).expect("space");
    (folder, path, content)
}

fn request(image: &Path) -> Request {
    Request {
        image: image.to_owned(),
        declared: Declared::AUTO,
        out: None,
        pack: None,
        chunk: None,
        level: 3,
    }
}

/// What a dirty file becomes when the manifest of `report` is written to it.
fn written(report: &Report, folder: &Path) -> Vec<u8> {
    let document = fs::read(&report.manifest).expect("the manifest");
    let digest = format!("sha256:{}", report.manifest_sha256).parse().expect("a digest");
    let accepted = accept(&document, &[digest], &[]).expect("it is what the report says");
    let target = folder.join("target");
    fs::write(&target, vec![0xaa; report.disk_bytes.next_multiple_of(512) as usize]).expect("space");
    let mut device = Device::open(&target).expect("a file");
    let chunks = FileChunks::open(&report.image).expect("the image");
    install_chunks(accepted, &chunks, &mut device, Options::default(), |_| {}).expect("written");
    let mut written = fs::read(&target).expect("the target");
    written.truncate(report.disk_bytes as usize);
    written
}

#[test]
fn a_raw_image_is_addressed_where_it_is() {
    for size in [5 << 20, (3 << 20) + 1234] {
        let (folder, image, content) = raw(size);
        let report = make(&request(&image)).expect("a manifest");
        assert_eq!(report.manifest, folder.path().join("a.raw.billet.json"));
        assert_eq!((report.image_bytes, report.disk_bytes), (size as u64, size as u64));
        assert_eq!(report.disk_sha256, report.image_sha256);
        assert!(written(&report, folder.path()) == content, "{size}");
    }
}

#[test]
fn any_image_can_be_packed_and_is_read_by_zstd_by_us_and_by_chunks() {
    let (folder, image, content) = raw((5 << 20) + 512);
    let zst = folder.path().join("a.zst");
    fs::write(&zst, compress::zstd(&content, 1).expect("compresses")).expect("space");
    let refused = make(&request(&zst)).expect_err("one frame");
    assert!(matches!(refused, MakeManifestError::NotAddressable { .. }), "{refused}");
    for (number, from) in [image, zst].into_iter().enumerate() {
        let out = folder.path().join(format!("packed{number}.raw.zst"));
        let report = make(&Request { pack: Some(out.clone()), ..request(&from) }).expect("packed");
        assert_eq!(report.disk_bytes, content.len() as u64);
        assert!(written(&report, folder.path()) == content, "by chunks");
        let plain = Command::new("zstd").arg("-dc").arg(&out).output().expect("zstd runs");
        assert!(plain.status.success() && plain.stdout == content, "by zstd");
        let target = folder.path().join(format!("whole{number}"));
        fs::write(&target, vec![0xaa; content.len()]).expect("space");
        let digest = format!("sha256:{}", report.image_sha256).parse().expect("a digest");
        let options = Options { digests: vec![digest], ..Options::default() };
        let mut device = Device::open(&target).expect("a file");
        let source = FileSource::open(&out).expect("packed");
        image::install(source, &mut device, options, |_| {}).expect("written");
        assert!(fs::read(&target).expect("the target") == content, "as one stream");
        assert!(
            fs::read_dir(folder.path())
                .expect("a folder")
                .all(|entry| { !entry.expect("an entry").file_name().to_string_lossy().starts_with('.') })
        );
    }
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let (folder, image, _) = raw(3 << 20);
    let [one, other] = ["one", "other"].map(|name| {
        let place = folder.path().join(name);
        fs::create_dir(&place).expect("a folder");
        let pack = Some(place.join("a.raw.zst"));
        let report = make(&Request { pack, ..request(&image) }).expect("packed");
        (report.manifest_sha256, report.image_sha256)
    });
    assert_eq!(one, other);
}

#[test]
fn what_cannot_be_done_is_refused_by_name_and_leaves_nothing() {
    let (folder, image, _) = raw(3 << 20);
    let chunk = Request { chunk: Some(Bytes(1000)), ..request(&image) };
    assert!(matches!(make(&chunk), Err(MakeManifestError::Manifest { .. })));
    let (image_too, packed) = (Some(image.clone()), Some(folder.path().join("out.raw.zst")));
    for (pack, out) in [(image_too.clone(), None), (None, image_too), (packed.clone(), packed)] {
        let same = Request { pack, out, ..request(&image) };
        assert!(matches!(make(&same), Err(MakeManifestError::SameFile { .. })));
    }
    let page = folder.path().join("page");
    fs::write(&page, "<html>".repeat(1000)).expect("space");
    let pack = Some(folder.path().join("out.raw.zst"));
    assert!(matches!(make(&Request { pack, ..request(&page) }), Err(MakeManifestError::Image { .. })));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn chunks_grow_with_the_disk_until_they_may_not() {
    let gib = 1 << 30;
    for (size, chunk) in [(1, 256 << 10), (32 * gib, 256 << 10), (33 * gib, 512 << 10), (4096 * gib, 1 << 20)]
    {
        assert_eq!(chunk_for(Bytes(size)), Bytes(chunk), "{size}");
    }
}
