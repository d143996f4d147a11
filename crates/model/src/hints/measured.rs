//! What Ironic's agent does with each of these hints on this disk, measured.

use crate::{
    BlockSize, Bytes,
    hints::{Flaw, HintError, NoSuitableDevice, RootDeviceHints, choose, without_skipped},
    inventory::{Disk, DiskKind, Transport, Wwn},
};

fn samsung() -> Disk {
    let text = |text: &str| Some(text.to_owned());
    let block = BlockSize::try_from(512).expect("valid");
    Disk {
        name: "sda".to_owned(),
        kind: DiskKind::Disk,
        size: Bytes(500_107_862_016),
        logical_block: block,
        physical_block: block,
        rotational: false,
        read_only: false,
        removable: false,
        model: text("Samsung SSD 870"),
        vendor: text("ATA"),
        serial: text("S5STNF0"),
        serial_aliases: vec!["Samsung_SSD_870_S5STNF0".to_owned()],
        wwn: Some(Wwn {
            id: "0x5002538e".to_owned(),
            vendor_extension: None,
            with_extension: text("0x5002538E00"),
        }),
        hctl: None,
        by_path: text("/dev/disk/by-path/pci-0000:00:17.0-ata-1.0"),
        by_path_aliases: vec!["/dev/disk/by-path/pci-0000:00:17.0-ata-1".to_owned()],
        transport: Some(Transport::Sata),
        ..Disk::default()
    }
}

/// What a hint did: matched, did not, or was refused, as a value that is none
/// (`ValueError` there), as one that is not parsed (`SyntaxError`) or as no hint at
/// all (`DeviceNotFound`).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Did {
    Match,
    Miss,
    Value(Flaw),
    Syntax,
    NoHint,
}
use Did::{Match, Miss, NoHint, Syntax, Value};

const VECTORS: [(&str, Did); 45] = [
    (r#"{"size": 465}"#, Miss),
    (r#"{"size": "465"}"#, Miss),
    (r#"{"size": "== 465"}"#, Miss),
    (r#"{"size": "= 465"}"#, Match),
    (r#"{"size": ">= 465"}"#, Match),
    (r#"{"size": ">=465"}"#, Match),
    (r#"{"size": "<= 465"}"#, Miss),
    (r#"{"size": "< 500"}"#, Match),
    (r#"{"size": "!= 400"}"#, Match),
    (r#"{"size": "<or> 400 <or> 465"}"#, Miss),
    (r#"{"size": "<range-in> [ 400 500 ]"}"#, Value(Flaw::UnsupportedOperator)),
    (r#"{"size": -1}"#, Value(Flaw::NotPositiveInteger)),
    (r#"{"size": "big"}"#, Value(Flaw::NotPositiveInteger)),
    (r#"{"model": "samsung ssd 870"}"#, Match),
    (r#"{"model": "Samsung SSD 870"}"#, Match),
    (r#"{"model": "Samsung"}"#, Miss),
    (r#"{"model": "<in> samsung"}"#, Match),
    (r#"{"model": "<in> SSD 870"}"#, Match),
    (r#"{"model": "<or> foo <or> Samsung SSD 870"}"#, Match),
    (r#"{"model": "s!= foo"}"#, Match),
    (r#"{"model": "<all-in> samsung 870"}"#, Syntax),
    (r#"{"model": ""}"#, Value(Flaw::Empty)),
    (r#"{"model": 5}"#, Value(Flaw::NotText)),
    (r#"{"serial": "S5STNF0"}"#, Match),
    (r#"{"serial": "s5stnf0"}"#, Match),
    (r#"{"serial": "Samsung_SSD_870_S5STNF0"}"#, Match),
    (r#"{"serial": "<in> stnf"}"#, Match),
    (r#"{"serial": "other"}"#, Miss),
    (r#"{"wwn": "0x5002538e"}"#, Match),
    (r#"{"wwn": "0x5002538E00"}"#, Match),
    (r#"{"wwn": "0x5002538"}"#, Miss),
    (r#"{"hctl": "0:0:0:0"}"#, Miss),
    (r#"{"wwn_vendor_extension": "0x1"}"#, Miss),
    (r#"{"rotational": false}"#, Match),
    (r#"{"rotational": "false"}"#, Match),
    (r#"{"rotational": "0"}"#, Match),
    (r#"{"rotational": "True"}"#, Miss),
    (r#"{"rotational": "maybe"}"#, Value(Flaw::NotFlag)),
    (r#"{"tran": "sata"}"#, Match),
    (r#"{"tran": "nvme"}"#, Miss),
    (r#"{"name": "/dev/sda"}"#, Match),
    (r#"{"by_path": "/dev/disk/by-path/pci-0000:00:17.0-ata-1.0"}"#, Match),
    (r#"{"size": ">= 100", "rotational": false, "vendor": "ata"}"#, Match),
    (r#"{"size": ">= 100", "rotational": true, "vendor": "ata"}"#, Miss),
    (r#"{"colour": "red"}"#, NoHint),
];

#[test]
fn hints_do_what_the_reference_agent_does() {
    let disk = samsung();
    for (hints, did) in VECTORS {
        let given = serde_json::from_str(hints).expect(hints);
        let now = match super::parse(&given) {
            Ok(hints) if hints.match_disk(&disk) => Match,
            Ok(_) => Miss,
            Err(HintError::Unknown { .. }) => NoHint,
            Err(HintError::Malformed { hint: "model", flaw: Flaw::UnsupportedOperator, .. }) => Syntax,
            Err(HintError::Malformed { flaw, .. }) => Value(flaw),
        };
        assert_eq!(now, did, "{hints}");
        assert!(did != Miss || explains(hints, &disk), "{hints}");
    }
}

/// Whoever misses is told why, and whoever matches is not.
fn explains(hints: &str, disk: &Disk) -> bool {
    let hints: RootDeviceHints = serde_json::from_str(hints).expect("valid");
    hints.misses(disk).is_empty() == hints.match_disk(disk)
}

#[test]
fn a_name_with_one_spelling_matches_only_that() {
    let wwn = Wwn { id: "0x5002538e".to_owned(), vendor_extension: None, with_extension: None };
    let disk = Disk { wwn: Some(wwn), ..samsung() };
    for (hints, matches) in [(r#"{"wwn": "0x5002538E"}"#, true), (r#"{"wwn": "0x5002538e00"}"#, false)] {
        let hints: RootDeviceHints = serde_json::from_str(hints).expect("valid");
        assert_eq!(hints.match_disk(&disk), matches, "{hints}");
    }
}

#[test]
fn a_refused_hint_says_which_and_why() {
    let parse = |text| serde_json::from_str::<RootDeviceHints>(text).expect_err("refused").to_string();
    for (hints, why) in [
        (r#"{"colour": "red"}"#, "there is no root device hint \"colour\""),
        (
            r#"{"size": "big"}"#,
            "root device hint size cannot be \"big\": want a positive whole number of GiB",
        ),
        (r#"{"size": null}"#, "root device hint size cannot be that"),
        (r#"{"size": "== 1.5"}"#, "positive whole number"),
        (r#"{"size": "== "}"#, "it is empty"),
        (r#"{"model": 5}"#, "root device hint model cannot be 5: want text in quotes"),
        (r#"{"model": "== samsung"}"#, "a numeric operator wants a number"),
        (r#"{"model": "<or> "}"#, "it is empty"),
    ] {
        assert!(parse(hints).contains(why), "{hints}: {}", parse(hints));
    }
    assert!(matches!(
        RootDeviceHints::try_from(std::collections::BTreeMap::from([(
            "model".to_owned(),
            super::HintValue::Text(" ".to_owned())
        )])),
        Err(HintError::Malformed { hint: "model", flaw: Flaw::Empty, .. })
    ));
}

fn named(name: &str, gibibytes: u64) -> Disk {
    Disk { name: name.to_owned(), size: Bytes(gibibytes << 30), ..samsung() }
}

#[test]
fn without_hints_the_smallest_disk_of_four_gibibytes_is_chosen() {
    let disks = [named("sda", 100), named("sdc", 4), named("sdb", 4), named("sdd", 3)];
    assert_eq!(choose(&disks, None).map(Disk::path), Ok("/dev/sdb".to_owned()));

    let none = choose(&disks[3..], None).expect_err("refused");
    assert_eq!(none, NoSuitableDevice::AllTooSmall);
    assert_eq!(
        none.to_string(),
        "No suitable device was found for deployment - root device hints were not provided and all found \
         block devices are smaller than 4294967296B."
    );
}

#[test]
fn with_hints_the_first_match_in_listing_order_is_chosen() {
    let disks = [named("sda", 100), named("sdb", 4), named("sdc", 200)];
    let hints: RootDeviceHints =
        serde_json::from_str(r#"{"size": "> 50", "rotational": false}"#).expect("valid");
    assert_eq!(choose(&disks, Some(&hints)).map(Disk::path), Ok("/dev/sda".to_owned()));

    let skip = [serde_json::from_str(r#"{"name": "/dev/sda"}"#).expect("valid")];
    let left = without_skipped(&disks, &skip);
    assert_eq!(choose(left, Some(&hints)).map(Disk::path), Ok("/dev/sdc".to_owned()));

    let none = choose(&disks[1..2], Some(&hints)).expect_err("refused");
    assert!(none.to_string().contains("rotational false, size > 50"), "{none}");
}

#[test]
fn an_old_spelling_of_a_path_still_finds_the_disk() {
    let hints: RootDeviceHints =
        serde_json::from_str(r#"{"by_path": "/dev/disk/by-path/pci-0000:00:17.0-ata-1"}"#).expect("valid");
    assert!(hints.match_disk(&samsung()));
}
