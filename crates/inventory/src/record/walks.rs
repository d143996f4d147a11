//! Where identifiers stand in what devices and firmware answer. Each walk hands
//! them to `swap` and writes down what it returns; lengths stay.

#![expect(clippy::ptr_arg, reason = "walks are of one type, and some shorten")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::identifier::{Identifier, Swap, from_hex};
use crate::placeholder::is_placeholder;

/// A walk through one kind of file.
pub(super) type Walk = fn(&mut Vec<u8>, Swap<'_>);

/// Hand over the text within `range`, without what it is filled up with.
fn swap_text(content: &mut [u8], range: Range<usize>, swap: Swap<'_>) {
    let Some(field) = content.get_mut(range) else { return };
    let Ok(text) = std::str::from_utf8(field) else { return field.fill(b'?') };
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if trimmed.is_empty() || is_placeholder(trimmed) {
        return;
    }
    let start = text.find(trimmed).unwrap_or(0);
    let put = whole_text(trimmed, swap);
    let length = trimmed.len();
    if let Some(place) = field.get_mut(start..start + length).filter(|_| put.len() == length) {
        place.copy_from_slice(put.as_bytes());
    }
}

/// Hand over the bytes within `range`, unless they are none.
fn swap_bytes(content: &mut [u8], range: Range<usize>, swap: Swap<'_>) {
    let Some(field) = content.get_mut(range) else { return };
    if field.iter().all(|byte| *byte == 0) || field.iter().all(|byte| *byte == 0xff) {
        return;
    }
    if let Identifier::Bytes(put) = swap(Identifier::Bytes(field.to_vec()))
        && put.len() == field.len()
    {
        field.copy_from_slice(&put);
    }
}

fn swap_address(content: &mut [u8], range: Range<usize>, swap: Swap<'_>) {
    let Some(field) = content.get_mut(range) else { return };
    let address = if let Ok(octets) = <[u8; 4]>::try_from(&*field) {
        IpAddr::V4(Ipv4Addr::from(octets))
    } else if let Ok(octets) = <[u8; 16]>::try_from(&*field) {
        IpAddr::V6(Ipv6Addr::from(octets))
    } else {
        return;
    };
    if address.is_unspecified() || address.is_loopback() {
        return;
    }
    match swap(Identifier::Address(address)) {
        Identifier::Address(IpAddr::V4(put)) if address.is_ipv4() => field.copy_from_slice(&put.octets()),
        Identifier::Address(IpAddr::V6(put)) if address.is_ipv6() => field.copy_from_slice(&put.octets()),
        Identifier::Address(_) | Identifier::Text(_) | Identifier::Bytes(_) => {}
    }
}

/// What a file holds that is one identifier and nothing else; several lines are several.
pub(super) fn whole(content: &mut Vec<u8>, swap: Swap<'_>) {
    let Ok(text) = std::str::from_utf8(content) else { return content.clear() };
    let line = |line: &str| {
        let trimmed = line.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if trimmed.is_empty() || is_placeholder(trimmed) {
            return line.to_owned();
        }
        line.replacen(trimmed, &whole_text(trimmed, &mut *swap), 1)
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    *content = lines.join("\n").into_bytes();
}

/// What stands before the part of a text that identifies.
/// The last is how PXELINUX begins a MAC.
const MARKS: [&str; 9] = ["mpath-3", "mpath-", "naa.", "eui.", "uuid.", "0x", "LVM-", "CRYPT-", "01-"];

/// One identifier as text, of whatever kind it is.
pub(super) fn whole_text(text: &str, swap: Swap<'_>) -> String {
    if let Some((mark, rest)) = MARKS.iter().find_map(|mark| Some((mark, text.strip_prefix(mark)?))) {
        return format!("{mark}{}", whole_text(rest, swap));
    }
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    if let Ok(address) = address.parse::<IpAddr>() {
        let put = if address.is_loopback() || address.is_unspecified() {
            Identifier::Address(address)
        } else {
            swap(Identifier::Address(address))
        };
        let length = length.map(|length| format!("/{length}")).unwrap_or_default();
        return match put {
            Identifier::Address(put) => format!("{put}{length}"),
            Identifier::Text(_) | Identifier::Bytes(_) => text.to_owned(),
        };
    }
    if let Some((before, name)) = text.strip_prefix("nqn.").and_then(|rest| rest.rsplit_once(':')) {
        return format!("nqn.{before}:{}", whole_text(name, swap));
    }
    if let Some(name) = text.strip_prefix("nvme.") {
        return format!("nvme.{}", nvme_name(name, swap));
    }
    // Vendor, model and serial number in one.
    if let Some((before, serial)) =
        text.strip_prefix("t10.").and_then(|rest| rest.rsplit_once(char::is_whitespace))
    {
        return format!("t10.{before} {}", whole_text(serial, swap));
    }
    if let Some(put) = hex_text(text, swap) {
        return put;
    }
    match swap(Identifier::Text(text.to_owned())) {
        Identifier::Text(put) => put,
        Identifier::Bytes(_) | Identifier::Address(_) => text.to_owned(),
    }
}

/// The kernel's own name for a namespace without one: the vendor, serial number and
/// model in hex, the namespace (`wwid_show`, drivers/nvme/host).
fn nvme_name(name: &str, swap: Swap<'_>) -> String {
    let mut parts: Vec<String> = name.split('-').map(str::to_owned).collect();
    let serial = parts.get(1).and_then(|hex| String::from_utf8(from_hex(hex.as_bytes())?).ok());
    if let (Some(part), Some(serial)) = (parts.get_mut(1), serial) {
        *part = whole_text(&serial, swap).bytes().map(|byte| format!("{byte:02x}")).collect();
    }
    parts.join("-")
}

/// Shorter hex is taken for a serial number.
const SHORTEST_HEX: usize = 12;
/// A hardware address of InfiniBand is a queue, a subnet and the port's GUID.
const INFINIBAND: Range<usize> = 12..20;

/// Hex with marks in it or without; `None` for other texts.
fn hex_text(text: &str, swap: Swap<'_>) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| ![b':', b'-'].contains(byte)).collect();
    if digits.len() < SHORTEST_HEX || digits.len() == text.len() && digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut bytes = from_hex(&digits)?;
    let part = if bytes.len() == INFINIBAND.end { INFINIBAND } else { 0..bytes.len() };
    swap_bytes(&mut bytes, part, swap);
    let put: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut put = put.chars();
    let digit = |letter: char| match letter {
        ':' | '-' => letter,
        'A'..='F' => put.next().map_or(letter, |digit| digit.to_ascii_uppercase()),
        _ => put.next().unwrap_or(letter),
    };
    Some(text.chars().map(digit).collect())
}

/// SCSI's page 80h: the unit serial number.
pub(super) fn serial_page(page: &mut Vec<u8>, swap: Swap<'_>) {
    let end = page.len();
    swap_text(page, 4..end, swap);
}

const T10_VENDOR: u8 = 1;
const ASCII: u8 = 2;
/// A designator of the logical unit, not of its port or its target.
const UNIT: u8 = 0;
/// A T10 designator begins with eight letters of the vendor; libata's goes on with
/// forty of the model.
const VENDOR_BYTES: usize = 8;
const ATA_SERIAL: Range<usize> = 48..68;

/// SCSI's page 83h: the designators of the unit; others, which are not read, are left out.
/// Before SPC-2 it was the name itself, without reserved bytes.
pub(super) fn designation_page(page: &mut Vec<u8>, swap: Swap<'_>) {
    let length = page.get(2..4).map_or(0, |length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    page.truncate(4 + length);
    let end = page.len();
    if page.get(6).is_some_and(|reserved| *reserved != 0) {
        return swap_bytes(page, 4..end, swap);
    }
    let mut rest = page.get(4..).unwrap_or_default();
    let mut body = Vec::new();
    while let [set, flags, _, length, tail @ ..] = rest {
        let Some((bytes, next)) = tail.split_at_checked(usize::from(*length)) else { break };
        if flags >> 4 & 0b11 == UNIT {
            body.extend([*set, *flags, 0, *length]);
            body.extend(designator(*set & 0x0f, *flags & 0x0f, bytes, &mut *swap));
        }
        rest = next;
    }
    let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let first = page.first().copied().unwrap_or(0);
    *page = [&[first, 0x83, length[0], length[1]], body.as_slice()].concat();
}

fn designator(set: u8, kind: u8, bytes: &[u8], swap: Swap<'_>) -> Vec<u8> {
    let mut put = bytes.to_vec();
    let end = put.len();
    match (kind, set) {
        (T10_VENDOR, ASCII) if end == ATA_SERIAL.end => swap_text(&mut put, ATA_SERIAL, swap),
        (T10_VENDOR, ASCII) => {
            // Whatever the vendor says is unique: its last word.
            let text = String::from_utf8_lossy(&put).trim_end_matches([' ', '\0']).len();
            let last = put[..text.min(end)].iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
            swap_text(&mut put, last.max(VENDOR_BYTES.min(end))..end, swap);
        }
        (_, ASCII | 3) => swap_text(&mut put, 0..end, swap),
        _ => swap_bytes(&mut put, 0..end, swap),
    }
    put
}

/// What an NVMe controller says of itself: serial number, FRU's GUID, qualified name.
/// What only its vendor can read is left out.
pub(super) fn nvme_controller(page: &mut Vec<u8>, swap: Swap<'_>) {
    swap_text(page, 4..24, &mut *swap);
    swap_bytes(page, 112..128, &mut *swap);
    swap_text(page, 768..1024, swap);
    if let Some(vendors) = page.get_mut(3072..) {
        vendors.fill(0);
    }
}

/// ATA's IDENTIFY DEVICE: serial number, world wide name. What only its vendor can read is left out.
pub(super) fn ata_identify(page: &mut Vec<u8>, swap: Swap<'_>) {
    const SERIAL: Range<usize> = 20..40;
    const WORLD_WIDE_NAME: Range<usize> = 216..224;
    const VENDORS: [Range<usize>; 2] = [258..320, 352..412];
    const SUM: usize = 511;
    if page.len() <= SUM {
        return page.clear();
    }
    // Words come low byte first; text and name are meant high byte first.
    let swap_words = |page: &mut Vec<u8>, range: Range<usize>| {
        page[range].as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.reverse());
    };
    for range in [SERIAL, WORLD_WIDE_NAME] {
        swap_words(page, range);
    }
    swap_text(page, SERIAL, &mut *swap);
    swap_bytes(page, WORLD_WIDE_NAME, swap);
    for range in [SERIAL, WORLD_WIDE_NAME] {
        swap_words(page, range);
    }
    for range in VENDORS {
        page[range].fill(0);
    }
    if page[SUM - 1] == 0xa5 {
        let sum = page[..SUM].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        page[SUM] = sum.wrapping_neg();
    }
}

/// Page 89h of vital product data, which holds an IDENTIFY DEVICE (SAT-4, 12.4.2).
pub(super) fn ata_page(page: &mut Vec<u8>, swap: Swap<'_>) {
    const IDENTIFY: usize = 60;
    let mut identify = page.split_off(page.len().min(IDENTIFY));
    ata_identify(&mut identify, swap);
    page.append(&mut identify);
}

/// An answer of a management controller: completion code, revision of the parameter, value.
const IPMI_VALUE: usize = 2;

pub(super) fn ipmi_mac(answer: &mut Vec<u8>, swap: Swap<'_>) {
    swap_bytes(answer, IPMI_VALUE..IPMI_VALUE + 6, swap);
}

pub(super) fn ipmi_ipv4(answer: &mut Vec<u8>, swap: Swap<'_>) {
    swap_address(answer, IPMI_VALUE..IPMI_VALUE + 4, swap);
}

/// A place in a list, where the address comes from, the address.
pub(super) fn ipmi_ipv6(answer: &mut Vec<u8>, swap: Swap<'_>) {
    swap_address(answer, IPMI_VALUE + 2..IPMI_VALUE + 18, swap);
}

/// A boot entry of UEFI: what stands in its device path (specification 2.10, section 10.3).
/// What follows the path is its loader's business and is left out.
pub(super) fn boot_entry(variable: &mut Vec<u8>, swap: Swap<'_>) {
    const ATTRIBUTES: usize = 4;
    const LABEL: usize = ATTRIBUTES + 6;
    let Some(length) =
        variable.get(8..10).map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])))
    else {
        return variable.clear();
    };
    let words = variable.get(LABEL..).unwrap_or_default().as_chunks::<2>().0;
    let Some(label_words) = words.iter().position(|word| *word == [0, 0]) else { return variable.clear() };
    let mut at = LABEL + 2 * (label_words + 1);
    let end = (at + length).min(variable.len());
    variable.truncate(end);
    while let Some(&[kind, subtype, low, high]) = variable.get(at..at + 4) {
        let size = usize::from(u16::from_le_bytes([low, high]));
        if size < 4 || at + size > end {
            break;
        }
        path_node(&mut variable[at..at + size], (kind, subtype), &mut *swap);
        at += size;
    }
    variable[at..].fill(0); // what is no node is not read
}

fn path_node(node: &mut [u8], kind: (u8, u8), swap: Swap<'_>) {
    let end = node.len();
    match kind {
        (3, 3) => swap_bytes(node, 8..16, swap),    // Fibre Channel
        (3, 10) => swap_bytes(node, 20..end, swap), // a vendor's: SAS
        (3, 11) => swap_bytes(node, 4..10, swap),   // MAC
        (3, 12) => {
            for address in [4..8, 8..12, 19..23] {
                swap_address(node, address, &mut *swap);
            }
        }
        (3, 13) => {
            for address in [4..20, 20..36] {
                swap_address(node, address, &mut *swap);
            }
        }
        (3, 21) => swap_bytes(node, 4..12, swap), // Fibre Channel again
        (3, 22) => swap_bytes(node, 4..12, swap), // SAS
        (3, 23) => swap_bytes(node, 8..16, swap), // NVMe's EUI-64
        (3, 24) => swap_text(node, 4..end, swap), // a URL
        (4, 1) => swap_bytes(node, 24..40, swap), // a partition's UUID, a disk's signature
        // ATAPI, SCSI, USB, serial lines, logical units, SATA: places and kinds.
        (3, 1 | 2 | 5 | 14 | 15 | 17 | 18) => {}
        // iSCSI's names, USB's serial numbers, names of radio networks, servers: whatever comes.
        (3, _) => node[4..].fill(0),
        _ => {}
    }
}

/// `Serial : 10000000a1b2c3d4` of boards with ARM processors.
pub(super) fn processors(content: &mut Vec<u8>, swap: Swap<'_>) {
    let Ok(text) = std::str::from_utf8(content) else { return content.clear() };
    let line = |line: &str| match line.split_once(':') {
        Some((name, serial)) if name.trim() == "Serial" => {
            let trimmed = serial.trim();
            line.replacen(trimmed, &whole_text(trimmed, &mut *swap), usize::from(!is_placeholder(trimmed)))
        }
        Some(_) | None => line.to_owned(),
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    *content = lines.join("\n").into_bytes();
}

/// Names that kernels give events: `HID_UNIQ=…`.
pub(super) fn event(content: &mut Vec<u8>, swap: Swap<'_>) {
    const IDENTIFYING: [&str; 6] =
        ["HID_UNIQ", "PARTUUID", "NVME_HOSTNQN", "NVME_HOSTID", "NVME_TRADDR", "ID_SERIAL"];
    let Ok(text) = std::str::from_utf8(content) else { return content.clear() };
    let line = |line: &str| match line.split_once('=') {
        Some((name, value)) if IDENTIFYING.contains(&name) && !value.is_empty() => {
            format!("{name}={}", whole_text(value, &mut *swap))
        }
        Some(_) | None => line.to_owned(),
    };
    let lines: Vec<String> = text.split('\n').map(line).collect();
    *content = lines.join("\n").into_bytes();
}

/// Names that say of themselves what they are, in any text: MACs, UUIDs, world wide names.
pub(super) fn telling(content: &mut Vec<u8>, swap: Swap<'_>) {
    let Ok(text) = std::str::from_utf8(content) else { return };
    let part =
        |letter: char| letter.is_ascii_alphanumeric() || letter == ':' || letter == '-' || letter == '.';
    let mut put = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(part) {
        let length = rest[start..].find(|letter| !part(letter)).unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        put.push_str(&rest[..start]);
        put.push_str(&if tells(word) { whole_text(word, &mut *swap) } else { word.to_owned() });
        rest = &rest[start + length..];
    }
    put.push_str(rest);
    if put != text {
        *content = put.into_bytes();
    }
}

fn tells(word: &str) -> bool {
    let lengths = |mark: char| word.split(mark).map(str::len).collect::<Vec<_>>();
    let hex = |mark: char| word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == mark as u8);
    let named = |mark: &str, digits: &[usize]| {
        word.strip_prefix(mark).is_some_and(|rest| {
            digits.contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    hex(':') && lengths(':') == [2; 6] && !is_placeholder(word)
        || hex('-') && lengths('-') == [8, 4, 4, 4, 12]
        || named("naa.", &[16, 32])
        || named("eui.", &[16, 32])
        || named("0x5", &[15])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed over, and zeros instead.
    fn found(walk: Walk, content: &[u8]) -> (Vec<Identifier>, Vec<u8>) {
        let (mut found, mut content) = (Vec::new(), content.to_vec());
        walk(&mut content, &mut |identifier| {
            found.push(identifier.clone());
            match identifier {
                Identifier::Text(text) => Identifier::Text("0".repeat(text.len())),
                Identifier::Bytes(bytes) => Identifier::Bytes(vec![0; bytes.len()]),
                Identifier::Address(_) => Identifier::Address("192.0.2.9".parse().expect("an address")),
            }
        });
        (found, content)
    }

    #[test]
    fn texts_are_what_they_look_like() {
        let text = |text: &str| vec![Identifier::Text(text.into())];
        let hex = |digits: &str| vec![Identifier::Bytes(from_hex(digits.as_bytes()).expect("hex"))];
        for (line, want) in [
            ("S5STNF0\n", text("S5STNF0")),
            ("90817263544536\n", text("90817263544536")),
            ("To be filled by O.E.M.\n", vec![]),
            ("00:00:00:00:00:00\n", vec![]),
            ("52:54:00:aa:bb:cc\n", hex("525400aabbcc")),
            ("0x5000c500a1b2c3d4\n", hex("5000c500a1b2c3d4")),
            ("naa.5000c500a1b2c3d4\n", hex("5000c500a1b2c3d4")),
            ("eui.0025385b71b002a1\n", hex("0025385b71b002a1")),
            ("uuid.0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n", hex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
            ("nqn.2019-08.org.qemu:NVMEAAAA\n", text("NVMEAAAA")),
            ("t10.ATA     QEMU HARDDISK   S5STNF0\n", text("S5STNF0")),
            ("nvme.1b36-53354e-51454d55-00000001", text("S5N")),
            ("01-52-54-00-aa-bb-cc", hex("525400aabbcc")),
            ("mpath-35000c500a1b2c3d4", hex("5000c500a1b2c3d4")),
            ("10.0.0.7/24", vec![Identifier::Address("10.0.0.7".parse().expect("an address"))]),
            ("127.0.0.1/8", vec![]),
            ("80:00:02:08:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:22:8e\n", hex("7cfe90030029228e")),
        ] {
            let (found, put) = found(whole, line.as_bytes());
            assert_eq!(found, want, "{line}");
            assert!(want.is_empty() == (put == line.as_bytes()), "{line}: {}", String::from_utf8_lossy(&put));
        }
    }

    #[test]
    fn names_are_known_in_any_text() {
        let line = b"E: 52:54:00:aa:bb:cc at 0000:00:1f.2, 0x5000c500a1b2c3d4 1.2.3 8e1f1a0c-1111-4222-8333-0123456789ab";
        assert_eq!(found(telling, line).0.len(), 3);
    }

    #[test]
    fn a_cut_answer_is_no_harm() {
        let whole_page = {
            let mut page = vec![0x11; 4096];
            page[4..24].copy_from_slice(b"SERIAL00000000000042");
            page
        };
        let walks: [Walk; 10] = [
            whole,
            serial_page,
            designation_page,
            nvme_controller,
            ata_identify,
            ipmi_mac,
            ipmi_ipv4,
            ipmi_ipv6,
            boot_entry,
            telling,
        ];
        for walk in walks {
            for length in (0..600).chain([768, 1000, 1024, 3071, 3073, 4096]) {
                let _ = found(walk, &whole_page[..length]);
                let _ = found(walk, &vec![0xff; length]);
            }
        }
        let (names, page) = found(nvme_controller, &whole_page);
        assert!(names.contains(&Identifier::Text("SERIAL00000000000042".into())), "{names:?}");
        assert_eq!((page.len(), &page[3072..3076]), (4096, &[0; 4][..]));
    }

    #[test]
    fn a_boot_entry_keeps_no_name_of_another_machine() {
        let entry = |nodes: &[u8]| {
            let length = u16::try_from(nodes.len()).expect("short").to_le_bytes();
            [&[7, 0, 0, 0, 1, 0, 0, 0], length.as_slice(), b"x\0\0\0", nodes].concat()
        };
        let iscsi = b"\x03\x13\x1e\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0iqn.SECRET.x".as_slice();
        let sata = b"\x03\x12\x0a\0\x01\0\xff\xff\0\0".as_slice();
        for nodes in [[sata, iscsi, b"\x7f\xff\x04\0"].concat(), [sata, b"\x03\x10\x02\0SECRET"].concat()] {
            let (_, put) = found(boot_entry, &entry(&nodes));
            let shown = String::from_utf8_lossy(&put).into_owned();
            assert!(!shown.contains("SECRET"), "{shown:?}");
            assert_eq!((put.len(), &put[14..24]), (entry(&nodes).len(), sata));
        }
    }

    #[test]
    fn an_ata_drive_keeps_its_sum() {
        let mut page = vec![0_u8; 512];
        page[20..40].copy_from_slice(&super::super::forms::swapped("      WD-WCC1AAAA   "));
        page[216..224].copy_from_slice(&[0x01, 0x50, 0x4e, 0xe2, 0xb1, 0, 0, 1]);
        page[510] = 0xa5;
        let (found, page) = found(ata_identify, &page);
        assert_eq!(found[0], Identifier::Text("WD-WCC1AAAA".into()));
        assert_eq!(page.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    }
}
