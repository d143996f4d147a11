//! Who a disk is: model, vendor, serial and world wide name, by the rules of
//! udev (`ata_id`, `scsi_id`, 60-persistent-storage.rules), from sysfs alone.

pub(crate) mod vpd;

use std::path::Path;

use model::inventory::Wwn;

use crate::{limits, reader::Reader};
use vpd::{Designator, Naming};

/// What a disk says about itself.
#[derive(Default)]
pub(crate) struct Identity {
    pub(crate) model: Option<String>,
    pub(crate) vendor: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) serial_aliases: Vec<String>,
    pub(crate) wwn: Option<Wwn>,
}

/// Ask the disk at `disk` (a directory of sysfs) in its own way.
pub(crate) fn read(reader: &Reader<'_>, disk: &Path, name: &str) -> Identity {
    let of = |attribute: &str| reader.text(disk.join(attribute));
    if name.starts_with("nvme") {
        nvme(reader, disk)
    } else if name.starts_with("vd") {
        Identity { vendor: of("device/vendor"), serial: of("serial"), ..Identity::default() }
    } else if name.starts_with("mmcblk") {
        mmc(of("device/name"), of("device/serial"))
    } else if name.starts_with("dm-") {
        multipath(of("dm/uuid"))
    } else if reader.exists(disk.join("device/scsi_device")) {
        scsi(reader, disk)
    } else {
        Identity {
            model: of("device/model"),
            vendor: of("device/vendor"),
            serial: of("serial"),
            ..Identity::default()
        }
    }
}

fn nvme(reader: &Reader<'_>, disk: &Path) -> Identity {
    let of = |attribute: &str| reader.text(disk.join(attribute));
    let (model, serial) = (of("device/model"), of("device/serial"));
    Identity {
        serial_aliases: joined(model.as_deref(), serial.as_deref()),
        wwn: of("wwid").map(|id| Wwn { id, vendor_extension: None, with_extension: None }),
        vendor: None,
        model,
        serial,
    }
}

fn mmc(model: Option<String>, serial: Option<String>) -> Identity {
    Identity {
        serial_aliases: joined(model.as_deref(), serial.as_deref()),
        model,
        serial,
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

fn scsi(reader: &Reader<'_>, disk: &Path) -> Identity {
    let of = |attribute: &str| reader.text(disk.join("device").join(attribute));
    let page = |name: &str| reader.bytes(&disk.join("device").join(name), limits::FILE_BYTES);
    let unit_serial = page("vpd_pg80").and_then(|page| vpd::unit_serial_number(&page));
    let designators = page("vpd_pg83").map(|page| vpd::designators(&page)).unwrap_or_default();
    let naming = vpd::best(&designators).or_else(|| vpd::from_wwid(&of("wwid")?));
    let vendor = of("vendor");
    let ata = vendor.as_deref() == Some("ATA");
    let ata_model = designators.iter().find_map(Designator::ata_model).filter(|_| ata);
    let model = ata_model.or_else(|| of("model"));
    let wwn = match &naming {
        Some(Naming::Naa(naa)) => Some(wwn_of_naa(naa)),
        Some(Naming::Eui64(_) | Naming::Text(_)) | None => None,
    };
    let mut aliases = Vec::new();
    if ata {
        aliases = joined(model.as_deref(), unit_serial.as_deref());
    } else if let Some(naming) = &naming {
        aliases = vec![naming.short(), naming.long()];
    }
    let serial = unit_serial.or_else(|| aliases.first().cloned());
    aliases.retain(|alias| Some(alias) != serial.as_ref());
    Identity { model, vendor, serial, serial_aliases: aliases, wwn }
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
    let underscored = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("_");
    model
        .zip(serial)
        .map(|(model, serial)| format!("{}_{}", underscored(model), underscored(serial)))
        .into_iter()
        .collect()
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
}
