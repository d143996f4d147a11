//! What is on a device, against libblkid: its authors' images with their own
//! answers, `blkid` of this machine on the same images, and fresh ones.
//!
//! The images are util-linux's, looked for under `BILLET_CORPUS`.

use std::{
    cell::Cell,
    env, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use disk::signature::{Contents, Extent, Usage, identify, of_file};

/// Named otherwise by libblkid 2.38 than by that of 2026, whose answers we give.
const SINCE_2_38: [&str; 7] =
    ["bcachefs", "bcachefs-3", "cs_fvault2", "dasd-cdl", "erofs-minix-magic", "scoutfs_data", "scoutfs_meta"];
/// The same, for a second LUKS2 header that is left from before.
const LEFT_OVER: &str = "swap-luks";

fn corpus() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = env::var_os("BILLET_CORPUS").map_or(default, PathBuf::from).join("util-linux");
    if !root.is_dir() {
        eprintln!("SKIPPED: no images of util-linux at {}; set BILLET_CORPUS", root.display());
        return None;
    }
    Some(root)
}

fn told(path: &Path) -> Contents {
    let file = File::open(path).expect("an image");
    of_file(&file, 512.try_into().expect("a block size"), Extent::Disk).expect("readable")
}

/// As `blkid` of this machine has it: table and type, each with a question mark
/// when it calls the device ambivalent.
fn blkid(path: &Path) -> Option<Vec<String>> {
    let output = Command::new("blkid").args(["-p", "-o", "export"]).arg(path).output().expect("blkid runs");
    if output.status.code() == Some(8) {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    Some(value("PTTYPE=").into_iter().chain(value("TYPE=")).collect())
}

/// The answers beside the images: names, and the usage.
fn expected(root: &Path, name: &str) -> Option<(Vec<String>, Option<String>)> {
    let read =
        |prefix: &str| fs::read_to_string(root.join("expected/blkid").join(format!("{prefix}{name}"))).ok();
    if let Some(table) = read("lowprobe-pt-") {
        let table = table.split("PT: ").nth(1)?.split(',').next()?;
        return Some((vec![table.to_owned()], None));
    }
    let text = read("low-probe-")?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
    Some((vec![value("ID_FS_TYPE=")?], value("ID_FS_USAGE=")))
}

fn usage(usage: Usage) -> &'static str {
    match usage {
        Usage::Filesystem => "filesystem",
        Usage::Raid => "raid",
        Usage::Crypto => "crypto",
        Usage::Other => "other",
    }
}

/// The image `packed`, unpacked into `dir` with its holes.
fn unpack(packed: &Path, dir: &Path) -> PathBuf {
    let copy = dir.join(packed.file_name().expect("named"));
    fs::copy(packed, &copy).expect("copied");
    let done = Command::new("xz").args(["-d", "-q"]).arg(&copy).status().expect("xz runs");
    assert!(done.success(), "{}", packed.display());
    copy.with_extension("")
}

fn images(root: &Path) -> Vec<PathBuf> {
    let folders = ["ts/blkid/images-fs", "ts/blkid/images-pt"];
    let all = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).expect("images"));
    let mut paths: Vec<_> = all.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_image_of_util_linux_is_named_as_libblkid_names_it() {
    let Some(root) = corpus() else { return };
    let (mut with_answer, mut differ) = (0, Vec::new());
    let images = images(&root);
    for packed in &images {
        let dir = tempfile::tempdir().expect("a directory");
        let image = unpack(packed, dir.path());
        let name = image.file_stem().expect("named").to_string_lossy().into_owned();
        let contents = told(&image);
        if let Some((names, wanted)) = expected(&root, &name) {
            with_answer += 1;
            let usage = contents.signatures.first().map(|found| usage(found.usage).to_owned());
            if (contents.names(), &usage) != (names.clone(), &wanted) {
                differ.push(format!("{name}: {contents:?}, want {names:?} {wanted:?}"));
            }
        }
        let peer = blkid(&image).unwrap_or_default();
        let is_known = SINCE_2_38.contains(&name.as_str()) || name == LEFT_OVER;
        if contents.names() != peer && !is_known {
            differ.push(format!("{name}: {:?}, blkid says {peer:?}", contents.names()));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(images.len() >= 100 && with_answer >= 50, "{} images, {with_answer} answers", images.len());
    eprintln!("{} images named, {with_answer} of them with util-linux's own answer", images.len());
}

/// A partition of the type given (in octal) from sector 64 on, and 256 times as
/// many as the second number (in octal), up to the 10 MiB.
const MBR: &str = r"mbr() { { printf '\0\0\0\0\'$1'\0\0\0\100\'$2'\0\0\000\106\0\0' | dd of=d bs=1 seek=446 conv=notrunc &&
    printf '\125\252' | dd of=d bs=1 seek=510 conv=notrunc; } 2>/dev/null; }";

/// What the commands make of `d`, a file of 96 MiB; `corpus` is the folder of images.
const FRESH: &[&str] = &[
    "mkfs.ext2 -q d",
    "mkfs.ext3 -q d",
    "mkfs.ext4 -q d",
    "mkfs.ext4 -q -O ^has_journal,^extent,^64bit,^flex_bg d",
    "mke2fs -q -O journal_dev d",
    "mkfs.vfat d",
    "mkfs.vfat -F 32 d",
    "mkfs.vfat -F 12 d && truncate -s 4M d",
    "mkfs.minix d",
    "mkfs.minix -3 d",
    "mkfs.bfs d",
    "mkswap -q d",
    "mkswap -q -p 65536 d",
    // Tables, alone and over what was there before.
    "sgdisk -n 1 d",
    "sgdisk -n 1 d && dd if=/dev/zero of=d bs=512 seek=1 count=1 conv=notrunc",
    "sgdisk -n 1 d && dd if=/dev/zero of=d bs=512 count=1 conv=notrunc",
    "sgdisk -n 1 d && dd if=/dev/zero of=d bs=512 seek=1 count=33 conv=notrunc && truncate -s 95M d",
    "mbr 203 010",
    "mbr 005 010",
    "mkfs.ext4 -q d && sgdisk -n 1 d",
    "mkfs.ext4 -q d && mbr 203 010",
    "sgdisk -n 1 d && mkfs.vfat -I d",
    // What the last user left.
    "mkfs.ext4 -q d && mkswap -q -f d",
    "mkswap -q d && cp d e && mkfs.ext4 -q -F d && dd if=e of=d bs=1 skip=4086 seek=4086 count=10 conv=notrunc",
    "mkfs.vfat d && cp d e && mkfs.ext4 -q -F d && dd if=e of=d bs=512 count=1 conv=notrunc",
    "mkfs.minix d && cp d e && mkswap -q -f d && dd if=e of=d bs=1024 skip=1 seek=1 count=1 conv=notrunc",
];

/// The same, of pieces of util-linux's images.
const PIECED: &[&str] = &[
    // A pool whose first labels a new file system went over, and one that was not.
    "cp zfs d && mkfs.ext4 -q -F d",
    "cp zfs d && sgdisk -n 1:34:0 d",
    "cp lvm2 d && truncate -s 96M d && mbr 203 010",
    "cp lvm2 d && truncate -s 96M d && sgdisk -n 1 d",
    "cp mdraid d && mbr 203 010",
    "cp mdraid d && mbr 203 000",
    "cp mdraid d && sgdisk -n 1:64:0 d",
    "cp mdraid-1 d && mbr 203 010",
    "cp xfs d && cat jfs | dd of=d bs=1024 skip=32 seek=32 count=8 conv=notrunc",
    "cp iso d && truncate -s 96M d && mbr 203 010",
    "cp btrfs d && mkfs.ext4 -q -F d",
    "cp btrfs d && dd if=/dev/zero of=d bs=1M count=1 conv=notrunc",
    "cat udf iso > d",
];

fn differences(dir: &Path, lines: &[&str]) -> Vec<String> {
    let mut differ = Vec::new();
    for line in lines {
        let image = dir.join("d");
        let _ = fs::remove_file(&image);
        File::create(&image).and_then(|file| file.set_len(96 << 20)).expect("a file");
        let made = Command::new("sh")
            .args(["-c", &format!("{MBR}\n{line}")])
            .current_dir(dir)
            .output()
            .expect("sh runs");
        assert!(made.status.success(), "{line}: {made:?}");
        let (ours, theirs) = (told(&image), blkid(&image));
        let agree = match &theirs {
            Some(names) => !ours.ambivalent && ours.names() == *names,
            None => ours.ambivalent,
        };
        if !agree {
            differ.push(format!("{line}: {ours:?}, blkid says {theirs:?}"));
        }
    }
    differ
}

#[test]
fn what_tools_make_and_leave_behind_is_named_as_blkid_names_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let differ = differences(dir.path(), FRESH);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn pieces_of_several_owners_are_named_as_blkid_names_them() {
    let Some(root) = corpus() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["zfs", "lvm2", "mdraid", "mdraid-1", "xfs", "jfs", "iso", "btrfs", "udf"] {
        let image = unpack(&root.join(format!("ts/blkid/images-fs/{name}.img.xz")), dir.path());
        fs::rename(image, dir.path().join(name)).expect("renamed");
    }
    let differ = differences(dir.path(), PIECED);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_device_that_fails_anywhere_is_not_described_and_is_asked_no_more() {
    const SIZE: u64 = 1 << 40;
    let block = 512.try_into().expect("a block size");
    let look = |failing: u64, reads: &Cell<u64>, bytes: &Cell<u64>| {
        identify(SIZE, block, Extent::Disk, &|at, into| {
            assert!(at + into.len() as u64 <= SIZE, "reads past the end");
            assert!(reads.get() <= failing, "asked after it failed");
            reads.set(reads.get() + 1);
            bytes.set(bytes.get() + into.len() as u64);
            if reads.get() > failing { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        })
    };
    let (reads, bytes) = (Cell::new(0), Cell::new(0));
    assert_eq!(look(u64::MAX, &reads, &bytes).expect("readable"), Contents::default());
    let all = reads.get();
    assert!(bytes.get() <= 2 << 20, "{all} reads, {} bytes", bytes.get());
    for failing in 0..all {
        let err = look(failing, &Cell::new(0), &Cell::new(0)).expect_err("failed");
        assert_eq!(err.raw_os_error(), Some(5), "read {failing} of {all}");
    }
}

#[test]
fn raid_of_a_controller_is_on_disks_only() {
    let block = 512.try_into().expect("a block size");
    let mark = b"Intel Raid ISM Cfg Sig. 1.0.00";
    let size: u64 = 2 << 20;
    let look = |extent| {
        let read = |at: u64, into: &mut [u8]| {
            if let Some(from) = (size - 1024).checked_sub(at).and_then(|from| usize::try_from(from).ok())
                && let Some(place) = into.get_mut(from..from + mark.len())
            {
                place.copy_from_slice(mark);
            }
            Ok(())
        };
        identify(size, block, extent, &read).expect("readable").names()
    };
    assert_eq!(look(Extent::Disk), ["isw_raid_member"]);
    assert!(look(Extent::Partition).is_empty());
}
