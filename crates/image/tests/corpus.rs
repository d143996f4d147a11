//! Good, odd and hostile images with known verdicts, all through the pipeline.
//! Run against, never kept here: `BILLET_CORPUS` (default `../shared/data`) holds `image-corpus/`.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use disk::FakeDisk;
use image::{Declared, FileSource, MemorySource, Options, Source, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};
use serde_json::Value;

/// The disk for an image whose own size nobody knows.
const UNKNOWN: u64 = 16 << 20;

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

/// How an image is brought.
#[derive(Clone, Copy, Debug)]
enum By {
    /// All of it in memory, in any order.
    Memory,
    /// In order only, of unknown length.
    Pipe,
    /// From a file.
    File,
}

fn source(case: &Case, by: By) -> Box<dyn Source> {
    match by {
        By::Memory => Box::new(MemorySource::new(case.bytes.clone())),
        By::Pipe => Box::new(MemorySource::pipe(case.bytes.clone())),
        By::File => {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), &case.bytes).expect("written");
            Box::new(FileSource::open(file.path()).expect("opened"))
        }
    }
}

/// The largest disk that is made for an image whose verdict depends on that.
fn largest(block: u32, by: By) -> u64 {
    match (block, by) {
        (512, By::Memory) => 1 << 30,
        (_, By::Memory | By::Pipe | By::File) => 128 << 20,
    }
}

/// Install onto a dirty disk just large enough. What the disk holds then.
fn outcome(case: &Case, block: u32, by: By) -> Result<FakeDisk, String> {
    let size = case.raw_size.unwrap_or(UNKNOWN).clamp(1 << 20, largest(block, by));
    let block: BlockSize = block.try_into().expect("a block size");
    let mut disk = FakeDisk::filled(0xaa, Bytes(size).round_up_to(block), block);
    let declared: Declared = case.declared.parse().map_err(|err: image::ParseFormatError| err.to_string())?;
    let options = Options { declared, digests: vec![digest(&case.bytes)], ..Options::default() };
    match install(source(case, by), &mut disk, options, |_| {}) {
        Ok(_) => Ok(disk),
        Err(err) => {
            // An untouched disk is as dirty as before; a touched one does not boot.
            let head = &disk.bytes()[..1 << 20];
            assert!(head.iter().all(|&b| b == 0xaa) || head.iter().all(|&b| b == 0), "{}: {err}", case.name);
            let chain = std::iter::successors(Some(&err as &dyn std::error::Error), |err| err.source());
            Err(chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
        }
    }
}

/// What disagrees with the verdict, if anything.
fn disagreement(case: &Case, block: u32, by: By) -> Option<String> {
    let outcome = outcome(case, block, by);
    let Case { name, verdict, raw_size, raw_digest, .. } = case;
    let right = match (&outcome, verdict.as_str()) {
        (Err(_), "reject") => true,
        // A table for other sectors is refused, whatever the image is worth elsewhere.
        (Err(err), "accept") if block == 4096 => err.contains("sectors"),
        (Err(_), "limit") => raw_size.is_some_and(|size| size > largest(block, by)),
        (Ok(disk), "accept" | "limit") => raw_digest.as_ref().is_none_or(|expected| {
            let size = usize::try_from(raw_size.unwrap_or_default()).expect("in memory");
            digest(&disk.bytes()[..size]) == *expected
        }),
        _ => false,
    };
    let got = outcome.map_or_else(|err| err, |_| "accepted".into());
    (!right).then(|| format!("{name}, {block}-byte blocks, {by:?}: want {verdict}, got {got}"))
}

#[test]
fn every_verdict_of_the_corpus_is_right() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join("image-corpus");
    if !corpus.is_dir() {
        return eprintln!("SKIPPED: no recorded images at {}; set BILLET_CORPUS", corpus.display());
    }
    let cases = cases(&corpus);
    let ways = [512, 4096].map(|block| [By::Memory, By::Pipe, By::File].map(|by| (block, by)));
    let all =
        cases.iter().flat_map(|case| ways.as_flattened().iter().map(move |&(block, by)| (case, block, by)));
    let waiting = Mutex::new(all);
    let work = || {
        let next = || waiting.lock().expect("whole").next();
        std::iter::from_fn(next)
            .filter_map(|(case, block, by)| disagreement(case, block, by))
            .collect::<Vec<_>>()
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a verdict")).collect()
    });
    let count = cases.len() * ways.as_flattened().len();
    eprintln!("{} of {count} verdicts on {} images agree", count - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
