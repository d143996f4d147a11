//! SCSI vital product data, pages 80h and 83h (SPC-5 §7.7), as sysfs hands them
//! out. Bytes of a device: every length is checked.

use super::spelling::collapsed;

/// What a logical unit is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    /// udev's `ID_SERIAL_SHORT`.
    pub(crate) short: String,
    /// udev's `ID_SERIAL`: the type of the name, then the name.
    pub(crate) long: String,
    /// The name, where it is a world wide one, in hex.
    pub(crate) naa: Option<String>,
}

impl Naming {
    fn of_kind(kind: u8, name: &str) -> Self {
        let short = collapsed(name);
        let naa = (kind == NAA && is_naa(name)).then(|| name.to_owned());
        Self { long: format!("{kind}{short}"), short, naa }
    }

    /// Page 80h for want of a page 83h, told apart from names there by an `S`.
    pub(crate) fn of_unit_serial(serial: &str, maker: Option<(&str, &str)>) -> Option<Self> {
        let (vendor, model) = maker?;
        let long = collapsed(&format!("S{}{serial}", padded(vendor, model)));
        Some(Self { short: collapsed(serial), long, naa: None })
    }
}

/// One designation descriptor that names the logical unit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Designator {
    code_set: u8,
    kind: u8,
    bytes: Vec<u8>,
}

const VENDOR_SPECIFIC: u8 = 0;
const T10_VENDOR: u8 = 1;
const EUI_64: u8 = 2;
const NAA: u8 = 3;
const BINARY: u8 = 1;
const ASCII: u8 = 2;

/// What libata puts into a T10 designator: `ATA`, the model, the serial.
const ATA_VENDOR: &[u8] = b"ATA     ";
const ATA_MODEL_BYTES: usize = 40;
const ATA_SERIAL_BYTES: usize = 20;

impl Designator {
    /// The whole model of an ATA disk; SCSI's own field cuts it at 16 letters.
    fn ata_model(&self) -> Option<String> {
        let rest = self.bytes.strip_prefix(ATA_VENDOR).filter(|_| self.kind == T10_VENDOR)?;
        (rest.len() == ATA_MODEL_BYTES + ATA_SERIAL_BYTES).then(|| text(&rest[..ATA_MODEL_BYTES]))?
    }

    /// The order in which `scsi_id` looks for them; `None` for what it does not take.
    fn rank(&self) -> Option<u8> {
        let first = match (self.kind, self.bytes.first()? >> 4) {
            (NAA, 6) => 0,
            (NAA, 5) => 2,
            (NAA, _) => 4,
            (EUI_64, _) => 6,
            (T10_VENDOR, _) => 8,
            (VENDOR_SPECIFIC, _) => 10,
            _ => return None,
        };
        match self.code_set {
            BINARY => Some(first),
            ASCII => Some(first + 1),
            _ => None,
        }
    }

    fn naming(&self, maker: Option<(&str, &str)>) -> Option<Naming> {
        let name = if self.code_set == ASCII { text(&self.bytes)? } else { hex(&self.bytes) };
        let naming = Naming::of_kind(self.kind, &name);
        if self.kind != VENDOR_SPECIFIC {
            return Some(naming);
        }
        // Unique within a model at most, so that belongs to it.
        let (vendor, model) = maker?;
        Some(Naming { long: collapsed(&format!("0{}{name}", padded(vendor, model))), ..naming })
    }
}

/// Vendor and model as they stand in INQUIRY data, filled with blanks.
fn padded(vendor: &str, model: &str) -> String {
    format!("{vendor:<8}{model:<16}")
}

/// Page 80h: the unit serial number.
pub(crate) fn unit_serial_number(page: &[u8]) -> Option<String> {
    text(body(page, 0x80)?)
}

/// Page 83h: the descriptors that name the logical unit (not its port, not its target).
pub(crate) fn designators(page: &[u8]) -> Vec<Designator> {
    let mut rest = body(page, 0x83).unwrap_or_default();
    let mut found = Vec::new();
    while let [code_set, flags, _, length, tail @ ..] = rest {
        let Some((bytes, next)) = tail.split_at_checked(usize::from(*length)) else { break };
        let association = (flags >> 4) & 0b11;
        if association == 0 && !bytes.is_empty() {
            found.push(Designator { code_set: code_set & 0x0f, kind: flags & 0x0f, bytes: bytes.to_vec() });
        }
        rest = next;
    }
    found
}

/// The whole model of an ATA disk, from its page 83h.
pub(crate) fn ata_model(page: &[u8]) -> Option<String> {
    designators(page).iter().find_map(Designator::ata_model)
}

/// The name `scsi_id` would take from page 83h: NAA with 128 bits, NAA, EUI-64,
/// T10, the vendor's own, which needs `maker`: vendor and model.
pub(crate) fn best(page: &[u8], maker: Option<(&str, &str)>) -> Option<Naming> {
    if let Some(name) = before_spc_2(page) {
        let long = format!("{NAA}{}", hex(name));
        return Some(Naming { short: long.clone(), long, naa: None });
    }
    let found = designators(page);
    let ranked = found.iter().filter_map(|one| Some((one.rank()?, one.naming(maker)?)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, naming)| naming)
}

/// Before SPC-2 the page was the name itself; EMC's Symmetrix answers so. A
/// descriptor would have a reserved byte there, which is zero.
fn before_spc_2(page: &[u8]) -> Option<&[u8]> {
    let name = body(page, 0x83)?;
    (*name.get(2)? != 0).then_some(name)
}

/// The kernel's own digest of page 83h, `device/wwid`: `naa.5000c500a1b2c3d4`.
pub(crate) fn from_wwid(wwid: &str) -> Option<Naming> {
    let (kind, name) = wwid.split_once('.')?;
    match kind {
        "naa" if is_naa(name) => Some(Naming::of_kind(NAA, name)),
        "eui" if is_hex(name) => Some(Naming::of_kind(EUI_64, name)),
        "t10" => Some(Naming::of_kind(T10_VENDOR, name)),
        _ => None,
    }
}

/// Sixteen hex digits, or thirty-two when the first is a 6.
pub(crate) fn is_naa(name: &str) -> bool {
    is_hex(name) && name.len() == if name.starts_with('6') { 32 } else { 16 }
}

fn is_hex(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// What a page holds behind its header, when it is the page `code`.
fn body(page: &[u8], code: u8) -> Option<&[u8]> {
    let [_, actual, high, low, body @ ..] = page else { return None };
    if *actual != code {
        return None;
    }
    Some(&body[..usize::from(u16::from_be_bytes([*high, *low])).min(body.len())])
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty() && text.chars().all(|c| !c.is_control())).then(|| text.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(code: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&[0, code, length[0], length[1]], body].concat()
    }

    fn descriptor(code_set: u8, flags: u8, bytes: &[u8]) -> Vec<u8> {
        [&[code_set, flags, 0, u8::try_from(bytes.len()).expect("short")], bytes].concat()
    }

    fn ata_designator() -> Vec<u8> {
        descriptor(
            2,
            T10_VENDOR,
            format!("ATA     {:<40}{:<20}", "Samsung SSD 870 EVO 500GB", "S5STNF0").as_bytes(),
        )
    }

    #[test]
    fn the_whole_model_of_an_ata_disk_is_found() {
        let found = designators(&page(0x83, &ata_designator()));
        assert_eq!(found[0].ata_model().as_deref(), Some("Samsung SSD 870 EVO 500GB"));
        assert_eq!(
            best(&page(0x83, &ata_designator()), None).map(|naming| naming.long).as_deref(),
            Some("1ATA_Samsung_SSD_870_EVO_500GB_S5STNF0")
        );
    }

    #[test]
    fn a_unit_is_named_by_its_best_name_and_never_by_its_port() {
        let naa5 = descriptor(1, NAA, &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd4]);
        let naa6 = descriptor(1, NAA, &[0x60; 16]);
        let port = descriptor(1, 0x10 | NAA, &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd5]);
        let best = |parts: &[Vec<u8>]| best(&page(0x83, &parts.concat()), None).map(|naming| naming.long);
        assert_eq!(
            best(&[ata_designator(), port.clone(), naa5.clone()]).as_deref(),
            Some("35000c500a1b2c3d4")
        );
        assert_eq!(best(&[naa5, naa6]), Some("3".to_owned() + &"60".repeat(16)));
        assert_eq!(best(&[port]), None);
    }

    #[test]
    fn a_vendor_s_own_name_comes_last_and_with_its_model() {
        // As QEMU answers for a scsi-hd without a world wide name.
        let own = descriptor(ASCII, VENDOR_SPECIFIC, b"drive-scsi0-0-0");
        let whole = page(0x83, &own);
        let named = best(&whole, Some(("QEMU", "QEMU HARDDISK"))).expect("named");
        assert_eq!(named.long, "0QEMU_QEMU_HARDDISK_drive-scsi0-0-0");
        assert_eq!(named.short, "drive-scsi0-0-0");
        assert_eq!(best(&whole, None), None);
        let eui = descriptor(BINARY, EUI_64, &[1; 8]);
        let named = best(&page(0x83, &[own, eui].concat()), Some(("QEMU", "QEMU HARDDISK"))).expect("named");
        assert_eq!((named.long.as_str(), named.naa), ("20101010101010101", None));
    }

    #[test]
    fn older_pages_are_names_themselves() {
        // "The SCSI-2 page 83 format returns an IEEE WWN", says scsi_id of EMC's.
        let name = [0x60, 0x06, 0x04, 0x80, 0, 0, 0, 0x28];
        let named = best(&page(0x83, &name), None).expect("named");
        assert_eq!((named.long.as_str(), named.short.as_str()), ("36006048000000028", "36006048000000028"));
    }

    #[test]
    fn a_unit_serial_number_alone_is_a_name_with_its_maker() {
        let named = Naming::of_unit_serial("beaf 11", Some(("LIO-ORG", "disk0"))).expect("named");
        assert_eq!((named.long.as_str(), named.short.as_str()), ("SLIO-ORG_disk0_beaf_11", "beaf_11"));
    }

    #[test]
    fn a_cut_page_is_read_as_far_as_it_goes() {
        let whole =
            page(0x83, &[ata_designator(), descriptor(1, NAA, &[0x50, 0, 0, 0, 0, 0, 0, 1])].concat());
        for length in 0..whole.len() {
            let _ = designators(&whole[..length]);
        }
        assert!(designators(&page(0x80, b"x")).is_empty());
    }

    #[test]
    fn a_serial_that_is_no_text_is_none() {
        assert_eq!(unit_serial_number(&page(0x80, b"  S5STNF0 \0")).as_deref(), Some("S5STNF0"));
        for odd in [&b"\xff\xfe"[..], b"   ", b"a\x01b", b""] {
            assert_eq!(unit_serial_number(&page(0x80, odd)), None, "{odd:?}");
        }
    }
}
