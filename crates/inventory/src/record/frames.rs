//! What switches say of themselves, in frames of LLDP (IEEE 802.1AB).

use super::{
    identifier::{Identifier, Swap},
    walks::whole_text,
};
use crate::lldp::frame::payload;

/// Where a frame has its sender.
const SENDER: std::ops::Range<usize> = 6..12;

/// A frame: the sender, names, descriptions and addresses. Of what is none, nothing stays.
pub(super) fn lldp(frame: &mut Vec<u8>, swap: Swap<'_>) {
    let Some(mut at) = payload(frame) else { return frame.clear() };
    bytes(&mut frame[SENDER], &mut *swap);
    while let Some(&[high, low]) = frame.get(at..at + 2) {
        let (kind, length) = (high >> 1, usize::from(high & 1) << 8 | usize::from(low));
        let Some(value) = frame.get_mut(at + 2..at + 2 + length) else { break };
        tlv(kind, value, &mut *swap);
        at += 2 + length;
    }
    frame.truncate(at); // what follows was not read
}

fn tlv(kind: u8, value: &mut [u8], swap: Swap<'_>) {
    match (kind, value) {
        (1, [4, mac @ ..]) | (2, [3, mac @ ..]) => bytes(mac, swap),
        (1 | 2, [4 | 5, family, address @ ..]) if [1, 2].contains(family) => bytes(address, swap),
        // Names of interfaces are the same on every switch of a kind.
        (2, [5, ..]) => {}
        (1 | 2, [_, name @ ..]) => text(name, swap),
        // Port description and system name; the system's description tells its make.
        (4 | 5, name) => text(name, swap),
        (8, [length, _family, rest @ ..]) => {
            let end = usize::from(*length).saturating_sub(1).min(rest.len());
            bytes(&mut rest[..end], swap);
        }
        // IEEE 802.1: the name of a VLAN, behind its number and its length.
        (127, [0x00, 0x80, 0xc2, 3, _, _, _, name @ ..]) => text(name, swap),
        // IEEE 802.1 and 802.3: numbers.
        (127, [0x00, 0x80, 0xc2, ..] | [0x00, 0x12, 0x0f, ..]) => {}
        // LLDP-MED: serial number, asset tag; of anybody else (Juniper, Cisco), whatever it is.
        (127, [0x00, 0x12, 0xbb, 8 | 11, name @ ..]) => text(name, swap),
        (127, [_, _, _, _, rest @ ..]) => rest.fill(0),
        // What the standard reserves.
        (9..127, reserved) => reserved.fill(0),
        _ => {}
    }
}

fn bytes(place: &mut [u8], swap: Swap<'_>) {
    if let Identifier::Bytes(put) = swap(Identifier::Bytes(place.to_vec()))
        && put.len() == place.len()
    {
        place.copy_from_slice(&put);
    }
}

fn text(place: &mut [u8], swap: Swap<'_>) {
    let put = std::str::from_utf8(place).map(|text| whole_text(text, swap));
    match put {
        Ok(put) if put.len() == place.len() => place.copy_from_slice(put.as_bytes()),
        Ok(_) | Err(_) => place.fill(b'?'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch() -> Vec<u8> {
        let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 0x0e, 0x52, 0x54, 0, 1, 2, 3, 0x88, 0xcc];
        let mut add = |kind: u8, value: &[u8]| {
            frame.extend([kind << 1, u8::try_from(value.len()).expect("short")]);
            frame.extend(value);
        };
        add(1, &[4, 0x52, 0x54, 0, 1, 2, 3]);
        add(2, b"\x05Ethernet1/7");
        add(3, &[0, 120]);
        add(5, b"rack7-leaf1.example");
        add(8, &[5, 1, 10, 20, 30, 40, 2, 0, 0, 0, 1, 0]);
        add(127, b"\x00\x80\xc2\x03\x00\x05\x06tenant");
        add(127, b"\x00\x90\x69\x01SERIAL42");
        add(99, b"of the SERIAL future");
        add(0, b"");
        frame
    }

    #[test]
    fn a_switch_keeps_its_ports_and_loses_its_names() {
        let mut frame = switch();
        let mut found = Vec::new();
        lldp(&mut frame, &mut |identifier| {
            found.push(identifier.clone());
            match identifier {
                Identifier::Text(text) => Identifier::Text("x".repeat(text.len())),
                Identifier::Bytes(bytes) => Identifier::Bytes(vec![9; bytes.len()]),
                Identifier::Address(address) => Identifier::Address(address),
            }
        });
        assert_eq!(frame.len(), switch().len());
        assert_eq!(found.len(), 5, "{found:?}");
        let shown = String::from_utf8_lossy(&frame).into_owned();
        assert!(
            shown.contains("Ethernet1/7") && !shown.contains("leaf1") && !shown.contains("tenant"),
            "{shown:?}"
        );
        assert!(!shown.contains("SERIAL"), "{shown:?}");
    }

    #[test]
    fn a_tag_hides_nothing_and_what_is_no_frame_does_not_stay() {
        let mut tagged = switch();
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        tagged.resize(600, b'a');
        lldp(&mut tagged, &mut |identifier| identifier);
        assert!(crate::lldp::parse(&tagged).is_some_and(|neighbour| neighbour.flaw.is_none()));
        assert!(!String::from_utf8_lossy(&tagged).contains("SERIAL"), "{tagged:?}");
        let mut other = [&[0; 12], b"\x08\x00SECRET".as_slice()].concat();
        lldp(&mut other, &mut |identifier| identifier);
        assert_eq!(other, b"");
    }

    #[test]
    fn a_cut_frame_is_read_as_far_as_it_goes() {
        for length in 0..switch().len() {
            lldp(&mut switch()[..length].to_vec(), &mut |identifier| identifier);
        }
    }
}
