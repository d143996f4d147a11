//! A disk behind USB, by the rules of udev's `usb_id`: what the SCSI device is
//! called, the serial number of the USB device, and the place behind it.

use std::path::Path;

use super::{Identity, spelling::collapsed};
use crate::reader::Reader;

/// Interface subclasses whose SCSI names count: ATAPI and transparent SCSI.
const WITH_SCSI_NAMES: [&str; 2] = ["02", "06"];

/// `None` where the tree does not show the USB device.
pub(super) fn read(reader: &Reader<'_>, disk: &Path) -> Option<Identity> {
    let below_usb = |file: &str| disk.ancestors().find(|dir| reader.exists(dir.join(file)));
    let (interface, device) = (below_usb("bInterfaceSubClass")?, below_usb("idVendor")?);
    let subclass = reader.text(interface.join("bInterfaceSubClass")).unwrap_or_default();
    let with_scsi = WITH_SCSI_NAMES.contains(&subclass.as_str());
    let scsi = |name: &str| reader.text(disk.join("device").join(name)).filter(|_| with_scsi);
    let usb = |name: &str| reader.text(device.join(name));
    let vendor = scsi("vendor").or_else(|| usb("manufacturer")).or_else(|| usb("idVendor"));
    let model = scsi("model").or_else(|| usb("product")).or_else(|| usb("idProduct"));
    let serial = usb("serial").filter(|serial| is_serial(serial)).map(|serial| collapsed(&serial));
    let long = long(
        vendor.as_deref(),
        model.as_deref(),
        serial.as_deref(),
        instance(reader, disk).filter(|_| with_scsi),
    );
    Some(Identity {
        serial: serial.clone().or_else(|| long.clone()),
        serial_aliases: long.filter(|_| serial.is_some()).into_iter().collect(),
        model: model.filter(|_| !with_scsi),
        ..Identity::default()
    })
}

/// `ID_SERIAL`: `SanDisk_Ultra_4C5300-0:0`.
fn long(
    vendor: Option<&str>,
    model: Option<&str>,
    serial: Option<&str>,
    instance: Option<String>,
) -> Option<String> {
    let mut long = format!("{}_{}", collapsed(vendor?), collapsed(model?));
    if let Some(serial) = serial {
        long = long + "_" + serial;
    }
    Some(instance.map_or(long.clone(), |instance| format!("{long}-{instance}")))
}

/// Target and LUN: card readers have one name for all of them.
fn instance(reader: &Reader<'_>, disk: &Path) -> Option<String> {
    let address = reader.list(disk.join("device/scsi_device")).into_iter().next()?;
    let mut parts = address.split(':').skip(2);
    Some(format!("{}:{}", parts.next()?, parts.next()?))
}

/// Printable ASCII without commas, as Windows wants it and udev too.
fn is_serial(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7f).contains(&byte) && byte != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_there_is() {
        let zero = || Some("0:0".to_owned());
        let long = |serial, instance| long(Some("SanDisk"), Some("Ultra  Fit"), serial, instance);
        assert_eq!(long(Some("4C53"), zero()).as_deref(), Some("SanDisk_Ultra_Fit_4C53-0:0"));
        assert_eq!(long(None, zero()).as_deref(), Some("SanDisk_Ultra_Fit-0:0"));
        assert_eq!(long(None, None).as_deref(), Some("SanDisk_Ultra_Fit"));
        assert_eq!(super::long(None, Some("x"), None, None), None);
    }

    #[test]
    fn a_serial_that_windows_would_not_take_is_none() {
        assert!(is_serial("4C530001230523117212") && !is_serial("a,b") && !is_serial("\u{e4}"));
    }
}
