//! Bad servers and the real program: a loop device ends as the image, or
//! without anything that boots and with an error that says why.

use std::process::Command;

use bad_server::{Act, Body, File, Length, Ranges, Server, Validator};
use tests::{
    can_use_loop_devices,
    disk::LoopDisk,
    images::{digest, gpt_image},
    write::{Ended, write},
};

const MIB: u64 = 1 << 20;

/// The same disk in several formats.
fn images(raw: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = dir.path().join("disk");
    std::fs::write(&disk, raw).expect("written");
    let made = |how: &str| {
        let to = dir.path().join("image");
        let how = format!("{how} {} {}", disk.display(), to.display());
        let status = Command::new("sh").args(["-c", &how]).status().expect("sh");
        assert!(status.success(), "{how}: {status}");
        std::fs::read(&to).expect("an image")
    };
    vec![
        ("raw", raw.to_vec()),
        ("qcow2", made("qemu-img convert -O qcow2 -f raw")),
        ("zstd qcow2", made("qemu-img convert -c -O qcow2 -o compression_type=zstd -f raw")),
        ("raw.zst", made("f() { zstd -q -f $1 -o $2; }; f")),
    ]
}

fn written(what: &str, ended: &Ended, disk: &LoopDisk, raw: &[u8]) {
    assert!(ended.is_written(), "{what}: {ended:#?}");
    assert!(disk.content() == raw, "{what}: another disk");
}

#[test]
fn an_image_arrives_although_it_is_cut_stopped_and_repeated() {
    if !can_use_loop_devices() {
        return;
    }
    let raw = gpt_image(8);
    let disk = LoopDisk::used(8);
    for (name, image) in images(&raw) {
        let length = image.len() as u64;
        let boundaries: Vec<Act> = (1..=length / MIB).map(|_| Act::cut(MIB)).collect();
        let rows = [
            ("cut at every chunk", File::new(image.clone()).acts(boundaries)),
            ("reset twice", File::new(image.clone()).acts([Act::reset(length / 3), Act::reset(length / 3)])),
            (
                "cut, and no ranges",
                File::new(image.clone()).acts([Act::cut(length / 2), Act::ranges(Ranges::Ignored)]),
            ),
            ("of unsaid length", File::new(image.clone()).always(Act::length(Length::Chunked))),
        ];
        for (what, file) in rows {
            let server = Server::of(file);
            let ended = write(&[&server.url("/image")], &digest(&image), &disk.device);
            written(&format!("{name}, {what}"), &ended, &disk, &raw);
        }
        let bad = Server::of(File::new(image.clone()).always(Act::status(500)));
        let dies = Server::of(File::new(image.clone()).always(Act::reset(length / 2)));
        let good = Server::of(File::new(image.clone()));
        let urls = [bad.url("/image"), dies.url("/image"), good.url("/image")];
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let ended = write(&urls, &digest(&image), &disk.device);
        written(&format!("{name}, one good mirror of three"), &ended, &disk, &raw);
    }
}

#[test]
fn what_is_not_the_image_never_boots() {
    if !can_use_loop_devices() {
        return;
    }
    let raw = gpt_image(8);
    for (name, image) in images(&raw) {
        let length = image.len() as u64;
        let mut other = image.clone();
        let last = other.len() * 7 / 8;
        other[last] ^= 1;
        let wrong = Act { body: Body { flip: Some(length / 2), ..Body::default() }, ..Act::good() };
        let changed = Act { version: 1, validator: Validator::Same, ..Act::good() };
        for (what, file, words) in [
            ("a wrong bit", File::new(image.clone()).always(wrong), ""),
            (
                "another file",
                File::new(image.clone()).version(other).acts([Act::cut(length / 2)]).always(changed),
                "",
            ),
            ("not there", File::new(image.clone()).always(Act::status(404)), "404"),
            ("a page", File::new(b"<!DOCTYPE html><html></html>".repeat(9999)), ""),
            ("a loop", File::new(image.clone()).always(Act::redirect("/image")), "/image"),
            ("gzip", File::new(image.clone()).always(Act::good().with("Content-Encoding", "gzip")), "encode"),
        ] {
            let disk = LoopDisk::used(8);
            let server = Server::of(file);
            let ended = write(&[&server.url("/image")], &digest(&image), &disk.device);
            let what = format!("{name}, {what}: {ended:#?}");
            assert!(matches!(ended.code, Some(1 | 2)) && !ended.error().is_empty(), "{what}");
            assert!(ended.error().contains(words), "{what}");
            assert!(disk.is_untouched() || !disk.may_boot(), "{what}: may boot");
            let good = Server::of(File::new(image.clone()));
            written(&what, &write(&[&good.url("/image")], &digest(&image), &disk.device), &disk, &raw);
        }
    }
}
