//! SCSI vital product data, pages 80h and 83h (SPC-5 §7.7), as sysfs hands them
//! out. Bytes of a device: every length is checked.

/// One way of naming a logical unit, in the order `scsi_id` prefers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// A world wide name, in hex.
    Naa(String),
    /// IEEE's older one, in hex.
    Eui64(String),
    /// Vendor and whatever the vendor says is unique.
    Text(String),
}

impl Naming {
    /// udev's `ID_SERIAL_SHORT`.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Naa(name) | Self::Eui64(name) | Self::Text(name) => name.clone(),
        }
    }

    /// udev's `ID_SERIAL`: the type of the designator, then the name.
    pub(crate) fn long(&self) -> String {
        match self {
            Self::Naa(name) => format!("3{name}"),
            Self::Eui64(name) => format!("2{name}"),
            Self::Text(name) => format!("1{name}"),
        }
    }
}

/// One designation descriptor that names the logical unit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Designator {
    kind: u8,
    bytes: Vec<u8>,
}

const T10_VENDOR: u8 = 1;
const EUI_64: u8 = 2;
const NAA: u8 = 3;

/// What libata puts into a T10 designator: `ATA`, the model, the serial.
const ATA_VENDOR: &[u8] = b"ATA     ";
const ATA_MODEL_BYTES: usize = 40;
const ATA_SERIAL_BYTES: usize = 20;

impl Designator {
    /// The whole model of an ATA disk; SCSI's own field cuts it at 16 letters.
    pub(crate) fn ata_model(&self) -> Option<String> {
        let rest = self.bytes.strip_prefix(ATA_VENDOR).filter(|_| self.kind == T10_VENDOR)?;
        (rest.len() == ATA_MODEL_BYTES + ATA_SERIAL_BYTES).then(|| text(&rest[..ATA_MODEL_BYTES]))?
    }

    fn naming(&self) -> Option<Naming> {
        match self.kind {
            NAA => Some(hex(&self.bytes)).filter(|name| is_naa(name)).map(Naming::Naa),
            EUI_64 => Some(Naming::Eui64(hex(&self.bytes))),
            T10_VENDOR => {
                let words = text(&self.bytes)?;
                Some(Naming::Text(words.split_whitespace().collect::<Vec<_>>().join("_")))
            }
            _ => None,
        }
    }
}

/// Page 80h: the unit serial number.
pub(crate) fn unit_serial_number(page: &[u8]) -> Option<String> {
    text(body(page, 0x80)?)
}

/// Page 83h: the descriptors that name the logical unit (not its port, not its target).
pub(crate) fn designators(page: &[u8]) -> Vec<Designator> {
    let mut rest = body(page, 0x83).unwrap_or_default();
    let mut found = Vec::new();
    while let [_, flags, _, length, tail @ ..] = rest {
        let Some((bytes, next)) = tail.split_at_checked(usize::from(*length)) else { break };
        let association = (flags >> 4) & 0b11;
        if association == 0 && !bytes.is_empty() {
            found.push(Designator { kind: flags & 0x0f, bytes: bytes.to_vec() });
        }
        rest = next;
    }
    found
}

/// The part of page 83h that [`designators`] reads.
pub(crate) fn recorded_part(page: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for Designator { kind, bytes } in designators(page) {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX); // was one byte on the page
        body.extend([0, kind, 0, length]);
        body.extend(bytes);
    }
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0, 0x83, length[0], length[1]], body.as_slice()].concat()
}

/// The name `scsi_id` would take: NAA with 128 bits, NAA, EUI-64, T10.
pub(crate) fn best(designators: &[Designator]) -> Option<Naming> {
    let rank = |naming: &Naming| match naming {
        Naming::Naa(name) if name.starts_with('6') => 0,
        Naming::Naa(_) => 1,
        Naming::Eui64(_) => 2,
        Naming::Text(_) => 3,
    };
    designators.iter().filter_map(Designator::naming).min_by_key(rank)
}

/// The kernel's own digest of page 83h, `device/wwid`: `naa.5000c500a1b2c3d4`.
pub(crate) fn from_wwid(wwid: &str) -> Option<Naming> {
    let (kind, name) = wwid.split_once('.')?;
    match kind {
        "naa" if is_naa(name) => Some(Naming::Naa(name.to_owned())),
        "eui" if is_hex(name) => Some(Naming::Eui64(name.to_owned())),
        "t10" => Some(Naming::Text(name.split_whitespace().collect::<Vec<_>>().join("_"))),
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
    }

    #[test]
    fn a_unit_is_named_by_its_best_name_and_never_by_its_port() {
        let naa5 = descriptor(1, NAA, &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd4]);
        let naa6 = descriptor(1, NAA, &[0x60; 16]);
        let port = descriptor(1, 0x10 | NAA, &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd5]);
        let best = |parts: &[Vec<u8>]| best(&designators(&page(0x83, &parts.concat())));
        assert_eq!(
            best(&[ata_designator(), port.clone(), naa5.clone()]),
            Some(Naming::Naa("5000c500a1b2c3d4".into()))
        );
        assert_eq!(best(&[naa5, naa6]), Some(Naming::Naa("60".repeat(16))));
        assert_eq!(best(&[port]), None);
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
