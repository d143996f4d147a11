//! The USB bus.

use serde::{Deserialize, Serialize};

/// A device on the USB bus, hubs of the board left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsbDevice {
    /// The kernel's name, which is its place: `1-1.4`.
    pub name: String,
    /// `0x0557`.
    pub vendor: String,
    /// `0x2419`.
    pub product: String,
    /// The maker, in the device's own words.
    pub manufacturer: Option<String>,
    /// What it is, in its own words.
    pub product_name: Option<String>,
    /// Mbit/s.
    pub speed_mbps: Option<u32>,
    /// Its class: `0x09`; `0x00` when each interface has its own.
    pub class: Option<String>,
    /// The classes of its interfaces: `0x08` is storage, `0x03` a keyboard or mouse.
    pub interfaces: Vec<String>,
    /// True for drives that a management controller pretends: virtual CDs and floppies.
    pub virtual_media: bool,
}
