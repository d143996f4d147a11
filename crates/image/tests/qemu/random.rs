//! Random options, random content, random changes in place: whatever qemu-img
//! and qemu-io make, the disk must hold what `qemu-img convert` reads.
//!
//! `BILLET_QEMU_SEED` repeats a run; `BILLET_QEMU_ROUNDS` asks for more of them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use disk::FakeDisk;
use image::{MemorySource, Options, Spill, WriteError, install};
use model::{BlockSize, Bytes};

use super::{Random, chain, content, digest, qemu_img, run_qemu_io};

/// How long the rounds take when nobody asks for a number of them.
const TIME: Duration = Duration::from_secs(12);
const MIB: u64 = 1 << 20;

/// What an image is made with.
struct Kind {
    /// For `-o`.
    options: String,
    cluster: u64,
    version: u64,
    /// Snapshots need refcounts above one.
    refcount_bits: u64,
}

fn kind(random: &mut Random) -> Kind {
    let cluster = 512 << random.below(13);
    let version = if random.one_in(5) { 2 } else { 3 };
    let mut options = format!("cluster_size={cluster}");
    let mut refcount_bits = 16;
    if version == 2 {
        options += ",compat=0.10";
    } else {
        refcount_bits = random.pick(&[1, 2, 4, 8, 16, 16, 32, 64]);
        options += &format!(",refcount_bits={refcount_bits}");
        let extended = cluster >= 16 << 10 && random.one_in(3);
        for (chosen, option) in [
            (extended, "extended_l2=on"),
            (random.one_in(2), "compression_type=zstd"),
            (random.one_in(3), "lazy_refcounts=on"),
        ] {
            if chosen {
                options += &format!(",{option}");
            }
        }
    }
    Kind { options, cluster, version, refcount_bits }
}

/// Make `disk.qcow2` from `disk.raw`, or empty.
fn make(dir: &Path, kind: &Kind, size: u64, random: &mut Random) -> String {
    let preallocation =
        random.pick(&["", "", ",preallocation=metadata", ",preallocation=falloc", ",preallocation=full"]);
    let how = match random.below(4) {
        0 => format!("create -f qcow2 -o {}{preallocation} disk.qcow2 {size}", kind.options),
        1 => format!("convert -f raw -O qcow2 -o {}{preallocation} disk.raw disk.qcow2", kind.options),
        2 => format!("convert -c -f raw -O qcow2 -o {} disk.raw disk.qcow2", kind.options),
        _ => format!("convert -c -W -m 8 -S 0 -f raw -O qcow2 -o {} disk.raw disk.qcow2", kind.options),
    };
    qemu_img(dir, &how);
    how
}

/// A few writes, zeroings and discards, as commands of qemu-io.
fn writes(kind: &Kind, size: u64, random: &mut Random) -> Vec<String> {
    let write = |random: &mut Random| {
        let at = random.below(size / 512) * 512;
        let most = 1 << random.below(12);
        let length = ((random.below(most) + 1) * 512).min(size - at);
        let pattern = random.below(255) + 1;
        match random.below(6) {
            0 => format!("write -z {at} {length}"),
            1 => format!("discard {at} {length}"),
            2 if size >= kind.cluster => {
                let at = random.below(size / kind.cluster) * kind.cluster;
                format!("write -c -P {pattern} {at} {}", kind.cluster)
            }
            _ => format!("write -P {pattern} {at} {length}"),
        }
    };
    (0..random.below(8)).map(|_| write(random)).collect()
}

/// Change `disk.qcow2` in place. What was done.
fn change(dir: &Path, kind: &Kind, size: &mut u64, round: usize, random: &mut Random) -> String {
    let what = match random.below(7) {
        0 if kind.refcount_bits > 1 => format!("snapshot -c s{round} disk.qcow2"),
        1 if kind.version == 3 => format!("bitmap --add disk.qcow2 b{round}"),
        2 => {
            *size += random.below(2048) * 512;
            format!("resize disk.qcow2 {size}")
        }
        3 if kind.version == 3 => "amend -f qcow2 -o lazy_refcounts=on disk.qcow2".to_owned(),
        _ => {
            let writes = writes(kind, *size, random);
            // Compressed writes to what is written already fail, and change nothing.
            run_qemu_io(dir, &writes, "disk.qcow2");
            return format!("{writes:?}");
        }
    };
    // Snapshots keep old sizes, and some versions refuse to resize beside them.
    let before = *size;
    let output =
        std::process::Command::new("qemu-img").args(what.split_whitespace()).current_dir(dir).output();
    let output = output.expect("qemu-img is installed (Debian package qemu-utils)");
    if !output.status.success() && what.starts_with("resize") {
        *size = before;
    }
    what
}

/// Put `image` on a dirty disk and say what went wrong.
fn outcome(image: &[u8], raw: &[u8], block: u32, pipe: bool, spill: Option<Spill>) -> Result<(), String> {
    let block: BlockSize = block.try_into().expect("a block size");
    let size = Bytes((raw.len() as u64).max(MIB)).round_up_to(block);
    let mut disk = FakeDisk::filled(0xaa, size, block);
    let source = if pipe { MemorySource::pipe(image.to_vec()) } else { MemorySource::new(image.to_vec()) };
    let options = Options { digests: vec![digest(image)], spill, ..Options::default() };
    match install(source, &mut disk, options, |_| {}) {
        Ok(_) if disk.bytes()[..raw.len()] == *raw => Ok(()),
        Ok(_) => Err("other content".to_owned()),
        Err(err @ WriteError::Commit(_)) if block.get() == 4096 => Err(format!("sectors: {}", chain(&err))),
        Err(err) => Err(chain(&err)),
    }
}

/// One image in every way. What was made, if it was read wrongly.
fn round(dir: &Path, seed: u64) -> Result<bool, String> {
    let mut random = Random(seed);
    let kind = kind(&mut random);
    // Some are too large to be seen whole by the window.
    let most = match kind.cluster {
        0..4096 => 3,
        _ if random.one_in(6) => 32,
        _ => 8,
    };
    let mut size = (random.below(most * 2048) + 1) * 512;
    fs::write(dir.join("disk.raw"), content(usize::try_from(size).expect("small"))).expect("written");
    let mut story = vec![make(dir, &kind, size, &mut random)];
    for round in 0..usize::try_from(random.below(6)).expect("few") {
        story.push(change(dir, &kind, &mut size, round, &mut random));
    }
    qemu_img(dir, "convert -f qcow2 -O raw disk.qcow2 truth.raw");
    let raw = fs::read(dir.join("truth.raw")).expect("converted");
    let image = fs::read(dir.join("disk.qcow2")).expect("made");
    let spill = || Some(Spill { dir: dir.to_owned(), limit: Bytes(64 * MIB) });
    let fail = |what: &str, err: String| format!("seed {seed}: {what}: {err}\n{}", story.join("\n"));
    outcome(&image, &raw, 512, false, None).map_err(|err| fail("random access", err))?;
    outcome(&image, &raw, 4096, false, None).map_err(|err| fail("4096-byte blocks", err))?;
    outcome(&image, &raw, 512, true, spill()).map_err(|err| fail("in order, with spill", err))?;
    match outcome(&image, &raw, 4096, true, None) {
        Err(err) if err.contains("before the table") => Ok(false),
        outcome => outcome.map(|()| true).map_err(|err| fail("in order", err)),
    }
}

#[test]
fn whatever_qemu_makes_becomes_what_qemu_reads() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("BILLET_QEMU_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        now.as_secs() << 10
    });
    let rounds = number("BILLET_QEMU_ROUNDS");
    let dir = tempfile::tempdir().expect("a directory");
    let start = Instant::now();
    let (mut done, mut without) = (0, 0);
    while rounds.map_or(start.elapsed() < TIME, |rounds| done < rounds) {
        without += match round(dir.path(), seed + done) {
            Ok(without_spill) => u64::from(without_spill),
            Err(err) => panic!("{err}\nthe image is in {}", dir.keep().display()),
        };
        done += 1;
    }
    eprintln!("seed {seed}: {done} images, {without} of them in order without a spill");
}
