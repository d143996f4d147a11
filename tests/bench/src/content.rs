//! A disk image with real content: this machine's own `/usr` in ext4 beside an
//! ESP, on a GPT. The same files at the same places every time; only the times
//! that the file system keeps of them differ.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::program::bash;

/// Where the content is taken from.
const FROM: &str = "/usr";
/// Changes when the recipe below does.
const RECIPE: u32 = 1;
/// Files smaller than this cost more than they weigh.
const SMALLEST: u64 = 1 << 10;
/// One huge file is not what a Debian is made of.
const LARGEST: u64 = 48 << 20;
/// A tree deeper than this loops.
const DEEPEST: usize = 40;

/// How large the image is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The disk, in MiB.
    pub(crate) disk_mib: u64,
    /// The files in it, in MiB.
    pub(crate) content_mib: u64,
}

/// What is compared: 4 GiB with 1.3 GiB of files.
pub(crate) const FULL: Size = Size { disk_mib: 4096, content_mib: 1331 };
/// For work on the benchmark itself.
pub(crate) const QUICK: Size = Size { disk_mib: 1024, content_mib: 340 };

/// Make `disk.raw` in `folder`, unless it is there. Its path.
///
/// # Errors
/// When a program is missing or fails, or this machine has too few files.
pub(crate) fn make(folder: &Path, size: Size) -> Result<PathBuf> {
    let (raw, key) = (folder.join("disk.raw"), folder.join("disk.key"));
    let wanted = format!("{RECIPE} {size:?}");
    if raw.is_file() && fs::read_to_string(&key).is_ok_and(|key| key == wanted) {
        return Ok(raw);
    }
    eprintln!("bench: making a disk of {} MiB with {} MiB of {FROM}", size.disk_mib, size.content_mib);
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let tree = folder.join("tree");
    fs::create_dir_all(&tree)?;
    let chosen = choose(size.content_mib << 20)?;
    for file in &chosen {
        link(file, &tree)?;
    }
    bash(&recipe(size), folder).context("cannot make the disk")?;
    fs::remove_dir_all(&tree)?;
    fs::File::create(&key)?.write_all(wanted.as_bytes())?;
    Ok(raw)
}

/// Files in the order of their names, until they are `bytes`.
fn choose(bytes: u64) -> Result<Vec<PathBuf>> {
    let mut chosen = Vec::new();
    let mut sum = 0;
    walk(Path::new(FROM), DEEPEST, &mut |path, length| {
        if sum < bytes && (SMALLEST..=LARGEST).contains(&length) {
            sum += length;
            chosen.push(path.to_owned());
        }
    })?;
    ensure!(sum >= bytes, "{FROM} holds only {} MiB of files; {} are wanted", sum >> 20, bytes >> 20);
    Ok(chosen)
}

fn walk(folder: &Path, deep: usize, see: &mut impl FnMut(&Path, u64)) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        if metadata.is_dir() && deep > 0 {
            walk(&entry.path(), deep - 1, see)?;
        } else if metadata.is_file() && metadata.nlink() == 1 {
            see(&entry.path(), metadata.len());
        }
    }
    Ok(())
}

/// `file` into `tree` under its own path: a link where that is possible.
fn link(file: &Path, tree: &Path) -> Result<()> {
    let into = tree.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(folder) = into.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::hard_link(file, &into).is_err() {
        fs::copy(file, &into).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

/// An ESP of 64 MiB from the first mebibyte, ext4 in the rest but the last.
fn recipe(size: Size) -> String {
    let root_mib = size.disk_mib - 66;
    format!(
        "export SOURCE_DATE_EPOCH=1700000000 E2FSPROGS_FAKE_TIME=1700000000 MTOOLS_SKIP_CHECK=1
truncate -s {disk}M disk.new
sgdisk --disk-guid=6d1d6d1d-0000-4000-8000-000000000001 \
  --new=1:2048:+64M --typecode=1:ef00 --partition-guid=1:6d1d6d1d-0000-4000-8000-000000000002 \
  --new=2:0:0 --typecode=2:8300 --partition-guid=2:6d1d6d1d-0000-4000-8000-000000000003 disk.new
mkfs.vfat --invariant -F 32 --offset 2048 disk.new 65536
find tree -type f -size -4000k | sort | head -n 400 | tail -n 20 | xargs -d '\\n' mcopy -i disk.new@@1M -n -t -D o -s -Q 2>/dev/null ::/ || true
mke2fs -q -t ext4 -U 6d1d6d1d-0000-4000-8000-000000000004 \
  -E offset=$((65 * 1024 * 1024)),hash_seed=6d1d6d1d-0000-4000-8000-000000000005 -d tree disk.new {root_mib}M
mv disk.new disk.raw",
        disk = size.disk_mib,
    )
}
