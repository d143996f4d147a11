//! Disks that somebody else reaches too: erasing one erases his data.

use std::{fs, fs::File, path::Path};

use disk::{Layer, Tree};
use model::inventory::{Disk, DiskKind, Transport};
use sys::sg::Transfer;

use crate::scsi::{ASK_TIMEOUT_MS, Outcome, Wire, run};

/// More disks than this are in no machine.
const DISKS_LIMIT: usize = 4096;
/// Names that are unique in the world. Others (`t10.`) are made from model and
/// serial, which cheap adapters repeat.
const UNIQUE: [&str; 3] = ["naa.", "eui.", "uuid."];
/// PERSISTENT RESERVE IN, READ KEYS, eight bytes of the answer.
const READ_KEYS: [u8; 10] = [0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0];
/// A SCSI status (SAM-5 5.3.1).
const RESERVATION_CONFLICT: u8 = 0x18;

/// Why somebody else may reach `disk`, one sentence each. `file` is the open
/// disk, to be asked; without it only sysfs is.
pub(crate) fn reasons(root: &Path, disk: &Disk, tree: &Tree, file: Option<&File>) -> Vec<String> {
    let mut reasons = Vec::new();
    if disk.kind == DiskKind::Multipath {
        reasons.push("it is a multipath map".to_owned());
    }
    let maps = tree.stacked().into_iter().filter(|layer| layer.layer == Layer::Multipath);
    reasons.extend(maps.map(|map| format!("the multipath map {} has it as a path", map.name)));
    let twins = other_paths(root, disk);
    if !twins.is_empty() {
        reasons.push(format!("{} has the same world wide name", twins.join(", ")));
    }
    reasons.extend(file.and_then(|file| by_asking(disk, file)));
    reasons
}

/// Other disks of the same name and size: further paths to the same medium.
fn other_paths(root: &Path, disk: &Disk) -> Vec<String> {
    let blocks = root.join("sys/block");
    let Some(own) = identity(&blocks.join(&disk.name)) else { return Vec::new() };
    let entries = fs::read_dir(&blocks).into_iter().flatten().flatten().take(DISKS_LIMIT);
    let mut twins: Vec<String> = entries
        .filter(|entry| identity(&entry.path()).is_some_and(|other| other == own))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| *name != disk.name && !is_hidden(&blocks.join(name)))
        .collect();
    model::order::sort(&mut twins);
    twins
}

/// One of several ways to a namespace, which Linux joins into one disk by itself.
fn is_hidden(dir: &Path) -> bool {
    fs::read_to_string(dir.join("hidden")).is_ok_and(|hidden| hidden.trim() == "1")
}

/// World wide name (`wwid` of NVMe, `device/wwid` of SCSI) and size.
fn identity(dir: &Path) -> Option<(String, String)> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
    let name = read("wwid").or_else(|| read("device/wwid"))?;
    let name = name.trim();
    let unique = UNIQUE.iter().any(|prefix| name.starts_with(prefix));
    unique.then(|| Some((name.to_owned(), read("size")?.trim().to_owned())))?
}

/// What the drive itself says.
fn by_asking(disk: &Disk, file: &File) -> Option<String> {
    match disk.transport {
        Some(Transport::Nvme) => {
            let id = sys::nvme::namespace_id(file).ok()?;
            let namespace = sys::nvme::identify_namespace(file, id).ok()?;
            is_shared_namespace(&namespace)
                .then(|| "its namespace may be attached to several controllers (NMIC bit 0)".to_owned())
        }
        Some(Transport::Sas | Transport::Fc | Transport::Iscsi) => reserved(&mut file.try_clone().ok()?),
        // Volumes of RAID controllers and of hypervisors.
        None if disk.name.starts_with("sd") => reserved(&mut file.try_clone().ok()?),
        None
        | Some(
            Transport::Sata
            | Transport::Ata
            | Transport::Spi
            | Transport::Usb
            | Transport::Virtio
            | Transport::Mmc,
        ) => None,
    }
}

/// NVM command set, Identify Namespace byte 30 (NMIC), bit 0.
fn is_shared_namespace(identify: &[u8]) -> bool {
    identify.get(30).is_some_and(|nmic| nmic & 1 != 0)
}

/// Whose disk it is by its reservations: PERSISTENT RESERVE IN, READ KEYS (SPC-4
/// 6.15). A disk that does not know the command has none.
fn reserved(wire: &mut dyn Wire) -> Option<String> {
    let mut data = [0; 8];
    let mut transfer = Transfer::In(&mut data);
    let outcome = run(wire, "PERSISTENT RESERVE IN", &READ_KEYS, &mut transfer, ASK_TIMEOUT_MS);
    match outcome.ok()? {
        // The length of all keys stands in the header, however little of them was asked for.
        Outcome::Good => match u32::from_be_bytes([data[4], data[5], data[6], data[7]]) / 8 {
            0 => None,
            1 => Some("a host is registered for its reservation".to_owned()),
            keys => Some(format!("{keys} hosts are registered for its reservation")),
        },
        Outcome::Status(RESERVATION_CONFLICT) => Some("another host has it reserved".to_owned()),
        Outcome::Sense(_) | Outcome::Status(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use sys::sg::Reply;

    use super::*;
    use crate::plan::tests::disk;

    fn tree(layers: Vec<Tree>) -> Tree {
        Tree { name: "sda".into(), number: (8, 0), layer: Layer::Disk, users: Vec::new(), above: layers }
    }

    #[test]
    fn a_second_path_is_told_by_name_and_size() {
        let root = tempfile::tempdir().expect("a directory");
        for (name, file, wwid, size) in [
            ("sda", "device/wwid", "naa.5000c500a1b2c3d4", "100"),
            ("sdb", "device/wwid", "naa.5000c500a1b2c3d4", "100"),
            ("sdc", "device/wwid", "naa.5000c500a1b2c3d4", "200"),
            ("sdd", "device/wwid", "naa.5000c500ffffffff", "100"),
            ("sde", "device/wwid", "t10.USB Storage 0001", "100"),
            ("sdf", "device/wwid", "t10.USB Storage 0001", "100"),
            ("nvme0n1", "wwid", "eui.0025388b01b2c3d4", "100"),
            // The kernel joins the ways to a namespace itself, and hides each of them.
            ("nvme1n1", "wwid", "eui.0025388b01b2c3d5", "100"),
            ("nvme1c1n1", "wwid", "eui.0025388b01b2c3d5", "100"),
        ] {
            let dir = root.path().join("sys/block").join(name);
            fs::create_dir_all(dir.join("device")).expect("made");
            fs::write(dir.join(file), format!("{wwid}\n")).expect("written");
            fs::write(dir.join("size"), format!("{size}\n")).expect("written");
            let hidden = u8::from(name == "nvme1c1n1");
            fs::write(dir.join("hidden"), format!("{hidden}\n")).expect("written");
        }
        for (name, want) in [
            ("sda", vec!["sdb has the same world wide name"]),
            ("sdd", vec![]),
            ("sde", vec![]),
            ("nvme0n1", vec![]),
            ("nvme1n1", vec![]),
        ] {
            assert_eq!(reasons(root.path(), &disk(name), &tree(vec![]), None), want, "{name}");
        }
    }

    #[test]
    fn a_multipath_map_is_shared_and_so_is_each_of_its_paths() {
        let nowhere = Path::new("/nonexistent");
        let map = Tree { name: "dm-0".into(), number: (253, 0), layer: Layer::Multipath, ..tree(vec![]) };
        let path = reasons(nowhere, &disk("sda"), &tree(vec![map]), None);
        assert_eq!(path, ["the multipath map dm-0 has it as a path"]);
        let whole = Disk { kind: DiskKind::Multipath, ..disk("dm-0") };
        assert_eq!(reasons(nowhere, &whole, &tree(vec![]), None), ["it is a multipath map"]);
    }

    #[test]
    fn nmic_is_bit_0_of_byte_30() {
        let mut identify = vec![0; 4096];
        assert!(!is_shared_namespace(&identify) && !is_shared_namespace(&[]));
        identify[30] = 1;
        assert!(is_shared_namespace(&identify));
    }

    /// Answers every command with this.
    struct Target(Reply, [u8; 8]);

    impl Wire for Target {
        fn send(&mut self, command: &[u8], transfer: Transfer<'_>, _: u32) -> std::io::Result<Reply> {
            assert_eq!(command, READ_KEYS);
            let Transfer::In(data) = transfer else { panic!("it asks") };
            data.copy_from_slice(&self.1);
            Ok(self.0.clone())
        }
    }

    #[test]
    fn whoever_is_registered_or_has_it_reserved_is_another_owner() {
        let with_status = |status| Reply { status, ..Reply::default() };
        let unknown = vec![0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0];
        for (reply, keys, want) in [
            (with_status(0), 0, None),
            (with_status(0), 1, Some("a host is registered for its reservation")),
            (with_status(0), 3, Some("3 hosts are registered for its reservation")),
            (with_status(0x18), 0, Some("another host has it reserved")),
            (with_status(0x08), 3, None),
            (Reply { status: 2, sense: unknown, ..Reply::default() }, 3, None),
            (Reply { host: 1, ..Reply::default() }, 3, None),
        ] {
            let answer = [0, 0, 0, 1, 0, 0, 0, keys * 8];
            let found = reserved(&mut Target(reply.clone(), answer));
            assert_eq!(found.as_deref(), want, "{reply:?}");
        }
    }

    #[test]
    fn a_file_is_asked_in_vain() {
        let file = tempfile::tempfile().expect("a file");
        for transport in [Some(Transport::Nvme), Some(Transport::Sas), Some(Transport::Sata), None] {
            let disk = Disk { transport, ..disk("sda") };
            assert_eq!(by_asking(&disk, &file), None);
        }
    }
}
