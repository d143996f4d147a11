//! Device paths as text, UEFI specification 2.10 §10.6, as `efibootmgr -v`
//! shows them: what rules about boot entries are written against.

use std::fmt::Write as _;

/// The type of the node that ends a device path.
const END: u8 = 0x7f;
/// The most nodes of one path; firmware's have fewer than ten.
const MOST_NODES: usize = 64;
/// `PNP` as EISA packs it, the low half of a hardware id (§10.3.3.1).
const PNP: u32 = 0x41d0;

/// `HD(1,GPT,…)/File(\EFI\debian\shimx64.efi)`. What is cut off is left out; a
/// node of an unknown kind is `Path(type,subtype,hex)`.
pub(crate) fn text(mut path: &[u8]) -> String {
    let mut nodes = Vec::new();
    while let [kind, sub, low, high, ..] = *path {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let Some(body) = path.get(4..length) else { break };
        if kind == END || nodes.len() == MOST_NODES {
            break;
        }
        nodes.push(node(kind, sub, body));
        path = &path[length..];
    }
    nodes.join("/")
}

fn node(kind: u8, sub: u8, body: &[u8]) -> String {
    let known = match (kind, sub) {
        (1, 1) => pci(body),
        (2, 1) => acpi(body),
        (3, 11) => mac(body),
        (3, 24) => Some(format!("Uri({})", printable(&String::from_utf8_lossy(body)))),
        (4, 1) => hard_drive(body),
        (4, 4) => Some(format!("File({})", printable(&utf16(body)))),
        _ => None,
    };
    known.unwrap_or_else(|| format!("Path({kind},{sub},{})", hex(body)))
}

fn pci(body: &[u8]) -> Option<String> {
    let [function, device] = *body else { return None };
    Some(format!("Pci({device:#x},{function:#x})"))
}

fn acpi(body: &[u8]) -> Option<String> {
    let (id, unit) = (u32_at(body, 0)?, u32_at(body, 4)?);
    Some(match (id & 0xffff, id >> 16) {
        (PNP, 0x0a03) => format!("PciRoot({unit:#x})"),
        (PNP, 0x0a08) => format!("PcieRoot({unit:#x})"),
        (PNP, product) => format!("Acpi(PNP{product:04X},{unit:#x})"),
        _ => format!("Acpi({id:#010x},{unit:#x})"),
    })
}

/// An address of 32 bytes, of which Ethernet uses six, and the interface's type.
fn mac(body: &[u8]) -> Option<String> {
    let kind = *body.get(32)?;
    let length = if kind <= 1 { 6 } else { 32 };
    Some(format!("MAC({},{kind:#x})", hex(&body[..length])))
}

fn hard_drive(body: &[u8]) -> Option<String> {
    let signature = body.get(20..36)?;
    let identity = match (body.get(36)?, body.get(37)?) {
        (1, 1) => format!("MBR,{:#010x}", u32_at(signature, 0)?),
        (2, 2) => format!("GPT,{}", guid(signature)?),
        (format, kind) => format!("{format},{kind}"),
    };
    let (number, start, length) = (u32_at(body, 0)?, u64_at(body, 4)?, u64_at(body, 12)?);
    Some(format!("HD({number},{identity},{start:#x},{length:#x})"))
}

/// The first three fields are little-endian.
fn guid(bytes: &[u8]) -> Option<String> {
    let (first, second) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?);
    let (middle, last) = (second & 0xffff, second >> 16);
    Some(format!("{first:08x}-{middle:04x}-{last:04x}-{}-{}", hex(&bytes[8..10]), hex(&bytes[10..16])))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn utf16(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> =
        units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|&u| u != 0).collect();
    String::from_utf16_lossy(&units)
}

/// Firmware's text reaches logs: no control characters.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
            .collect()
    }

    #[test]
    fn paths_read_as_efibootmgr_shows_them() {
        for (path, want) in [
            (
                "04012a0001000000000800000000000000301100000000 00efbeadde0102030405060708090a0b0c0202 \
                 040412005c0061002e0065006600690000007fff0400",
                r"HD(1,GPT,deadbeef-0201-0403-0506-0708090a0b0c,0x800,0x113000)/File(\a.efi)",
            ),
            (
                "04012a00020000003f0000000000000001000000000000 00785634120000000000000000000000000101 7fff0400",
                "HD(2,MBR,0x12345678,0x3f,0x1)",
            ),
            (
                "02010c00d041030a00000000 010106000003 030b2500525400aabb01 \
                 0000000000000000000000000000000000000000000000000000 01 7fff0400",
                "PciRoot(0x0)/Pci(0x3,0x0)/MAC(525400aabb01,0x1)",
            ),
            ("02010c00d041080a01000000 7fff0400", "PcieRoot(0x1)"),
            ("02010c00d041010201000000 7fff0400", "Acpi(PNP0201,0x1)"),
            ("03181700687474703a2f2f782f790a626f6f742e656669 7fff0400", "Uri(http://x/y?boot.efi)"),
            ("0407060001027fff0400", "Path(4,7,0102)"),
            ("7fff0400", ""),
        ] {
            assert_eq!(text(&bytes(path)), want);
        }
    }

    #[test]
    fn no_bytes_are_read_past_their_end() {
        let path = bytes("02010c00d041030a00000000 04012a0001000000000800000000000000301100000000 00efbe");
        for length in 0..path.len() {
            let _ = text(&path[..length]);
        }
        assert_eq!(text(&[4, 1, 3, 0, 9]), "", "a node shorter than its own head ends the path");
        assert_eq!(text(&[4, 1, 5, 0, 9]), "Path(4,1,09)");
    }
}
