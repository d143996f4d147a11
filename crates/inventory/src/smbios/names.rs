//! What the numbers of the standard (DSP0134) stand for, as `dmidecode` spells it.
//! "Other" and "Unknown" are absence. A list is one text: a list of texts would
//! cost the agent 40 bytes more for each.

/// The name behind number `value` of a list that starts with number `first`.
pub(super) fn name(list: &'static str, first: u8, value: Option<u8>) -> Option<String> {
    let nth = usize::from(value?.checked_sub(first)?);
    list.split('|').nth(nth).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Enclosures (7.4.1), from 3.
pub(super) const CHASSIS: &str = "Desktop|Low Profile Desktop|Pizza Box|Mini Tower|Tower|Portable|Laptop|Notebook|Hand Held|Docking Station\
     |All In One|Sub Notebook|Space-saving|Lunch Box|Main Server Chassis|Expansion Chassis|Sub Chassis\
     |Bus Expansion Chassis|Peripheral Chassis|RAID Chassis|Rack Mount Chassis|Sealed-case PC|Multi-system\
     |CompactPCI|AdvancedTCA|Blade|Blade Enclosing|Tablet|Convertible|Detachable|IoT Gateway|Embedded PC|Mini PC\
     |Stick PC";

/// Boards (7.3.2), from 3.
pub(super) const BOARD: &str = "Server Blade|Connectivity Switch|System Management Module|Processor Module|I/O Module|Memory Module\
     |Daughter Board|Motherboard|Processor+Memory Module|Processor+I/O Module|Interconnect Board";

/// What started the machine (7.2.2), from 3.
pub(super) const WAKE_UP: &str = "APM Timer|Modem Ring|LAN Remote|Power Switch|PCI PME#|AC Power Restored";

/// What processors are (7.5.1), from 3.
pub(super) const CENTRAL_PROCESSOR: u8 = 3;

/// Memory devices (7.18.2), from 3.
pub(super) const MEMORY: &str = "DRAM|EDRAM|VRAM|SRAM|RAM|ROM|Flash|EEPROM|FEPROM|EPROM|CDRAM|3DRAM|SDRAM|SGRAM|RDRAM|DDR|DDR2\
     |DDR2 FB-DIMM||||DDR3|FBD2|DDR4|LPDDR|LPDDR2|LPDDR3|LPDDR4|Logical non-volatile device|HBM|HBM2|DDR5|LPDDR5|HBM3";

/// Shapes of memory devices (7.18.1), from 3.
pub(super) const FORM_FACTOR: &str =
    "SIMM|SIP|Chip|DIP|ZIP|Proprietary Card|DIMM|TSOP|Row Of Chips|RIMM|SODIMM|SRIMM|FB-DIMM|Die|CAMM";

/// Technologies of memory devices (7.18.6), from 3.
pub(super) const TECHNOLOGY: &str = "DRAM|NVDIMM-N|NVDIMM-F|NVDIMM-P|Intel Optane persistent memory|MRDIMM";

/// Error correction of a memory array (7.17.3), from 3.
pub(super) const ERROR_CORRECTION: &str = "None|Parity|Single-bit ECC|Multi-bit ECC|CRC";

/// Onboard devices (7.42.2), from 3.
pub(super) const ONBOARD: &str = "Video|SCSI Controller|Ethernet|Token Ring|Sound|PATA Controller|SATA Controller|SAS Controller\
     |Wireless LAN|Bluetooth|WWAN|eMMC|NVMe Controller|UFS Controller";

/// Interfaces to the management controller (7.39.1), from 1.
pub(super) const IPMI_INTERFACE: &str = "KCS|SMIC|BT|SSIF";

/// Slots (7.10.1), from 3, but for PCI Express.
const SLOT: &str = "ISA|MCA|EISA|PCI|PC Card (PCMCIA)|VLB|Proprietary|Processor Card|Proprietary Memory Card|I/O Riser Card\
     |NuBus|PCI-66|AGP|AGP 2x|AGP 4x|PCI-X|AGP 8x|M.2 Socket 1-DP|M.2 Socket 1-SD|M.2 Socket 2|M.2 Socket 3\
     |MXM Type I|MXM Type II|MXM Type III|MXM Type III-HE|MXM Type IV|MXM 3.0 Type A|MXM 3.0 Type B\
     |PCI Express 2 SFF-8639 (U.2)|PCI Express 3 SFF-8639 (U.2)|PCI Express Mini 52-pin with bottom-side keep-outs\
     |PCI Express Mini 52-pin without bottom-side keep-outs|PCI Express Mini 76-pin|PCI Express 4 SFF-8639 (U.2)\
     |PCI Express 5 SFF-8639 (U.2)|OCP NIC 3.0 Small Form Factor (SFF)|OCP NIC 3.0 Large Form Factor (LFF)\
     |OCP NIC Prior to 3.0";

/// Slots of PCI Express: the number without lanes, the generation.
const PCI_EXPRESS: [(u8, &str); 5] = [
    (0xa5, "PCI Express"),
    (0xab, "PCI Express 2"),
    (0xb1, "PCI Express 3"),
    (0xb8, "PCI Express 4"),
    (0xbe, "PCI Express 5"),
];

/// What fits into a slot.
pub(super) fn slot(kind: Option<u8>) -> Option<String> {
    match kind? {
        0x30 => Some("CXL Flexbus 1.0".to_owned()),
        0xc4 => Some("PCI Express 6+".to_owned()),
        0xc5 => Some("EDSFF E1".to_owned()),
        0xc6 => Some("EDSFF E3".to_owned()),
        express @ 0xa5..=0xc3 => pci_express(express),
        other => name(SLOT, 3, Some(other)),
    }
}

fn pci_express(kind: u8) -> Option<String> {
    let (first, generation) = PCI_EXPRESS.iter().rfind(|(first, _)| *first <= kind)?;
    let lanes = ["", " x1", " x2", " x4", " x8", " x16"].get(usize::from(kind - first))?;
    Some(format!("{generation}{lanes}"))
}

/// Lanes or bits of a slot (7.10.2): of PCI Express, the lanes.
pub(super) fn lanes(width: Option<u8>) -> Option<u8> {
    [1, 2, 4, 8, 12, 16, 32].get(usize::from(width?.checked_sub(8)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_the_names_of_the_standard() {
        let names = [
            (0x06, Some("PCI")),
            (0x0e, Some("PCI-66")),
            (0x14, Some("M.2 Socket 1-DP")),
            (0x17, Some("M.2 Socket 3")),
            (0x1f, Some("PCI Express 2 SFF-8639 (U.2)")),
            (0x23, Some("PCI Express Mini 76-pin")),
            (0x28, Some("OCP NIC Prior to 3.0")),
            (0x29, None),
            (0xa5, Some("PCI Express")),
            (0xaa, Some("PCI Express x16")),
            (0xb6, Some("PCI Express 3 x16")),
            (0xb7, None),
            (0xbd, Some("PCI Express 4 x16")),
            (0xbe, Some("PCI Express 5")),
            (0xc3, Some("PCI Express 5 x16")),
            (0x02, None),
            (0xff, None),
        ];
        for (kind, expected) in names {
            assert_eq!(slot(Some(kind)).as_deref(), expected, "{kind:#x}");
        }
        assert_eq!(
            (lanes(Some(0x0d)), lanes(Some(0x0e)), lanes(Some(7)), lanes(None)),
            (Some(16), Some(32), None, None)
        );
    }

    #[test]
    fn memory_has_the_names_of_the_standard() {
        for (kind, expected) in [
            (0x18, "DDR3"),
            (0x1a, "DDR4"),
            (0x20, "HBM"),
            (0x22, "DDR5"),
            (0x24, "HBM3"),
            (0x14, "DDR2 FB-DIMM"),
        ] {
            assert_eq!(name(MEMORY, 3, Some(kind)).as_deref(), Some(expected), "{kind:#x}");
        }
        assert_eq!(
            (name(MEMORY, 3, Some(2)), name(MEMORY, 3, Some(0x15)), name(MEMORY, 3, Some(0x25))),
            (None, None, None)
        );
        assert_eq!(name(CHASSIS, 3, Some(0x17)).as_deref(), Some("Rack Mount Chassis"));
        assert_eq!(name(CHASSIS, 3, Some(0x24)).as_deref(), Some("Stick PC"));
        assert_eq!(name(ONBOARD, 3, Some(0x0f)).as_deref(), Some("NVMe Controller"));
    }
}
