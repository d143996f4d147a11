//! Stand-ins for what identifies one machine among its like.
//!
//! Every identifier the scan found (serials, world wide names, MACs, addresses)
//! is replaced wherever it stands, in text and in bytes, by one of the same shape
//! and length: pages keep their lengths, and two disks with one serial still have
//! one. Stand-ins are numbered, not computed from the identifier, so nobody can
//! compute back; recording the same machine again gives the same ones.

use std::{net::IpAddr, path::Path};

use model::{Algorithm, Hasher, Mac, inventory::Inventory};

use crate::recording::{Entry, Tree};

/// The files an identifier may stand in. Elsewhere the same digits are chance.
const BEARERS: [&str; 12] = [
    "address",
    "cmdline",
    "permanent_mac",
    "persistent_address",
    "port_name",
    "product_serial",
    "sas_address",
    "serial",
    "targetname",
    "uuid",
    "vpd_pg80",
    "wwid",
];
const BINARY_BEARERS: [&str; 2] = ["vpd_pg83", "DMI"];

/// The file that has an interface's addresses, one a line.
const ADDRESSES: &str = "addresses";

/// What a recorded machine is called.
const HOSTNAME: &str = "recorded-machine";

/// One identifier and what stands for it.
struct StandIn {
    from: Vec<u8>,
    to: Vec<u8>,
}

/// The same tree of a machine nobody can find.
pub(crate) fn replace(tree: &Tree, inventory: &Inventory) -> Tree {
    let stand_ins = stand_ins(tree, inventory);
    let replaced = tree.entries().map(|(path, entry)| {
        let entry = match entry {
            Entry::File(content) => Entry::File(replace_in(path, content, &stand_ins)),
            Entry::Link(_) | Entry::Directory | Entry::Broken(_) => entry.clone(),
        };
        (path.clone(), entry)
    });
    replaced.collect()
}

fn replace_in(path: &Path, content: &[u8], stand_ins: &[StandIn]) -> Vec<u8> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "hostname" => HOSTNAME.into(),
        ADDRESSES => replace_lines(content, stand_ins),
        _ if BEARERS.contains(&name) || BINARY_BEARERS.contains(&name) => {
            stand_ins.iter().fold(content.to_vec(), |content, stand_in| stand_in.put_into(&content))
        }
        _ => content.to_vec(),
    }
}

/// Addresses are replaced as whole lines, but for the length of their network: one may be
/// the beginning of another.
fn replace_lines(content: &[u8], stand_ins: &[StandIn]) -> Vec<u8> {
    let of = |line: &[u8]| {
        let end = line.iter().position(|byte| *byte == b'/').unwrap_or(line.len());
        let (address, length) = line.split_at(end);
        let stand_in = stand_ins.iter().find(|stand_in| stand_in.from == address)?;
        Some([stand_in.to.as_slice(), length].concat())
    };
    let lines: Vec<_> =
        content.split(|byte| *byte == b'\n').map(|line| of(line).unwrap_or(line.to_vec())).collect();
    lines.join(&b'\n')
}

/// Every address of every interface, the shown and the others, but for loopback's.
fn addresses(tree: &Tree) -> Vec<StandIn> {
    let mut found: Vec<IpAddr> = Vec::new();
    for (path, entry) in tree.entries().filter(|(path, _)| path.ends_with(ADDRESSES)) {
        let (Entry::File(content), true) = (entry, path.starts_with("kernel")) else { continue };
        let text = String::from_utf8_lossy(content);
        let here = text.lines().filter_map(|line| line.trim().split('/').next()?.parse().ok());
        found.extend(here.filter(|address: &IpAddr| !address.is_loopback()));
    }
    model::order::sort(&mut found);
    found.dedup();
    found.into_iter().enumerate().map(|(nth, found)| address(found, nth)).collect()
}

/// All of them, longest first: a serial may be part of a longer name.
fn stand_ins(tree: &Tree, inventory: &Inventory) -> Vec<StandIn> {
    let mut all = Vec::new();
    for (nth, nic) in inventory.nics.iter().enumerate() {
        all.extend(macs(nic.mac, nth));
        let guid = nic.client_id.as_deref().and_then(|id| id.rsplit_once("c9:00:"));
        all.extend(guid.map(|(_, guid)| same_shape(guid, 0, nth)));
    }
    all.extend(inventory.system_vendor.serial_number.iter().map(|serial| same_shape(serial, 0, 0)));
    for (nth, disk) in inventory.disks.iter().enumerate() {
        let wwn = disk.wwn.as_ref().map(|wwn| wwn.with_extension.as_deref().unwrap_or(&wwn.id));
        let digits = wwn.map(|wwn| wwn.strip_prefix("0x").unwrap_or(wwn));
        all.extend(digits.into_iter().flat_map(|digits| world_wide_name(digits, nth)));
        // Some disks have no serial but their world wide name.
        let own = |serial: &&String| digits.is_none_or(|digits| !serial.contains(digits));
        all.extend(disk.serial.iter().filter(own).map(|serial| same_shape(serial, 0, 100 + nth)));
    }
    all.extend(whole_files(tree));
    all.extend(addresses(tree));
    all.retain(|stand_in| stand_in.from.len() >= 4); // shorter is not rare enough to identify
    model::order::sort_by_key(&mut all, |stand_in| std::cmp::Reverse(stand_in.from.len()));
    all
}

/// What the inventory shows at most as part of something else.
fn whole_files(tree: &Tree) -> Vec<StandIn> {
    let mut all = Vec::new();
    for (nth, (path, entry)) in tree.entries().enumerate() {
        let Entry::File(content) = entry else { continue };
        let Ok(text) = std::str::from_utf8(content).map(str::trim) else { continue };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            "persistent_address" | "targetname" | "port_name" | "sas_address" => {
                all.push(same_shape(text, 2, nth))
            }
            // A volume or a container; that of a multipath map is its disk's name.
            "uuid" if !text.starts_with("mpath-") => {
                let kind = text.find('-').map_or(0, |dash| dash + 1);
                all.push(same_shape(text, kind, nth));
            }
            // Vendor, model, serial; a multipath map or a SAS disk has another kind of name.
            "wwid" if text.starts_with("t10.") => {
                all.extend(text.split_whitespace().next_back().map(|serial| same_shape(serial, 0, nth)));
            }
            _ => {}
        }
    }
    all
}

/// A MAC keeps its maker; it stands with colons and, in `BOOTIF`, with dashes.
fn macs(mac: Mac, nth: usize) -> [StandIn; 2] {
    let of = same_shape(&mac.to_string(), "aa:bb:cc:".len(), 2000 + nth);
    let dashed = |text: &[u8]| text.iter().map(|byte| if *byte == b':' { b'-' } else { *byte }).collect();
    [StandIn { from: dashed(&of.from), to: dashed(&of.to) }, of]
}

/// An address from the documentation ranges (RFC 5737, RFC 3849), or link-local.
fn address(address: IpAddr, nth: usize) -> StandIn {
    let nth = nth + 1;
    let to = match address {
        IpAddr::V4(_) => format!("192.0.2.{}", nth.min(254)),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => format!("fe80::{nth:x}"),
        IpAddr::V6(_) => format!("2001:db8::{nth:x}"),
    };
    StandIn { from: address.to_string().into(), to: to.into() }
}

/// A name in hex keeps its type and its maker (the first 28 bits); it stands as
/// text and, in page 83h, as bytes.
fn world_wide_name(name: &str, nth: usize) -> Vec<StandIn> {
    let text = same_shape(name, 7, 100 + nth);
    let binary = bytes_of_hex(&text.from).zip(bytes_of_hex(&text.to)).map(|(from, to)| StandIn { from, to });
    binary.into_iter().chain([text]).collect()
}

fn bytes_of_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(pair).collect())?
}

/// The stand-in numbered `nth` for `text`, of which the first `keep` letters
/// stay: digits for digits, hex for hex, letters for letters, marks as they are.
pub(crate) fn stand_in(text: &str, keep: usize, nth: usize) -> String {
    let all_hex = text.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte.is_ascii_hexdigit());
    let letters = if all_hex { 6 } else { 26 };
    let mut source = numbers(nth);
    let mut put = |(at, letter): (usize, char)| match letter {
        _ if at < keep => letter,
        '0'..='9' => char::from(b'0' + source() % 10),
        'a'..='z' => char::from(b'a' + source() % letters),
        'A'..='Z' => char::from(b'A' + source() % letters),
        _ => letter,
    };
    text.chars().enumerate().map(&mut put).collect()
}

fn same_shape(text: &str, keep: usize, nth: usize) -> StandIn {
    StandIn { from: text.into(), to: stand_in(text, keep, nth).into() }
}

/// Bytes that look like chance and are the same for the same `nth`.
fn numbers(nth: usize) -> impl FnMut() -> u8 {
    let mut block = 0_u32;
    let mut digits = Vec::new();
    move || {
        if digits.is_empty() {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(format!("{nth} {block}").as_bytes());
            digits = hasher.finish().hex().into_bytes();
            block += 1;
        }
        let pair = [digits.pop().unwrap_or(0), digits.pop().unwrap_or(0)];
        pair[0].wrapping_mul(16).wrapping_add(pair[1])
    }
}

impl StandIn {
    fn put_into(&self, content: &[u8]) -> Vec<u8> {
        let mut replaced = Vec::with_capacity(content.len());
        let mut rest = content;
        while !rest.is_empty() {
            match rest.strip_prefix(self.from.as_slice()) {
                Some(after) => {
                    replaced.extend_from_slice(&self.to);
                    rest = after;
                }
                None => {
                    replaced.push(rest[0]);
                    rest = &rest[1..];
                }
            }
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_shape_of_what_it_stands_for() {
        let of = stand_in("S5STNF0R-0042", 0, 7);
        assert_eq!(of, stand_in("S5STNF0R-0042", 0, 7), "the same each time");
        assert_ne!(of, "S5STNF0R-0042");
        assert_eq!((of.len(), &of[8..9]), (13, "-"));
        assert!(of[9..].bytes().all(|byte| byte.is_ascii_digit()), "{of}");
        assert!(stand_in("5002538e40b4d2f1", 7, 7).starts_with("5002538"));
        assert!(stand_in("deadbeef", 0, 1).bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
