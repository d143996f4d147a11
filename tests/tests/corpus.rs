//! The corpus of good, odd and hostile images with the real program: over HTTP and
//! from a file, onto a dirty disk of 512 and of 4096 byte sectors.
//! Run against, never kept here: `BILLET_CORPUS` (default `../shared/data`) holds `image-corpus/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use bad_server::{File, Server};
use model::Digest;
use serde_json::Value;
use tests::{can_use_loop_devices, disk::LoopDisk, images::digest, write::write_as};

/// The largest disk that is made for an image whose verdict depends on that.
const LARGEST: u64 = 64 << 20;

struct Case {
    name: String,
    declared: String,
    verdict: String,
    bytes: Vec<u8>,
    raw_size: Option<u64>,
    raw_digest: Option<Digest>,
}

fn case(corpus: &Path, entry: &Value) -> Case {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let packed = corpus.join("images").join(format!("{}.zst", text("name")));
    let unpacked = Command::new("zstd").args(["-d", "-c", "-q"]).arg(&packed).output().expect("zstd runs");
    assert!(unpacked.status.success(), "{}: {unpacked:?}", packed.display());
    Case {
        name: text("name"),
        declared: text("declared"),
        verdict: text("verdict"),
        bytes: unpacked.stdout,
        raw_size: entry["raw_size"].as_u64(),
        raw_digest: text("raw_sha256").parse().ok(),
    }
}

/// What disagrees with the verdict, if anything.
fn disagreement(case: &Case, image: &str, block: u32) -> Option<String> {
    let Case { name, declared, verdict, raw_size, raw_digest, .. } = case;
    let size = raw_size.unwrap_or(LARGEST).clamp(2 << 20, LARGEST).next_multiple_of(block.into());
    let disk = LoopDisk::dirty(usize::try_from(size).expect("small"), block);
    let ended = write_as(declared, image, &digest(&case.bytes), &disk.device);
    let right = match (ended.is_written(), verdict.as_str()) {
        // A disk that was touched does not boot.
        (false, _) if !disk.is_untouched() && disk.may_boot() => false,
        (false, "reject") => ended.code == Some(2),
        // A table for other sectors is refused, whatever the image is worth elsewhere.
        (false, "accept") => block == 4096 && ended.error().contains("sectors"),
        (false, "limit") => raw_size.is_some_and(|size| size > LARGEST),
        (true, "accept" | "limit") => raw_digest.as_ref().is_none_or(|expected| {
            let content = disk.content();
            digest(&content[..usize::try_from(raw_size.unwrap_or_default()).expect("small")]) == *expected
        }),
        _ => false,
    };
    (!right).then(|| format!("{name}, {block}: want {verdict}, got {:?} {}", ended.code, ended.error()))
}

/// All that disagree, by both ways and on both kinds of disks.
fn disagreements(cases: &[Case], dir: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases {
        let file = dir.join(&case.name);
        fs::write(&file, &case.bytes).expect("written");
        let server = Server::of(File::new(case.bytes.clone()));
        for image in [file.display().to_string(), server.url("/image")] {
            wrong.extend([512, 4096].iter().filter_map(|&block| disagreement(case, &image, block)));
        }
        fs::remove_file(&file).expect("removed");
    }
    wrong
}

#[test]
fn every_verdict_of_the_corpus_is_right_for_the_program_too() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join("image-corpus");
    if !corpus.is_dir() {
        return eprintln!("SKIPPED: no recorded images at {}; set BILLET_CORPUS", corpus.display());
    }
    if !can_use_loop_devices() {
        return;
    }
    let manifest = fs::read(corpus.join("manifest.json")).expect("a manifest");
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).expect("a list");
    let cases: Vec<Case> = manifest.iter().map(|entry| case(&corpus, entry)).collect();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let halves = cases.chunks(cases.len().div_ceil(2));
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = halves.map(|half| scope.spawn(|| disagreements(half, dir.path()))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    eprintln!("{} runs, {} wrong", cases.len() * 4, wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
