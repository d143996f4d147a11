//! The PCI bus: every function, its link, and which of them compute.

mod names;

use std::path::{Path, PathBuf};

use model::inventory::{Accelerator, AcceleratorKind, PciDevice, PciIds, PciLink};

use crate::{limits, reader::Reader};

const DEVICES: &str = "sys/bus/pci/devices";

/// Makers of GPUs: AMD, NVIDIA, Moore Threads, Intel. A display controller of anybody
/// else (ASPEED, Matrox, QEMU) is the BMC's or a hypervisor's picture.
const GPU_MAKERS: [&str; 4] = ["0x1002", "0x10de", "0x1ed5", "0x8086"];
const AMD: &str = "0x1002";

/// Every function, by address.
pub(crate) fn read(reader: &Reader<'_>) -> Vec<PciDevice> {
    let mut addresses = reader.list(DEVICES);
    if addresses.len() > limits::PCI_DEVICES {
        reader.warn(DEVICES, format_args!("has more than {} devices", limits::PCI_DEVICES));
        addresses.truncate(limits::PCI_DEVICES);
    }
    let mut devices: Vec<_> = addresses.iter().filter_map(|address| device(reader, address)).collect();
    let best: Vec<_> = devices.iter().map(|device| best_link(device, &devices)).collect();
    for (device, best) in devices.iter_mut().zip(best) {
        device.best_link = best;
    }
    devices
}

/// Those of `devices` that compute, virtual functions left out.
pub(crate) fn accelerators(devices: &[PciDevice]) -> Vec<Accelerator> {
    let physical = devices.iter().filter(|device| device.physical_function.is_none());
    let accelerator = |device: &PciDevice| {
        Some(Accelerator {
            kind: kind(device)?,
            pci_address: device.address.clone(),
            ids: device.ids.clone(),
            vendor_name: device.vendor_name.clone(),
        })
    };
    physical.filter_map(accelerator).collect()
}

fn kind(device: &PciDevice) -> Option<AcceleratorKind> {
    let vendor = device.ids.vendor.as_str();
    match device.class.get(2..6)? {
        "0302" => Some(AcceleratorKind::Gpu),
        "0300" | "0380" if GPU_MAKERS.contains(&vendor) => Some(AcceleratorKind::Gpu),
        "0b40" => Some(AcceleratorKind::Coprocessor),
        // AMD's MI300 and later.
        "1200" if vendor == AMD => Some(AcceleratorKind::Gpu),
        class if class.starts_with("12") => Some(AcceleratorKind::Accelerator),
        _ => None,
    }
}

fn device(reader: &Reader<'_>, address: &str) -> Option<PciDevice> {
    let place = reader.real(Path::new(DEVICES).join(address))?;
    let ids = ids(reader, &place, "vendor", "device");
    let Some((ids, class)) = ids.zip(number(reader, &place, "class")) else {
        reader.warn(&place, "says neither vendor nor class");
        return None;
    };
    Some(PciDevice {
        vendor_name: names::vendor(&ids.vendor).map(str::to_owned),
        class_name: names::class(&class).map(str::to_owned),
        ids,
        class,
        subsystem: subsystem(reader, &place),
        revision: number(reader, &place, "revision"),
        driver: reader.link_name(place.join("driver")),
        numa_node: numa_node(reader, &place),
        link: link(reader, &place, "current"),
        best_link: link(reader, &place, "max"),
        upstream: place.parent().and_then(address_in),
        physical_function: reader.link_name(place.join("physfn")),
        iommu_group: reader.link_name(place.join("iommu_group")).and_then(|group| group.parse().ok()),
        address: address.to_owned(),
    })
}

/// Vendor and device, or those of the subsystem, below `place`.
pub(crate) fn ids(reader: &Reader<'_>, place: &Path, vendor: &str, product: &str) -> Option<PciIds> {
    let vendor = number(reader, place, vendor)?;
    Some(PciIds { vendor, product: number(reader, place, product)? })
}

/// Who built the card; bridges say 0.
pub(crate) fn subsystem(reader: &Reader<'_>, place: &Path) -> Option<PciIds> {
    let ids = ids(reader, place, "subsystem_vendor", "subsystem_device")?;
    (ids.vendor != "0x0000").then_some(ids)
}

/// The node the device is near; -1 on machines that have but one.
pub(crate) fn numa_node(reader: &Reader<'_>, place: &Path) -> Option<u32> {
    reader.number::<i32>(place.join("numa_node")).and_then(|node| node.try_into().ok())
}

/// A number as sysfs writes it, `0x8086`, or `0x2` on Hyper-V's bus; anything else is a warning.
fn number(reader: &Reader<'_>, place: &Path, attribute: &str) -> Option<String> {
    let path = place.join(attribute);
    let text = reader.text(&path)?;
    let digits = text.strip_prefix("0x").unwrap_or_default();
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_number {
        reader.warn(path, "is not a number such as 0x8086");
    }
    is_number.then_some(text)
}

/// `current` or `max`; nothing where a device has no PCI Express link, or says 0 lanes.
fn link(reader: &Reader<'_>, place: &Path, which: &str) -> Option<PciLink> {
    let path = place.join(format!("{which}_link_speed"));
    let text = reader.text(&path)?;
    if text.starts_with(['U', 'u', '<']) {
        return None; // "Unknown", "Unknown speed", "unknown", as kernels came and went
    }
    let Some(speed_mts) = transfers(&text) else {
        reader.warn(path, "is not a speed such as 8.0 GT/s");
        return None;
    };
    let width = reader.number(place.join(format!("{which}_link_width")))?;
    // 255 is what a device that does not answer says.
    (1..255).contains(&width).then_some(PciLink { speed_mts, width })
}

/// `16.0 GT/s PCIe`, `8 GT/s` before Linux 5.7: 16000 and 8000 millions of transfers a second.
fn transfers(text: &str) -> Option<u32> {
    let number = text.split_once(" GT/s")?.0;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths: u32 = tenths.parse().ok().filter(|tenths| *tenths < 10)?;
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(tenths * 100)
}

/// The lesser of what `device` and what is above it, among `all` by address, can do.
fn best_link(device: &PciDevice, all: &[PciDevice]) -> Option<PciLink> {
    let own = device.best_link.clone()?;
    let above = device.upstream.as_ref().and_then(|upstream| {
        let place = all.binary_search_by(|other| other.address.cmp(upstream)).ok()?;
        all[place].best_link.as_ref()
    });
    Some(match above {
        Some(above) => {
            PciLink { speed_mts: own.speed_mts.min(above.speed_mts), width: own.width.min(above.width) }
        }
        None => own,
    })
}

/// The nearest PCI function at or above `place`: virtio devices sit below theirs.
pub(crate) fn function(place: &Path) -> Option<PathBuf> {
    place.ancestors().find(|place| address_in(place).is_some()).map(Path::to_owned)
}

/// The address that is the last name of `place`.
pub(crate) fn address_in(place: &Path) -> Option<String> {
    let name = place.file_name()?.to_str()?;
    is_address(name).then(|| name.to_owned())
}

/// `0000:3b:00.0`; the domain may have more digits (VMD).
fn is_address(name: &str) -> bool {
    let hex = |text: &str, length: usize| text.len() >= length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut parts = name.split([':', '.']);
    let mut part = |length| parts.next().is_some_and(|text| hex(text, length));
    part(4) && part(2) && part(2) && part(1) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_other_names() {
        for (name, is) in [
            ("0000:3b:00.0", true),
            ("10000:e1:00.0", true),
            ("virtio0", false),
            ("1-2:1.0", false),
            ("pci0000:3a", false),
        ] {
            assert_eq!(is_address(name), is, "{name}");
        }
    }

    #[test]
    fn speeds_are_read_and_nonsense_is_not() {
        for (text, speed) in [
            ("2.5 GT/s PCIe", Some(2500)),
            ("8.0 GT/s", Some(8000)),
            ("64.0 GT/s PCIe", Some(64_000)),
            ("8 GT/s", Some(8000)),
            ("8.25 GT/s", None),
            ("-1.0 GT/s", None),
            ("9999999.0 GT/s", None),
            ("fast", None),
        ] {
            assert_eq!(transfers(text), speed, "{text}");
        }
    }

    #[test]
    fn the_pictures_of_a_bmc_are_no_accelerators() {
        let device = |vendor: &str, class: &str| PciDevice {
            ids: PciIds { vendor: vendor.to_owned(), product: "0x0001".to_owned() },
            class: class.to_owned(),
            ..PciDevice::default()
        };
        for (vendor, class, want) in [
            ("0x10de", "0x030200", Some(AcceleratorKind::Gpu)),
            ("0x10de", "0x030000", Some(AcceleratorKind::Gpu)),
            ("0x1002", "0x038000", Some(AcceleratorKind::Gpu)),
            ("0x1002", "0x120000", Some(AcceleratorKind::Gpu)),
            ("0x1da3", "0x120000", Some(AcceleratorKind::Accelerator)),
            ("0x8086", "0x0b4000", Some(AcceleratorKind::Coprocessor)),
            ("0x1a03", "0x030000", None),
            ("0x1234", "0x030000", None),
            ("0x10de", "0x068000", None), // NVSwitch
            ("0x8086", "", None),
        ] {
            assert_eq!(kind(&device(vendor, class)), want, "{vendor} {class}");
        }
        let mut function = device("0x10de", "0x030200");
        function.physical_function = Some("0000:3b:00.0".to_owned());
        assert!(accelerators(&[function]).is_empty(), "virtual functions are no hardware");
    }
}
