//! What is written on a real block device is in its inventory, and what is
//! recorded of it is names.

use std::{fs::File, path::PathBuf, process::Command};

use inventory::{Depth, Identifiers, Options, Root, record_archive, scan};

/// A loop device, detached when dropped.
struct Loop {
    node: String,
    _file: tempfile::NamedTempFile,
}

impl Loop {
    /// One of 64 MiB with a GPT of one partition; `None` where there can be none.
    fn partitioned() -> Option<Self> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(64 << 20).expect("sized");
        let path = file.path().display().to_string();
        run("sgdisk", &["-n", "1", &path]);
        let attached = Command::new("losetup").args(["-fP", "--show", &path]).output().ok()?;
        let node = String::from_utf8_lossy(&attached.stdout).trim().to_owned();
        if !attached.status.success() || File::open(format!("{node}p1")).is_err() {
            eprintln!("SKIPPED: this needs root and loop devices with partitions");
            return None;
        }
        Some(Self { node, _file: file })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.node]).status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("the program is installed");
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

#[test]
fn a_disk_and_its_partitions_tell_what_is_written_on_them() {
    let Some(disk) = Loop::partitioned() else { return };
    run("mkfs.ext4", &["-q", &format!("{}p1", disk.node)]);
    let only = Options { only_disks: vec![PathBuf::from(&disk.node)], ..Options::default() };
    let quick = scan(&Root::live(), &only);
    assert!(quick.disks[0].signatures.is_empty(), "no device is spoken to");
    let whole = Options { depth: Depth::Whole, ..only };
    let told = scan(&Root::live(), &whole);
    let [found] = told.disks.as_slice() else { panic!("{:?}", told.disks) };
    assert_eq!(found.signatures, ["gpt"]);
    assert_eq!(found.partitions.len(), 1, "{found:?}");
    assert_eq!(found.partitions[0].signatures, ["ext4"]);

    // A recording says the same. (Its disk is a loop device, which only a running machine is asked for.)
    let recording = record_archive(&Root::live(), &whole, Identifiers::Replace).expect("recorded");
    let text = String::from_utf8_lossy(&recording).into_owned();
    let name = disk.node.trim_start_matches("/dev/");
    for line in [format!("kernel/signatures/{name} = gpt"), format!("kernel/signatures/{name}p1 = ext4")] {
        assert!(text.contains(&line), "{line} is not in the recording");
    }
}
