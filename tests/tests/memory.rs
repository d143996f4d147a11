//! Any image in 64 MiB: the program under a memory cgroup, with images of
//! gibibytes in every shape that tempts one to keep something.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use bad_server::{Content, Server};
use model::{Algorithm, Digest, Hasher};
use tests::{
    memory::{Group, peak_kib},
    programs::program,
    write::begin,
};

/// The promise.
const MOST_MIB: u64 = 64;
/// What the kernel allows: above that it kills. More than the promise, for what
/// the kernel itself keeps for the program.
const LIMIT_MIB: u64 = 96;
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// An image in a file, made once and kept in `target/`.
struct Image {
    path: PathBuf,
    digest: Digest,
    /// Length of the disk in it.
    disk: u64,
}

/// What is done with the raw disk, and how large that is.
const IMAGES: [(&str, u64, Shape, &str); 8] = [
    ("sparse.raw", 4 * GIB, Shape::Islands, "ln -f disk IMAGE"),
    ("islands.raw.zst", 4 * GIB, Shape::Islands, "zstd -q -f -3 -T1 --long=25 disk -o IMAGE"),
    ("islands.raw.xz", GIB, Shape::Islands, "xz -k -c -1 -T1 disk > IMAGE"),
    ("zlib.qcow2", 4 * GIB, Shape::Islands, "qemu-img convert -c -m 4 -W -O qcow2 disk IMAGE"),
    (
        "zstd.qcow2",
        4 * GIB,
        Shape::Islands,
        "qemu-img convert -c -m 4 -W -O qcow2 -o compression_type=zstd disk IMAGE",
    ),
    (
        "large-clusters.qcow2",
        4 * GIB,
        Shape::Islands,
        "qemu-img convert -c -O qcow2 -o compression_type=zstd,cluster_size=2M disk IMAGE",
    ),
    // Two windows at once: one to unpack the file, one to look back in it.
    (
        "large-clusters.qcow2.zst",
        GIB,
        Shape::Islands,
        "qemu-img convert -c -O qcow2 -o compression_type=zstd,cluster_size=2M disk disk.q && \
         zstd -q -f -1 --long=23 --rm disk.q -o IMAGE",
    ),
    ("pieces.qcow2", GIB, Shape::Pieces, "qemu-img convert -W -m 4 -O qcow2 -o cluster_size=4k disk IMAGE"),
];

/// Where the content of a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Islands of 5 MiB in each 64 MiB: a file system that is mostly empty.
    Islands,
    /// Every other 4 KiB of every fourth MiB: nothing follows anything.
    Pieces,
}

fn cache() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/memory-images");
    fs::create_dir_all(&dir).expect("a folder in target/");
    dir.canonicalize().expect("it is there")
}

/// A disk of `size` bytes with content of `shape`: half noise, half text.
fn write_disk(path: &Path, size: u64, shape: Shape) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(size)?;
    let mut noise = 1_u64;
    let mut block = [0; 4096];
    let (step, length, stride) = match shape {
        Shape::Islands => (64 * MIB, 5 * MIB, 4096),
        Shape::Pieces => (4 * MIB, MIB, 8192),
    };
    for island in (0..size).step_by(usize::try_from(step).expect("fits")) {
        for at in (island..island + length).step_by(stride) {
            for word in block.chunks_mut(8) {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let text = at / 4096 % 2 == 0;
                let byte = if text { b"billet  ".to_owned() } else { noise.rotate_left(32).to_le_bytes() };
                word.copy_from_slice(&byte);
            }
            block[..8].copy_from_slice(&at.to_le_bytes());
            file.write_all_at(&block, at)?;
        }
    }
    Ok(())
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
    }
}

/// The image called `name`; its digest is kept beside it.
fn image((name, disk, shape, how): (&str, u64, Shape, &str)) -> Image {
    let (dir, path) = (cache(), cache().join(name));
    // The digest, and how the image was made: another way makes it anew.
    let note = path.with_file_name(format!("{name}.made"));
    let recipe = format!("{disk} {shape:?} {how}");
    let made = || Some(fs::read_to_string(&note).ok()?.strip_suffix(&recipe)?.trim().to_owned());
    if made().is_none() {
        let raw = dir.join(format!("disk-{name}"));
        write_disk(&raw, disk, shape).expect("a disk");
        let how =
            how.replace("disk", &raw.display().to_string()).replace("IMAGE", &path.display().to_string());
        let status = Command::new("sh").args(["-c", &how]).status().expect("sh");
        assert!(status.success(), "{how}: {status}; the packages qemu-utils, zstd and xz-utils make images");
        fs::remove_file(&raw).expect("made here");
        let digest = hash(&path).expect("readable");
        fs::write(&note, format!("{digest}\n{recipe}")).expect("written");
    }
    let digest = made().expect("just made").parse().expect("a digest");
    Image { path, digest, disk }
}

#[test]
fn any_image_is_written_within_64_mib() {
    let Some(group) = Group::limited(LIMIT_MIB) else { return };
    let dir = tempfile::tempdir_in(cache()).expect("a folder");
    for row in IMAGES {
        let image = image(row);
        let content = Content::open(&image.path).expect("an image");
        let server = Server::of(bad_server::File::new(content));
        let target = dir.path().join(row.0);
        File::create(&target).and_then(|file| file.set_len(image.disk)).expect("a sparse file");
        let started = std::time::Instant::now();
        let command = group.command(&program("billet-agent"));
        let mut writing = begin(command, &[&server.url("/image")], &image.digest, &target);
        let mut peak = 0;
        while writing.next_line().is_some() {
            // Never less than before; gone when the last line was read too late.
            peak = peak_kib(writing.id()).unwrap_or(peak);
        }
        let ended = writing.end();
        assert!(ended.is_written(), "{}: {ended:#?}", row.0);
        eprintln!("{}: {} MiB at most, {:.1} s", row.0, peak >> 10, started.elapsed().as_secs_f64());
        assert!(peak > 0 && peak <= MOST_MIB << 10, "{}: {} MiB of memory", row.0, peak >> 10);
        fs::remove_file(&target).expect("made here");
    }
}

/// The measure measures, and the limit limits.
#[test]
fn more_than_the_limit_is_seen_and_killed() {
    let Some(group) = Group::limited(LIMIT_MIB) else { return };
    // tail(1) keeps what may be its last bytes: all of it.
    let hungry = |mib: u32| {
        let script = format!("head -c {mib}M /dev/zero | tail -c {mib}M >/dev/null");
        group.command(Path::new("sh")).args(["-c", &script]).status().expect("sh")
    };
    assert!(hungry(8).success(), "a small program lives");
    assert!(!hungry(400).success(), "a large one does not");
    assert!(peak_kib(std::process::id()).expect("this process") > 1024);
}
