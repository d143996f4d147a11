//! Slots for cards (type 9) and devices soldered to the board (type 41).

use model::inventory::{OnboardDevice, Slot};

use super::{names, table::Structure};

pub(super) fn slot(told: &Structure<'_>) -> Slot {
    Slot {
        designation: told.text(0x04),
        kind: names::slot(told.byte(0x05)),
        lanes: names::lanes(told.byte(0x06)),
        in_use: match told.byte(0x07) {
            Some(3) => Some(false),
            Some(4) => Some(true),
            Some(_) | None => None,
        },
        pci_address: pci_address(told, 0x0d),
    }
}

/// `None` for one that does not say whether it is switched on.
pub(super) fn onboard(told: &Structure<'_>) -> Option<OnboardDevice> {
    let kind = told.byte(0x05)?;
    Some(OnboardDevice {
        designation: told.text(0x04),
        kind: names::name(names::ONBOARD, 3, Some(kind & !ENABLED)),
        instance: told.byte(0x06).map(u32::from).filter(|instance| *instance > 0),
        enabled: kind & ENABLED != 0,
        pci_address: pci_address(told, 0x07),
    })
}

const ENABLED: u8 = 1 << 7;

/// Segment, bus, device and function, as the kernel writes them. All ones is
/// "not on PCI"; all zeros is the root of the bus, which nobody plugs in.
fn pci_address(told: &Structure<'_>, at: usize) -> Option<String> {
    match (told.word(at)?, told.byte(at + 2)?, told.byte(at + 3)?) {
        (0, 0, 0) | (u16::MAX, ..) | (_, u8::MAX, u8::MAX) => None,
        (segment, bus, place) => Some(format!("{segment:04x}:{bus:02x}:{:02x}.{}", place >> 3, place & 7)),
    }
}
