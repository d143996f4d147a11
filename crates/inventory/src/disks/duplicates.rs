//! Disks that cannot be told apart: a root device hint by serial number takes
//! whichever comes first.

use model::inventory::{Disk, DiskKind};

use super::BLOCK;
use crate::reader::Reader;

/// Serial numbers that get a warning of their own; with hundreds of paths to an array
/// that nobody put together, the first few tell.
const TOLD: usize = 4;

/// One warning for each serial number that several disks have and nothing explains.
pub(super) fn warn(reader: &Reader<'_>, disks: &[Disk]) {
    let mut told: Vec<&str> = Vec::new();
    let mut last = None;
    for (nth, disk) in disks.iter().enumerate() {
        let Some(serial) = disk.serial.as_deref().filter(|serial| !told.contains(serial)) else { continue };
        let alike = disks[nth + 1..].iter().filter(|other| other.serial.as_deref() == Some(serial));
        let strange: Vec<&Disk> = alike.filter(|other| !is_explained(disk, other)).collect();
        let Some(first) = strange.first() else { continue };
        told.push(serial);
        last = Some(first.name.as_str());
        if told.len() > TOLD {
            continue;
        }
        let more = match strange.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let same_name = disk.wwn.is_some() && disk.wwn == first.wwn;
        let why = if same_name { "; two paths to one disk?" } else { "" };
        let path = format!("{BLOCK}/{}", first.name);
        reader.warn(path, format_args!("has the serial number of {}{more}{why}", disk.name));
    }
    if let (Some(name), more @ 1..) = (last, told.len().saturating_sub(TOLD)) {
        let reason = format_args!("and others: {more} more serial numbers that several disks have");
        reader.warn(format!("{BLOCK}/{name}"), reason);
    }
}

/// Namespaces of one drive share its serial number, as maps and arrays may that
/// stand on one of the two.
fn is_explained(one: &Disk, other: &Disk) -> bool {
    let subsystem = |disk: &Disk| disk.namespace.as_ref().and_then(|namespace| namespace.subsystem.clone());
    let id = |disk: &Disk| disk.namespace.as_ref().map(|namespace| namespace.id);
    let neighbours = subsystem(one).is_some() && subsystem(one) == subsystem(other) && id(one) != id(other);
    neighbours || [one, other].iter().any(|disk| disk.kind != DiskKind::Disk)
}

#[cfg(test)]
mod tests {
    use model::inventory::{Namespace, Wwn};

    use super::*;
    use crate::Root;

    fn disk(name: &str, serial: &str) -> Disk {
        Disk { name: name.to_owned(), serial: Some(serial.to_owned()), ..Disk::default() }
    }

    fn warnings(disks: &[Disk]) -> Vec<String> {
        let root = Root::at("/nonexistent");
        let reader = Reader::new(&root);
        warn(&reader, disks);
        reader.warnings().iter().map(|warning| format!("{}: {}", warning.path, warning.reason)).collect()
    }

    #[test]
    fn disks_with_one_serial_number_are_named_once() {
        let mut disks: Vec<_> = (0..500).map(|nth| disk(&format!("sd{nth}"), "ALL THE SAME")).collect();
        assert_eq!(warnings(&disks), ["sys/block/sd1: has the serial number of sd0 and 498 more"]);
        disks.truncate(1);
        disks.push(disk("sdb", "another"));
        disks.push(Disk { name: "sdc".to_owned(), ..Disk::default() });
        disks.push(Disk { name: "sdd".to_owned(), ..Disk::default() });
        assert!(warnings(&disks).is_empty());
    }

    #[test]
    fn many_such_serial_numbers_are_counted() {
        let disks: Vec<_> =
            (0..300).map(|nth| disk(&format!("sd{nth:03}"), &format!("S{}", nth % 100))).collect();
        let told = warnings(&disks);
        assert_eq!(told.len(), TOLD + 1, "{told:?}");
        assert_eq!(told[TOLD], "sys/block/sd199: and others: 96 more serial numbers that several disks have");
    }

    #[test]
    fn paths_to_one_disk_are_suspected_and_namespaces_are_not() {
        let wwn = Some(Wwn { id: "0x5".to_owned(), vendor_extension: None, with_extension: None });
        let (one, other) = (Disk { wwn: wwn.clone(), ..disk("sda", "X") }, Disk { wwn, ..disk("sdb", "X") });
        assert_eq!(
            warnings(&[one, other]),
            ["sys/block/sdb: has the serial number of sda; two paths to one disk?"]
        );
        let of = |name, id, subsystem: &str| Disk {
            namespace: Some(Namespace { id, subsystem: Some(subsystem.to_owned()), ..Namespace::default() }),
            ..disk(name, "X")
        };
        assert!(warnings(&[of("nvme0n1", 1, "nqn.a"), of("nvme0n2", 2, "nqn.a")]).is_empty());
        assert_eq!(warnings(&[of("nvme0n1", 1, "nqn.a"), of("nvme1n1", 1, "nqn.b")]).len(), 1);
        assert_eq!(
            warnings(&[of("nvme0n1", 1, "nqn.a"), of("nvme1n1", 1, "nqn.a")]).len(),
            1,
            "paths without a map"
        );
    }
}
