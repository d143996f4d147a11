//! `billet-agent write` among programs: names that are no text, readers that are
//! gone, plans of what cannot be.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A raw image of 3 MiB in a folder.
fn image() -> (TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let raw = vec![0x5a; 3 << 20];
    fs::write(dir.path().join("x.raw"), &raw).expect("written");
    let digest: String = Sha256::digest(&raw).iter().map(|byte| format!("{byte:02x}")).collect();
    (dir, format!("sha256:{digest}"))
}

/// Write the image in `dir` to `target`.
fn write(dir: &Path, checksum: &str, target: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billet-agent"));
    command.args(["write", "--json", "--checksum", checksum, "--image"]).arg(dir.join("x.raw"));
    command.arg("--target").arg(target).args(more).stdin(Stdio::null());
    command
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_target_whose_name_is_no_text_is_written_and_reported() {
    let (dir, checksum) = image();
    let target = dir.path().join(OsStr::from_bytes(b"d\xff"));
    for (more, ok) in [("--plan", true), ("--yes", true), ("--format=qcow2", false)] {
        let output = write(dir.path(), &checksum, &target, &[more]).output().expect("runs");
        assert_eq!(report(&output)["ok"], ok, "{more}");
    }
    assert!(fs::read(&target).expect("a disk").starts_with(&[0x5a; 512]));
}

#[test]
fn a_failure_is_reported_although_nobody_reads_standard_error() {
    let (dir, checksum) = image();
    let full = File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = write(dir.path(), &checksum, &dir.path().join("disk"), &["--yes", "--format=qcow2"]);
    let output = command.stderr(full).output().expect("runs");
    assert_eq!((output.status.code(), &report(&output)["refused"]), (Some(2), &Value::Bool(true)));
}

#[test]
fn a_plan_makes_no_disks_and_no_folders() {
    let (dir, checksum) = image();
    for target in [Path::new("/dev/no-such-disk"), &dir.path().join("none/disk")] {
        let output = write(dir.path(), &checksum, target, &["--plan"]).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{}", target.display());
        assert_eq!(report(&output)["ok"], false);
    }
    let output = write(dir.path(), &checksum, &dir.path().join("new"), &["--plan"]).output().expect("runs");
    assert_eq!((output.status.code(), dir.path().join("new").exists()), (Some(0), false));
}

#[test]
fn an_image_is_not_written_over_itself_through_a_loop_device() {
    let (dir, checksum) = image();
    let made = Command::new("losetup").args(["--show", "-f"]).arg(dir.path().join("x.raw")).output();
    let made = made.expect("losetup runs");
    if !made.status.success() {
        eprintln!("SKIPPED: needs root and loop devices: {}", String::from_utf8_lossy(&made.stderr));
        return;
    }
    let device = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let output = write(dir.path(), &checksum, Path::new(&device), &["--yes"]).output().expect("runs");
    Command::new("losetup").args(["-d", &device]).status().expect("losetup runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(fs::read(dir.path().join("x.raw")).expect("an image").iter().all(|&byte| byte == 0x5a));
}
