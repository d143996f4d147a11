//! Good, odd and hostile images with known verdicts, all through the pipeline.
//! Run against, never kept here: `BILLET_CORPUS` (default `../shared/data`) holds `image-corpus/`.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use disk::FakeDisk;
use image::{Declared, MemorySource, Options, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};
use serde_json::Value;

/// Compressions of the corpus that this version refuses by name.
const NOT_YET: [&str; 0] = [];
/// The largest disk that is made for an image whose verdict depends on that.
const LARGEST: u64 = 1 << 30;

struct Case {
    name: String,
    declared: String,
    verdict: String,
    bytes: Vec<u8>,
    raw_size: Option<u64>,
    raw_digest: Option<Digest>,
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn cases(corpus: &Path) -> Vec<Case> {
    let manifest = fs::read(corpus.join("manifest.json")).expect("a manifest");
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).expect("a list");
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let load = |entry: &Value| {
        let name = text(entry, "name");
        let packed = fs::read(corpus.join("images").join(format!("{name}.zst"))).expect("an image");
        let mut bytes = Vec::new();
        zstd::Decoder::new(&packed[..]).expect("zstd").read_to_end(&mut bytes).expect("unpacked");
        assert_eq!(digest(&bytes).hex(), text(entry, "sha256"), "{name} is not what the manifest says");
        Case {
            name,
            declared: text(entry, "declared"),
            verdict: text(entry, "verdict"),
            bytes,
            raw_size: entry["raw_size"].as_u64(),
            raw_digest: text(entry, "raw_sha256").parse().ok(),
        }
    };
    manifest.iter().map(load).collect()
}

/// Install onto a dirty disk just large enough. What the disk holds then.
fn outcome(case: &Case, block: u32, pipe: bool) -> Result<FakeDisk, String> {
    let size = case.raw_size.unwrap_or(64 << 20).clamp(1 << 20, LARGEST);
    let block: BlockSize = block.try_into().expect("a block size");
    let mut disk = FakeDisk::filled(0xaa, Bytes(size).round_up_to(block), block);
    let declared: Declared = case.declared.parse().map_err(|err: image::ParseFormatError| err.to_string())?;
    let digests = vec![digest(&case.bytes)];
    let source =
        if pipe { MemorySource::pipe(case.bytes.clone()) } else { MemorySource::new(case.bytes.clone()) };
    let options = Options { declared, digests, ..Options::default() };
    match install(source, &mut disk, options, |_| {}) {
        Ok(_) => Ok(disk),
        Err(err) => {
            // An untouched disk is as dirty as before; a touched one does not boot.
            let head = &disk.bytes()[..1 << 20];
            assert!(head.iter().all(|&b| b == 0xaa) || head.iter().all(|&b| b == 0), "{}: {err}", case.name);
            let source = std::error::Error::source(&err).map(ToString::to_string).unwrap_or_default();
            Err(format!("{err}: {source}"))
        }
    }
}

/// What disagrees with the verdict, if anything.
fn disagreement(case: &Case, block: u32, pipe: bool) -> Option<String> {
    let outcome = outcome(case, block, pipe);
    let Case { name, verdict, raw_size, raw_digest, .. } = case;
    let right = match (&outcome, verdict.as_str()) {
        (Err(_), "reject") => true,
        // A table for other sectors is refused, whatever the image is worth elsewhere.
        (Err(err), "accept") if block == 4096 => err.contains("partition table cannot be used"),
        (Err(_), "limit") => raw_size.is_some_and(|size| size > LARGEST),
        (Ok(disk), "accept" | "limit") => raw_digest.as_ref().is_none_or(|expected| {
            let size = usize::try_from(raw_size.unwrap_or_default()).expect("in memory");
            digest(&disk.bytes()[..size]) == *expected
        }),
        _ => false,
    };
    (!right).then(|| {
        format!("{name}: want {verdict}, got {}", outcome.map_or_else(|err| err, |_| "accepted".into()))
    })
}

#[test]
fn every_verdict_of_the_corpus_is_right() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join("image-corpus");
    if !corpus.is_dir() {
        return eprintln!("SKIPPED: no recorded images at {}; set BILLET_CORPUS", corpus.display());
    }
    let cases = cases(&corpus);
    for (block, pipe) in [(512, false), (512, true), (4096, false), (4096, true)] {
        let wrong: Vec<String> = cases
            .iter()
            .filter(|case| !NOT_YET.contains(&case.name.as_str()))
            .filter_map(|case| disagreement(case, block, pipe))
            .collect();
        let count = cases.len() - NOT_YET.len();
        eprintln!("{} of {count} agree, {block}-byte blocks, in order only: {pipe}", count - wrong.len());
        assert!(wrong.is_empty(), "{block}, {pipe}:\n{}", wrong.join("\n"));
    }
}
