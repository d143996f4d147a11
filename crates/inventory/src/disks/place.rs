//! Where a disk's controller sits, and the slot where a person finds the disk.

use std::path::{Path, PathBuf};

use model::inventory::Disk;

use crate::{by_path, limits, reader::Reader};

/// Places with names, as enclosures and PCI hot-plug controllers call them.
pub(super) struct Slots {
    /// SCSI address and name.
    enclosures: Vec<(String, String)>,
    /// PCI address without function, and name.
    pci: Vec<(String, String)>,
}

impl Slots {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        let mut enclosures = Vec::new();
        for enclosure in reader.list(ENCLOSURES).into_iter().take(limits::ENCLOSURES) {
            let dir = format!("{ENCLOSURES}/{enclosure}");
            for component in reader.list(&dir).into_iter().take(limits::ENCLOSURE_SLOTS) {
                let disk = reader.link_name(format!("{dir}/{component}/device"));
                enclosures.extend(disk.filter(|disk| disk.contains(':')).map(|disk| (disk, component)));
            }
        }
        let address = |slot: &String| reader.text(format!("{PCI_SLOTS}/{slot}/address"));
        let pci = reader.list(PCI_SLOTS).into_iter().filter_map(|slot| Some((address(&slot)?, slot)));
        Self { enclosures, pci: pci.collect() }
    }
}

const ENCLOSURES: &str = "sys/class/enclosure";
const PCI_SLOTS: &str = "sys/bus/pci/slots";

/// Fill in where `disk` is.
pub(super) fn fill(reader: &Reader<'_>, dir: &Path, slots: &Slots, disk: &mut Disk) {
    // Behind native multipathing there are several; that which udev names.
    let shared = disk.namespace.is_some() && !dir.ancestors().any(is_pci_function);
    let from = if shared { by_path::controller(reader, dir) } else { Some(dir.to_owned()) };
    let controller = from.as_deref().and_then(pci_function);
    let node = controller.as_deref().and_then(|controller| numa_node(reader, controller));
    disk.numa_node = node;
    disk.pci_address = controller.and_then(|controller| Some(controller.file_name()?.to_str()?.to_owned()));
    let hctl = || disk.hctl.as_ref();
    let of_enclosure = slots.enclosures.iter().find(|(address, _)| Some(address) == hctl());
    let of_bus = slots.pci.iter().find(|(address, _)| {
        // An adapter's slot is not its disks'.
        disk.namespace.is_some() && disk.pci_address.as_deref().and_then(without_function) == Some(address)
    });
    disk.slot = of_enclosure.or(of_bus).map(|(_, slot)| slot.clone());
}

/// The nearest PCI function above: behind a volume management device the drive's own.
fn pci_function(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|dir| is_pci_function(dir)).map(Path::to_owned)
}

/// `0000:5e:00.0`; domains behind a VMD have five digits.
fn is_pci_function(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let hex = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let parse = || {
        let (device, function) = name.rsplit_once('.')?;
        let mut parts = device.split(':');
        let all = [parts.next()?, parts.next()?, parts.next()?];
        Some(
            parts.next().is_none()
                && hex(all[0], 4..=8)
                && hex(all[1], 2..=2)
                && hex(all[2], 2..=2)
                && hex(function, 1..=1),
        )
    };
    parse().unwrap_or(false)
}

fn without_function(address: &str) -> Option<&str> {
    address.rsplit_once('.').map(|(device, _)| device)
}

/// Of the function, or else of a bridge above it: -1 is "not known".
fn numa_node(reader: &Reader<'_>, function: &Path) -> Option<u32> {
    let node = reader.number::<i32>(function.join("numa_node"))?;
    u32::try_from(node).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_pci_function_is_the_controller() {
        let of = |path: &str| pci_function(Path::new(path)).map(|found| found.display().to_string());
        let vmd = "sys/devices/pci0000:d7/0000:d7:05.5/pci10002:00/10002:00:02.0/10002:81:00.0";
        assert_eq!(of(&format!("{vmd}/nvme/nvme0/nvme0n1")).as_deref(), Some(vmd));
        assert_eq!(
            of("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda").as_deref(),
            Some("sys/devices/pci0000:00/0000:00:1f.2")
        );
        assert_eq!(of("sys/devices/virtual/block/md0"), None);
        assert!(!is_pci_function(Path::new("0:0:0:0")) && !is_pci_function(Path::new("pci0000:00")));
    }
}
