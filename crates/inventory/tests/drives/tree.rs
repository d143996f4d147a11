//! A machine of one or a few disks, as lines of a recording.

use std::fmt::Write as _;

use inventory::{Depth, Options, Root, scan};
use model::inventory::{Disk, Inventory};

/// Lines, as `billet-agent record` writes them.
#[derive(Default)]
pub(crate) struct Tree(String);

impl Tree {
    /// A file with text.
    pub(crate) fn text(mut self, path: &str, text: &str) -> Self {
        let _ = writeln!(self.0, "{path} = {text}");
        self
    }

    /// A file with bytes.
    pub(crate) fn bytes(mut self, path: &str, bytes: &[u8]) -> Self {
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let _ = writeln!(self.0, "{path} = {escaped}");
        self
    }

    /// A symbolic link, to a path from the root.
    pub(crate) fn link(mut self, path: &str, target: &str) -> Self {
        let up = "../".repeat(path.matches('/').count());
        let _ = writeln!(self.0, "{path} -> {up}{target}");
        self
    }

    /// Something that cannot be read.
    pub(crate) fn broken(mut self, path: &str, errno: i32) -> Self {
        let _ = writeln!(self.0, "{path} ! {errno}");
        self
    }

    /// The devices along `path`, such as `0000:00:1f.2=pci/ata1/host0=scsi`; what has
    /// no subsystem has none. Returns the path without them.
    pub(crate) fn chain(mut self, path: &str) -> (Self, String) {
        let mut dir = "sys/devices".to_owned();
        for part in path.split('/') {
            let (name, subsystem) = part.split_once('=').unwrap_or((part, ""));
            dir = format!("{dir}/{name}");
            if !subsystem.is_empty() {
                self = self.link(&format!("{dir}/subsystem"), &format!("sys/bus/{subsystem}"));
            }
        }
        (self, dir)
    }

    /// A disk of a GiB at the end of `path` (see [`Tree::chain`]); a SCSI disk has its
    /// address above it.
    pub(crate) fn disk(self, path: &str) -> Self {
        let (mut tree, dir) = self.chain(path);
        let name = dir.rsplit('/').next().expect("a name").to_owned();
        tree = tree.link(&format!("sys/block/{name}"), &dir).link(&format!("sys/class/block/{name}"), &dir);
        for (file, text) in [
            ("size", "2097152"),
            ("ro", "0"),
            ("removable", "0"),
            ("queue/logical_block_size", "512"),
            ("queue/physical_block_size", "512"),
            ("queue/rotational", "0"),
        ] {
            tree = tree.text(&format!("{dir}/{file}"), text);
        }
        let above = dir.trim_end_matches(&format!("/block/{name}"));
        let address = above.rsplit('/').next().expect("a name");
        if address.matches(':').count() == 3 && !address.contains('.') {
            let scsi = format!("{above}/scsi_device/{address}/");
            tree.0.push_str(&format!("{scsi}\n"));
            tree = tree.link(&format!("{dir}/device"), above);
        }
        tree
    }

    /// What is made of it at full depth.
    pub(crate) fn inventory(&self) -> Inventory {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(dir.path().join("sysfs.txt"), &self.0).expect("written");
        let root = Root::open(dir.path()).expect("a recording");
        scan(&root, &Options { depth: Depth::Whole, ..Options::default() })
    }

    /// Its only disk.
    pub(crate) fn only_disk(&self) -> Disk {
        let mut disks = self.inventory().disks;
        assert_eq!(disks.len(), 1, "{disks:#?}");
        disks.remove(0)
    }
}

/// A SCSI disk of an adapter that says nothing of its transport.
pub(crate) const SCSI: &str =
    "pci0000:00/0000:00:05.0=pci/host0=scsi/target0:0:0=scsi/0:0:0:0=scsi/block/sda";
/// Where its SCSI device is.
pub(crate) const SCSI_DEVICE: &str = "sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:0:0";
