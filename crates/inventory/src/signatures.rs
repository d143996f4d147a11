//! What is written on disks and partitions.
//!
//! A recording holds the names that were found, not the bytes: those belong to
//! whoever uses the disk.

use std::{
    io,
    time::{Duration, Instant},
};

use disk::signature::{self, Extent};
use model::{BlockSize, inventory::Disk};

use crate::{drive, reader::Reader};

/// A table and some leftovers.
const NAMES_LIMIT: usize = 16;
/// The longest so far is `promise_fasttrack_raid_member`.
const NAME_LENGTH: usize = 32;

/// How long drives that fail may hold up one scan: the kernel tries for half a
/// minute and longer. A look at one that is well takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fill in the signatures of `disks` and of their partitions.
pub(crate) fn read(reader: &Reader<'_>, disks: &mut [Disk]) {
    let begun = Instant::now();
    for disk in disks {
        if begun.elapsed() >= PATIENCE {
            reader.warn(path(&disk.name), "was not looked at: drives took too long");
            continue;
        }
        let found = names(reader, &disk.name, disk.logical_block, Extent::Disk);
        // What fails or is held fails and is held in each of its partitions.
        if found.is_none() && reader.is_live() {
            continue;
        }
        disk.signatures = found.unwrap_or_default();
        for partition in &mut disk.partitions {
            if begun.elapsed() >= PATIENCE {
                reader
                    .warn(path(&partition.name), "was not looked at, nor what follows: drives took too long");
                break;
            }
            let found = names(reader, &partition.name, disk.logical_block, Extent::Partition);
            partition.signatures = found.unwrap_or_default();
        }
    }
}

fn path(name: &str) -> String {
    format!("kernel/signatures/{name}")
}

/// One name a line. A device that cannot be read wholly is a warning, and `None`.
fn names(reader: &Reader<'_>, name: &str, block: BlockSize, extent: Extent) -> Option<Vec<String>> {
    let answer = reader.ask(&path(name), &|| look(name, block, extent))?;
    let text = String::from_utf8(answer).unwrap_or_default();
    Some(text.lines().filter(|line| is_name(line)).take(NAMES_LIMIT).map(str::to_owned).collect())
}

/// A recording may hold anything.
fn is_name(line: &str) -> bool {
    (1..=NAME_LENGTH).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_graphic())
}

fn look(name: &str, block: BlockSize, extent: Extent) -> io::Result<Vec<u8>> {
    // A drive in the middle of an erase would keep a read waiting for hours.
    let file = drive::open(name, false)?;
    Ok(signature::of_file(&file, block, extent)?.names().join("\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, process::Command};

    use super::*;
    use crate::Root;

    const O_EXCL: i32 = 0o200;

    #[test]
    fn a_disk_that_is_held_is_not_read_until_it_is_given_back() {
        let mut image = tempfile::NamedTempFile::new().expect("a file");
        image.write_all(b"LUKS\xba\xbe\x00\x01").expect("written");
        image.as_file().set_len(1 << 20).expect("sized");
        let made = Command::new("losetup").args(["--find", "--show"]).arg(image.path()).output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else {
            return eprintln!("SKIPPED: needs root and a loop device");
        };
        let device = String::from_utf8(made.stdout).expect("a path").trim().to_owned();
        let root = Root::live();
        let look = || {
            let reader = Reader::new(&root);
            let name = device.trim_start_matches("/dev/").to_owned();
            let mut disks = [Disk { name, ..Disk::default() }];
            read(&reader, &mut disks);
            (disks[0].signatures.clone(), reader.warnings())
        };
        let held = OpenOptions::new().read(true).custom_flags(O_EXCL).open(&device).expect("ours");
        let (unseen, warnings) = look();
        drop(held);
        let (seen, none) = look();
        let gone = Command::new("losetup").arg("--detach").arg(&device).status();
        assert!(gone.is_ok_and(|gone| gone.success()));
        assert!(unseen.is_empty(), "{unseen:?}");
        assert!(
            warnings.len() == 1 && warnings[0].reason.contains("another program holds it"),
            "{warnings:?}"
        );
        assert_eq!((seen, none), (vec!["crypto_LUKS".to_owned()], vec![]));
    }
}
