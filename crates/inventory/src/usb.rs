//! The USB bus: what is plugged in, in its own words, and what a management
//! controller only pretends.

use std::path::{Path, PathBuf};

use model::inventory::UsbDevice;

use crate::{limits, reader::Reader};

const DEVICES: &str = "sys/bus/usb/devices";

/// The interface class of drives.
const STORAGE: &str = "0x08";

/// Storage that management controllers show: AMI MegaRAC, HPE iLO, Lenovo XCC, Dell DRAC, and
/// Linux's own USB gadgets, which OpenBMC uses. `None` is every product of the vendor: AMI sells
/// firmware, not drives.
const VIRTUAL_MEDIA: [(&str, Option<&str>); 6] = [
    ("0x046b", None),
    ("0x03f0", Some("0x1227")),
    ("0x17ef", Some("0xb003")),
    ("0x413c", Some("0x0001")),
    ("0x1d6b", Some("0x0104")),
    ("0x1d6b", Some("0x0105")),
];

/// Every device, by place; root hubs (`usb1`) are part of their controllers.
pub(crate) fn read(reader: &Reader<'_>) -> Vec<UsbDevice> {
    let names = reader.list(DEVICES);
    let (interfaces, devices): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.contains(':'));
    let mut plugged: Vec<_> = devices.into_iter().filter(|name| !name.starts_with("usb")).collect();
    if plugged.len() > limits::USB_DEVICES {
        reader.warn(DEVICES, format_args!("has more than {} devices", limits::USB_DEVICES));
        plugged.truncate(limits::USB_DEVICES);
    }
    plugged.into_iter().filter_map(|name| device(reader, name, &interfaces)).collect()
}

fn device(reader: &Reader<'_>, name: &str, interfaces: &[&String]) -> Option<UsbDevice> {
    let of = |attribute: &str| Path::new(DEVICES).join(name).join(attribute);
    let Some((vendor, product)) = number(reader, of("idVendor"), 4).zip(number(reader, of("idProduct"), 4))
    else {
        reader.warn(of(""), "says neither vendor nor product");
        return None;
    };
    let own = interfaces
        .iter()
        .filter(|interface| interface.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
    let class = |interface: &&String| {
        number(reader, Path::new(DEVICES).join(interface.as_str()).join("bInterfaceClass"), 2)
    };
    let mut interfaces: Vec<_> = own.take(limits::USB_INTERFACES).filter_map(class).collect();
    model::order::sort(&mut interfaces);
    interfaces.dedup();
    Some(UsbDevice {
        virtual_media: interfaces.iter().any(|class| class == STORAGE) && is_pretended(&vendor, &product),
        manufacturer: words(reader, of("manufacturer")),
        product_name: words(reader, of("product")),
        speed_mbps: speed(reader, of("speed")),
        class: number(reader, of("bDeviceClass"), 2),
        interfaces,
        vendor,
        product,
        name: name.to_owned(),
    })
}

fn is_pretended(vendor: &str, product: &str) -> bool {
    VIRTUAL_MEDIA.iter().any(|(maker, what)| *maker == vendor && what.is_none_or(|what| what == product))
}

/// A number of so many hex digits, which USB's half of sysfs writes without `0x`.
fn number(reader: &Reader<'_>, path: PathBuf, digits: usize) -> Option<String> {
    let text = reader.text(&path)?;
    if text.len() != digits || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        reader.warn(path, format_args!("is not a number of {digits} hex digits"));
        return None;
    }
    Some(format!("0x{text}"))
}

/// What the device says of itself: anything up to 126 letters, so nothing that could
/// move a terminal's cursor.
fn words(reader: &Reader<'_>, path: PathBuf) -> Option<String> {
    let text = reader.text(path)?;
    let visible = text.chars().filter(|letter| !letter.is_control()).take(limits::USB_WORDS);
    let text = visible.collect::<String>().trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// `480`; `1.5` is 1.
fn speed(reader: &Reader<'_>, path: PathBuf) -> Option<u32> {
    let text = reader.text(&path)?;
    let whole = text.split('.').next().unwrap_or_default();
    let speed = whole.parse().ok();
    if speed.is_none() && text != "unknown" {
        reader.warn(path, "is not a speed in Mbit/s");
    }
    speed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_controllers_pretend_drives() {
        for (vendor, product, is) in [
            ("0x046b", "0xff20", true),
            ("0x046b", "0xff31", true),
            ("0x03f0", "0x1227", true),
            ("0x03f0", "0x3207", false), // a USB stick
            ("0x1d6b", "0x0104", true),
            ("0x1d6b", "0x0002", false), // a root hub
            ("0x0781", "0x5567", false),
        ] {
            assert_eq!(is_pretended(vendor, product), is, "{vendor}:{product}");
        }
    }
}
