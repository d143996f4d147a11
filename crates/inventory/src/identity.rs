//! Who a disk is: model, vendor, serial and world wide name, by the rules of
//! udev (`ata_id`, `scsi_id`, `usb_id`, 60-persistent-storage.rules).
//!
//! sysfs has nearly all of it. What udev asks the drive and sysfs does not keep
//! (an ATA drive behind USB, pages 80h and 83h of old adapters) is asked too, at
//! any depth: a root device hint must mean the same disk at every look.

mod spelling;
mod usb;
pub(crate) mod vpd;

use std::path::Path;

use disk::drive::ata::Identify;
use model::inventory::Wwn;

use crate::{
    drive::{self, Drive, Kind},
    limits,
};
use spelling::{collapsed, replaced};
use vpd::Naming;

/// What a disk says about itself.
#[derive(Default)]
pub(crate) struct Identity {
    pub(crate) model: Option<String>,
    pub(crate) vendor: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) serial_aliases: Vec<String>,
    pub(crate) wwn: Option<Wwn>,
    pub(crate) firmware: Option<String>,
    /// The commands it takes.
    pub(crate) kind: Option<Kind>,
}

/// Ask the disk at `disk` (a directory of sysfs) in its own way.
pub(crate) fn read(drive: &Drive<'_>, disk: &Path, name: &str) -> Identity {
    let of = |attribute: &str| drive.reader.text(disk.join(attribute));
    if name.starts_with("nvme") {
        nvme(&of)
    } else if name.starts_with("vd") {
        Identity { vendor: of("device/vendor"), serial: of("serial"), ..Identity::default() }
    } else if name.starts_with("mmcblk") {
        mmc(&of)
    } else if name.starts_with("dm-") {
        multipath(of("dm/uuid"))
    } else if drive.reader.exists(disk.join("device/scsi_device")) {
        scsi(drive, disk)
    } else {
        Identity {
            model: of("device/model"),
            vendor: of("device/vendor"),
            serial: of("serial"),
            ..Identity::default()
        }
    }
}

fn nvme(of: &dyn Fn(&str) -> Option<String>) -> Identity {
    let (model, serial) = (of("device/model"), of("device/serial"));
    // Of the controller, and since systemd 254 of the namespace.
    let names = model.as_deref().zip(serial.as_deref());
    let joined = names.map(|(model, serial)| format!("{}_{}", replaced(model), replaced(serial)));
    let numbered = joined.as_deref().zip(of("nsid")).map(|(joined, nsid)| format!("{joined}_{nsid}"));
    Identity {
        serial_aliases: joined.clone().into_iter().chain(numbered).collect(),
        wwn: of("wwid").map(|id| Wwn { id, vendor_extension: None, with_extension: None }),
        firmware: of("device/firmware_rev"),
        kind: Some(Kind::Nvme),
        vendor: None,
        model,
        serial,
    }
}

fn mmc(of: &dyn Fn(&str) -> Option<String>) -> Identity {
    Identity {
        model: of("device/name"),
        serial: of("device/serial"), // its `ID_SERIAL`, without the name
        firmware: of("device/fwrev"),
        ..Identity::default()
    }
}

/// A map made by multipathd is called `mpath-` and the name `scsi_id` gives its
/// members: `3` and an NAA name.
fn multipath(uuid: Option<String>) -> Identity {
    let id = uuid.as_deref().and_then(|uuid| uuid.strip_prefix("mpath-"));
    let naa = id.and_then(|id| id.strip_prefix('3')).filter(|naa| vpd::is_naa(naa));
    Identity {
        serial: naa.or(id).map(str::to_owned),
        serial_aliases: naa.and(id).map(str::to_owned).into_iter().collect(),
        wwn: naa.map(wwn_of_naa),
        ..Identity::default()
    }
}

fn scsi(drive: &Drive<'_>, disk: &Path) -> Identity {
    let of = |attribute: &str| drive.reader.text(disk.join("device").join(attribute));
    let vendor = of("vendor");
    let identity = if vendor.as_deref() == Some("ATA") {
        let identify = drive::ata::identify_of_page(drive.reader, disk);
        ata(drive, disk, identify.as_ref())
    } else if is_usb(disk) {
        // As udev does: no stick is asked, it may take the question badly.
        let fixed = drive.reader.text(disk.join("removable")).as_deref() == Some("0");
        let identify = if fixed { drive::ata::identify(drive) } else { None };
        match identify {
            Some(identify) => ata(drive, disk, Some(&identify)),
            None => {
                let known = usb::read(drive.reader, disk);
                known.unwrap_or_else(|| Identity { kind: None, ..by_pages(drive, disk) })
            }
        }
    } else {
        by_pages(drive, disk)
    };
    let firmware = identity.firmware.or_else(|| of("rev"));
    Identity { vendor, firmware, model: identity.model.or_else(|| of("model")), ..identity }
}

fn is_usb(disk: &Path) -> bool {
    disk.iter().filter_map(|part| part.to_str()).any(|part| {
        part.strip_prefix("usb").is_some_and(|bus| bus.starts_with(|letter: char| letter.is_ascii_digit()))
    })
}

/// A page of vital product data: sysfs has those of the drive, or the drive is asked.
fn page(drive: &Drive<'_>, disk: &Path, code: u8) -> Option<Vec<u8>> {
    let file = |code: u8| disk.join(format!("device/vpd_pg{code:02x}"));
    if [0x80, 0x83].iter().any(|code| drive.reader.exists(file(*code))) {
        return drive.reader.bytes(&file(code), limits::FILE_BYTES);
    }
    drive::vital_product_data(drive, code)
}

/// `ata_id`. Where IDENTIFY is not at hand, what the kernel made pages of it.
fn ata(drive: &Drive<'_>, disk: &Path, identify: Option<&Identify>) -> Identity {
    let pages = || (page(drive, disk, 0x80), page(drive, disk, 0x83));
    let (page80, page83) = if identify.is_some() { (None, None) } else { pages() };
    let page83 = page83.unwrap_or_default();
    let model = identify.and_then(Identify::model).or_else(|| vpd::ata_model(&page83));
    let serial =
        identify.and_then(Identify::serial).or_else(|| vpd::unit_serial_number(&page80.unwrap_or_default()));
    let naming = || {
        let wwid = || vpd::from_wwid(&drive.reader.text(disk.join("device/wwid"))?);
        vpd::best(&page83, None).or_else(wwid)?.naa
    };
    let naa = match identify {
        Some(identify) => identify.world_wide_name().map(|name| format!("{name:016x}")),
        None => naming(),
    };
    let short_model = || drive.reader.text(disk.join("device/model"));
    let model = model.or_else(short_model);
    Identity {
        serial_aliases: joined(model.as_deref(), serial.as_deref()),
        wwn: naa.as_deref().map(wwn_of_naa),
        firmware: identify.and_then(Identify::firmware),
        kind: Some(Kind::Ata),
        vendor: None,
        model,
        serial,
    }
}

/// `scsi_id`.
fn by_pages(drive: &Drive<'_>, disk: &Path) -> Identity {
    let of = |attribute: &str| drive.reader.text(disk.join("device").join(attribute));
    let page80 = page(drive, disk, 0x80).unwrap_or_default();
    let page83 = page(drive, disk, 0x83).unwrap_or_default();
    let maker = of("vendor").zip(of("model"));
    let maker = maker.as_ref().map(|(vendor, model)| (vendor.as_str(), model.as_str()));
    let unit_serial = vpd::unit_serial_number(&page80);
    let naming = vpd::best(&page83, maker)
        .or_else(|| vpd::from_wwid(&of("wwid")?))
        .or_else(|| Naming::of_unit_serial(unit_serial.as_deref()?, maker));
    let wwn = naming.as_ref().and_then(|naming| naming.naa.as_deref()).map(wwn_of_naa);
    let mut aliases: Vec<String> =
        naming.into_iter().flat_map(|naming| [naming.short, naming.long]).collect();
    let serial = unit_serial.or_else(|| aliases.first().cloned());
    aliases.retain(|alias| Some(alias) != serial.as_ref());
    Identity { serial, serial_aliases: aliases, wwn, kind: Some(Kind::Scsi), ..Identity::default() }
}

/// `0x` and the first 64 bits; the second 64 bits of a long name apart.
fn wwn_of_naa(naa: &str) -> Wwn {
    let (first, second) = naa.split_at(naa.len().min(16));
    Wwn {
        id: format!("0x{first}"),
        vendor_extension: Some(format!("0x{second}")).filter(|_| !second.is_empty()),
        with_extension: Some(format!("0x{naa}")),
    }
}

/// udev's `ID_SERIAL`: model and serial, blanks made underscores.
fn joined(model: Option<&str>, serial: Option<&str>) -> Vec<String> {
    let both = model.zip(serial);
    both.map(|(model, serial)| format!("{}_{}", collapsed(model), collapsed(serial))).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_split_as_udev_splits_it() {
        // ID_WWN… of a Dell PowerStore volume.
        let wwn = wwn_of_naa("68ccf09800744a14b26d09fd41b7e9b5");
        assert_eq!(wwn.id, "0x68ccf09800744a14");
        assert_eq!(wwn.vendor_extension.as_deref(), Some("0xb26d09fd41b7e9b5"));
        assert_eq!(wwn.with_extension.as_deref(), Some("0x68ccf09800744a14b26d09fd41b7e9b5"));

        let short = wwn_of_naa("5002538e40b4d2f1");
        assert_eq!((short.id.as_str(), short.vendor_extension), ("0x5002538e40b4d2f1", None));
    }

    #[test]
    fn a_multipath_map_is_named_by_its_members() {
        let known = multipath(Some("mpath-368ccf09800744a14b26d09fd41b7e9b5".to_owned()));
        assert_eq!(known.serial.as_deref(), Some("68ccf09800744a14b26d09fd41b7e9b5"));
        assert_eq!(known.wwn.map(|wwn| wwn.id).as_deref(), Some("0x68ccf09800744a14"));
        assert!(multipath(Some("mpath-mpatha".to_owned())).wwn.is_none());
        assert!(multipath(None).serial.is_none());
    }

    #[test]
    fn a_memory_card_has_one_serial_number_as_udev_says() {
        let of = |name: &str| match name {
            "device/name" => Some("BJTD4R".to_owned()),
            "device/serial" => Some("0x1a2b3c4d".to_owned()),
            _ => None,
        };
        let card = mmc(&of);
        assert_eq!((card.model.as_deref(), card.serial.as_deref()), (Some("BJTD4R"), Some("0x1a2b3c4d")));
        assert!(card.serial_aliases.is_empty(), "{:?}", card.serial_aliases);
    }
}
