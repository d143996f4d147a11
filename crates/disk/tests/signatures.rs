//! What is on a device, against libblkid: its authors' images with their own
//! answers, `blkid` of this machine on the same images, and fresh ones.
//!
//! The images are util-linux's, looked for under `BILLET_CORPUS`.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use disk::signature::{Contents, Extent, Usage, of_file};

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
