use proptest::prelude::*;

use super::*;

/// A frame of LLDP that holds `tlvs`.
fn frame(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut frame = [1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc].to_vec();
    for (kind, value) in tlvs {
        let header = u16::from(*kind) << 9 | u16::try_from(value.len()).expect("short");
        frame.extend(header.to_be_bytes());
        frame.extend(*value);
    }
    frame
}

const MANDATORY: [(u8, &[u8]); 3] =
    [(1, &[4, 0x08, 0x00, 0x2b, 1, 2, 3]), (2, b"\x05Ethernet1/7"), (3, &[0, 120])];

fn with(more: &[(u8, &[u8])]) -> Neighbour {
    parse(&frame(&[&MANDATORY, more, &[(0, &[])]].concat())).expect("a frame of LLDP")
}

#[test]
fn everything_a_switch_says_is_read() {
    let neighbour = with(&[
        (4, b"to rack 7, slot 12"),
        (5, b"leaf1.example"),
        (6, b"Switch OS 1.2\nCopyright"),
        (7, &[0, 0b1_0100, 0, 0b0_0100]),
        (8, &[5, 1, 192, 0, 2, 7, 2, 0, 0, 0, 1, 0]),
        (8, &[17, 2, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]),
        (8, &[7, 6, 8, 0, 0x2b, 1, 2, 4, 2, 0, 0, 0, 1, 0]),
        (127, &[0, 0x80, 0xc2, 1, 0, 100]),
        (127, b"\x00\x80\xc2\x03\x00\x64\x04prov"),
        (127, b"\x00\x80\xc2\x03\x00\x65\x07tenants"),
        (127, &[0, 0x80, 0xc2, 6, 0, 7]),
        (127, &[0, 0x12, 0x0f, 3, 3, 0, 0, 0, 9]),
        (127, &[0, 0x12, 0x0f, 4, 0x24, 0x00]),
        (127, &[0, 0x12, 0x0f, 1, 3, 0, 0, 0, 0]),
        (99, b"of the future"),
    ]);
    assert_eq!(neighbour.flaw, None);
    assert_eq!(neighbour.chassis_id.as_deref(), Some("08:00:2b:01:02:03"));
    assert_eq!(neighbour.port_id.as_deref(), Some("Ethernet1/7"));
    assert_eq!(neighbour.lifetime_s, Some(120));
    assert_eq!(neighbour.port_description.as_deref(), Some("to rack 7, slot 12"));
    assert_eq!(neighbour.system_name.as_deref(), Some("leaf1.example"));
    assert_eq!(neighbour.system_description.as_deref(), Some("Switch OS 1.2 Copyright"));
    assert_eq!(neighbour.capabilities, ["bridge"]);
    assert_eq!(neighbour.management_addresses, ["192.0.2.7", "2001:db8::1", "08:00:2b:01:02:04"]);
    assert_eq!((neighbour.untagged_vlan, neighbour.management_vlan), (Some(100), Some(7)));
    let vlans: Vec<_> = neighbour.vlans.iter().map(|vlan| (vlan.id, vlan.name.as_str())).collect();
    assert_eq!(vlans, [(100, "prov"), (101, "tenants")]);
    assert_eq!((neighbour.mtu, neighbour.aggregated), (Some(9216), Some(true)));
    assert_eq!(neighbour.tlvs.len(), MANDATORY.len() + 15 + 1, "the end is one too");
    let first = Tlv { kind: 1, value: "0408002b010203".to_owned() };
    assert_eq!(neighbour.tlvs.first(), Some(&first), "as Ironic wants it");
    assert_eq!(neighbour.tlvs.last(), Some(&Tlv { kind: 0, value: String::new() }));
}

#[test]
fn ids_are_of_many_kinds() {
    for (value, want) in [
        (&[4, 1, 2, 3, 4, 5, 6][..], Some("01:02:03:04:05:06")),
        (&[4, 1, 2, 3], None), // too short for a MAC
        (&[5, 1, 10, 0, 0, 1], Some("10.0.0.1")),
        (&[5, 1, 10, 0, 0], None),
        (&[5, 9, 10, 0, 0, 1], None),
        (b"\x07local name", Some("local name")),
        (b"\x06\xff\xfe", Some("0xfffe")), // no text, whatever its kind
        (b"\x07esc\x1b[2Jape", Some("esc [2Jape")),
        (b"\x07", None),
        (b"", None),
    ] {
        assert_eq!(id(value, CHASSIS_MAC, CHASSIS_ADDRESS).as_deref(), want, "{value:?}");
    }
}

#[test]
fn what_is_wrong_with_a_frame_is_said_and_the_rest_kept() {
    let whole = frame(&MANDATORY);
    let long = [&whole[..], &[(127 << 1) | 1, 0xff, 1, 2, 3]].concat();
    let many: Vec<(u8, &[u8])> = MANDATORY.into_iter().chain((0..700).map(|_| (9, &[][..]))).collect();
    for (bytes, flaw, tlvs) in [
        (whole.clone(), None, 3),
        ([&whole[..], &[0]].concat(), Some("ends in the middle of a TLV"), 3),
        (long, Some("ends in the middle of a TLV"), 3),
        (frame(&many), Some("has too many TLVs"), limits::LLDP_TLVS),
        (frame(&MANDATORY[1..]), Some("names no chassis"), 2),
        (frame(&MANDATORY[..1]), Some("names no port"), 1),
        (frame(&MANDATORY[..2]), Some("has no lifetime"), 2),
        (frame(&[]), Some("names no chassis"), 0),
    ] {
        let neighbour = parse(&bytes).expect("a frame of LLDP");
        assert_eq!((neighbour.flaw.as_deref(), neighbour.tlvs.len()), (flaw, tlvs));
    }
}

#[test]
fn what_fills_up_a_frame_is_no_tlv() {
    let mut short = frame(&[&MANDATORY[..], &[(0, &[])]].concat());
    short.resize(60, 0);
    let neighbour = parse(&short).expect("a frame of LLDP");
    assert_eq!((neighbour.tlvs.len(), neighbour.flaw), (4, None));
}

#[test]
fn the_first_of_two_counts() {
    let neighbour = with(&[(1, b"\x07other"), (5, b"one"), (5, b"two"), (127, &[0, 0x80, 0xc2, 1, 0, 0])]);
    assert_eq!(neighbour.chassis_id.as_deref(), Some("08:00:2b:01:02:03"));
    assert_eq!(neighbour.system_name.as_deref(), Some("one"));
    assert_eq!(neighbour.untagged_vlan, None, "0 says that there is none");
}

#[test]
fn tags_are_passed_over_and_other_frames_are_none() {
    let plain = frame(&MANDATORY);
    let tagged = |tags: &[u8]| [&plain[..12], tags, &plain[12..]].concat();
    for (bytes, is_lldp) in [
        (plain.clone(), true),
        (tagged(&[0x81, 0, 0, 5]), true),
        (tagged(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6]), true),
        (tagged(&[0x81, 0, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7]), false),
        (tagged(&[0x08, 0x00, 0, 0]), false),
        (plain[..13].to_vec(), false),
        (Vec::new(), false),
    ] {
        assert_eq!(parse(&bytes).is_some(), is_lldp, "{bytes:02x?}");
    }
}

/// What every answer keeps to, whatever came in.
fn is_bounded(bytes: &[u8]) -> bool {
    let Some(neighbour) = parse(bytes) else { return true };
    let hex: usize = neighbour.tlvs.iter().map(|tlv| tlv.value.len()).sum();
    let texts = [&neighbour.system_name, &neighbour.system_description, &neighbour.port_id];
    let visible = texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control));
    hex <= 2 * bytes.len() && neighbour.tlvs.len() <= limits::LLDP_TLVS && visible
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(is_bounded(&[&frame(&[])[..], &bytes].concat()));
        prop_assert!(is_bounded(&bytes));
    }

    #[test]
    fn no_tlvs_are_too_much(tlvs in proptest::collection::vec(
        (0..128_u8, proptest::collection::vec(any::<u8>(), 0..64)), 0..200)
    ) {
        let tlvs: Vec<(u8, &[u8])> = tlvs.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
        prop_assert!(is_bounded(&frame(&tlvs)));
    }

    #[test]
    fn no_organisation_is_too_much(
        maker in prop_oneof![Just([0, 0x80, 0xc2]), Just([0, 0x12, 0x0f]), any::<[u8; 3]>()],
        subtype in 0..9_u8,
        value in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let value = [&maker[..], &[subtype], &value].concat();
        let neighbour = with(&[(127, &value)]);
        prop_assert!(neighbour.vlans.iter().all(|vlan| (1..=4094).contains(&vlan.id)));
    }
}
