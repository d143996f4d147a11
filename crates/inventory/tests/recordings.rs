//! A machine that bears a mark in every place that identifies: a recording to give
//! away holds none of them, however it is written; one that keeps them holds all.

use std::path::Path;

use hardware_fixtures::machine;
use inventory::{Depth, Identifiers, Options, Root, record, scan};

/// What identifies, as text.
const TEXTS: [&str; 13] = [
    "SYS5ER1ALQX7",
    "B0ARD5ERQX71",
    "CHA551SQX7ZZ",
    "A55ETTAGQX7Z",
    "D1MM5ERQX7Z9",
    "D1MMTAGQX7Z8",
    "NVME5ERQX7Z77",
    "SATA5ERQX7Z665",
    "leaf7-QX7.example",
    "tenantQX7",
    "hostQX7name",
    "hunterQX7pass",
    "VEND0RSECRETQX7",
];
/// What identifies, as bytes.
const BYTES: [&[u8]; 8] = [
    &[0xb1, 0xc2, 0xd3, 0xe4, 0xf5, 0xa6, 0x47, 0x58, 0x99, 0xaa, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x71], // UUID
    &[0x50, 0x01, 0x4e, 0xe2, 0xb7, 0xc8, 0xd9, 0xea], // of SATA
    &[0x02, 0x9d, 0x8e, 0x7f, 0x61, 0x52],             // of the BMC
    &[0x04, 0x9d, 0x8e, 0x7f, 0x61, 0x53],             // of a boot entry
    &[0x06, 0x9d, 0x8e, 0x7f, 0x61, 0x54],             // of a switch
    &[0x71, 0x62, 0x53, 0x44, 0x35, 0x26, 0x17, 0x08, 0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8], // of a partition
    &[0xfd, 0x00, 0x9a, 0x8b, 0x7c, 0x6d, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0x4f], // an address
    &[0xb0, 0x26, 0x28, 0x10, 0x20, 0x30],                                     // of a card, in the fixture
];

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn structure(kind: u8, fields: &[u8], texts: &[&str]) -> Vec<u8> {
    let length = u8::try_from(4 + fields.len()).expect("short");
    let texts = texts.iter().map(|text| format!("{text}\0")).collect::<String>();
    [&[kind, length, kind, 0], fields, texts.as_bytes(), &[0][..]].concat()
}

fn board() -> Vec<u8> {
    let mut memory = vec![0_u8; 0x22 - 4];
    (memory[0x0c - 4], memory[0x0d - 4]) = (0, 0x40);
    (memory[0x18 - 4], memory[0x19 - 4]) = (1, 2);
    let system = [&[1, 2, 0, 3][..], BYTES[0], &[6, 0, 0][..]].concat();
    [
        structure(1, &system, &["Maker", "Product", TEXTS[0]]),
        structure(2, &[1, 2, 0, 3, 4, 0, 0, 0, 0, 10, 0], &["Maker", "Board", TEXTS[1], TEXTS[3]]),
        structure(3, &[1, 23, 0, 2, 0, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0], &["Maker", TEXTS[2]]),
        structure(17, &memory, &[TEXTS[4], TEXTS[5]]),
        structure(11, &[1], &[TEXTS[12]]),
        structure(127, &[], &[]),
    ]
    .concat()
}

/// The two letters of each word the other way round.
fn swapped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
    bytes
}

fn nvme() -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[4..24].copy_from_slice(format!("{:<20}", TEXTS[6]).as_bytes());
    page[24..64].copy_from_slice(format!("{:<40}", "A MODEL").as_bytes());
    let name = format!("nqn.2014-08.org.nvmexpress:uuid:{}", TEXTS[6]);
    page[768..768 + name.len()].copy_from_slice(name.as_bytes());
    page[3100..3100 + TEXTS[12].len()].copy_from_slice(TEXTS[12].as_bytes());
    page
}

fn sata() -> Vec<u8> {
    let mut page = vec![0; 512];
    (page[0], page[1]) = (0x40, 0);
    page[20..40].copy_from_slice(&swapped(format!("{:>20}", TEXTS[7]).as_bytes()));
    page[216..224].copy_from_slice(&swapped(BYTES[1]));
    (page[164], page[168], page[174]) = (0x01, 0x40, 0x40); // SMART, and valid words
    page
}

fn switch() -> Vec<u8> {
    let mut frame = [&[0x01, 0x80, 0xc2, 0, 0, 0x0e][..], BYTES[4], &[0x88, 0xcc]].concat();
    let chassis = [&[4], BYTES[4]].concat();
    let vlan = [b"\x00\x80\xc2\x03\x00\x05\x09", TEXTS[9].as_bytes()].concat();
    let all: [(u8, &[u8]); 6] =
        [(1, &chassis), (2, b"\x05Eth1"), (3, &[0, 120]), (5, TEXTS[8].as_bytes()), (127, &vlan), (0, b"")];
    for (kind, value) in all {
        frame.extend([kind << 1, u8::try_from(value.len()).expect("short")]);
        frame.extend(value);
    }
    frame
}

fn boot_entry() -> Vec<u8> {
    let node = |kind: u8, subtype: u8, body: &[u8]| {
        [&[kind, subtype, u8::try_from(4 + body.len()).expect("short"), 0], body].concat()
    };
    let mac = [BYTES[3], &[0; 26], &[1]].concat();
    let partition = [&[1, 0, 0, 0][..], &[0; 16], BYTES[5], &[2, 2]].concat();
    let path = [node(3, 11, &mac), node(4, 1, &partition), node(0x7f, 0xff, &[])].concat();
    let label = format!("UEFI {}\0", TEXTS[6]);
    let label: Vec<u8> = label.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(path.len()).expect("short").to_le_bytes();
    [&[7, 0, 0, 0, 1, 0, 0, 0][..], &length, &label, &path, TEXTS[12].as_bytes()].concat()
}

/// The server of the fixtures, and more that it answers.
fn listing() -> String {
    const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let ipv6 = [&[0, 0x11, 0, 0x80][..], BYTES[6], &[64, 0]].concat();
    let mac = [&[0, 0x11], BYTES[2]].concat();
    let answers: [(String, Vec<u8>); 14] = [
        ("sys/firmware/dmi/tables/DMI".into(), board()),
        ("kernel/block/nvme0n1/identify_controller".into(), nvme()),
        ("kernel/block/sda/identify_device".into(), sata()),
        ("kernel/net/ens3f0/lldp".into(), switch()),
        ("sys/class/ipmi/ipmi0/dev".into(), b"238:0".to_vec()),
        (
            "kernel/ipmi/ipmi0/device".into(),
            vec![0, 0x20, 0x81, 2, 0x85, 2, 0xdf, 0xa2, 2, 0, 0, 1, 0, 0, 0, 0],
        ),
        ("kernel/ipmi/ipmi0/channel1/info".into(), vec![0, 1, 4, 1, 0x80, 0xf2, 0x1b, 0, 0, 0]),
        ("kernel/ipmi/ipmi0/channel1/mac".into(), mac),
        ("kernel/ipmi/ipmi0/channel1/ip".into(), vec![0, 0x11, 10, 77, 66, 55]),
        ("kernel/ipmi/ipmi0/channel1/ipv6_enables".into(), vec![0, 0x11, 2]),
        ("kernel/ipmi/ipmi0/channel1/ipv6_status".into(), vec![0, 0x11, 1, 0, 0]),
        ("kernel/ipmi/ipmi0/channel1/ipv6_static0".into(), ipv6),
        (format!("sys/firmware/efi/efivars/BootOrder-{GLOBAL}"), vec![7, 0, 0, 0, 1, 0]),
        (format!("sys/firmware/efi/efivars/Boot0001-{GLOBAL}"), boot_entry()),
    ];
    let answers: String =
        answers.iter().map(|(path, bytes)| format!("{path} = {}\n", escaped(bytes))).collect();
    let more = format!(
        "proc/sys/kernel/hostname = {}\n\
         proc/cmdline = quiet BOOTIF=01-b0-26-28-10-20-30 ipa-agent-token={} ipa-api-url=http://10.77.66.55:6385\n",
        TEXTS[10], TEXTS[11]
    );
    let machine = machine("rack-nvme-sata").file("sysfs.txt");
    let kept = machine.lines().filter(|line| !line.starts_with("sys/firmware/dmi/tables"));
    kept.map(|line| format!("{line}\n")).collect::<String>() + &answers + &more
}

/// Every way to write a mark, in lower case.
fn forms(mark: &[u8]) -> Vec<Vec<u8>> {
    let with = |separator: &str| {
        let pairs: Vec<String> = mark.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(separator).into_bytes()
    };
    let mut mixed = mark.to_vec();
    if mixed.len() == 16 {
        mixed[..4].reverse();
        mixed[4..6].reverse();
        mixed[6..8].reverse();
    }
    let uuid = |bytes: &[u8]| -> Vec<u8> {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let cuts = [0..8, 8..12, 12..16, 16..20, 20..32];
        let parts: Vec<&str> = cuts.into_iter().filter_map(|cut| digits.get(cut)).collect();
        parts.join("-").into_bytes()
    };
    let reversed: Vec<u8> = mark.iter().rev().copied().collect();
    let wide: Vec<u8> = mark.iter().flat_map(|byte| [*byte, 0]).collect();
    let swapped = swapped(mark);
    let mut forms = vec![mark.to_vec(), reversed, wide, swapped, with(""), with(":"), with("-")];
    if mark.len() == 16 {
        forms.extend([uuid(mark), uuid(&mixed), mixed]);
    }
    forms.iter().map(|form| form.to_ascii_lowercase()).collect()
}

/// All that a recording of the marked server holds.
fn content(identifiers: Identifiers) -> Vec<u8> {
    content_of(&listing(), identifiers)
}

/// All that a recording holds: names and contents, as they are and with bytes for escapes.
fn content_of(listing: &str, identifiers: Identifiers) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary directory");
    let root: Root = listing.parse().expect("a listing");
    let options = Options { depth: Depth::Whole, ..Options::default() };
    record(&root, &options, identifiers, folder.path()).expect("a recording");
    let mut all = Vec::new();
    collect(folder.path(), &mut all);
    all.to_ascii_lowercase()
}

fn collect(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("written").flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), all);
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("text");
        all.extend(text.as_bytes());
        for line in text.lines() {
            all.extend(unescaped(line));
            all.push(b'\n');
        }
    }
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once("\\x") {
        bytes.extend(before.as_bytes());
        bytes.extend(escape.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        rest = escape.get(2..).unwrap_or_default();
    }
    bytes.extend(rest.as_bytes());
    bytes
}

fn holds(content: &[u8], mark: &[u8]) -> bool {
    forms(mark).iter().any(|form| content.windows(form.len()).any(|window| window == form))
}

fn marks() -> Vec<Vec<u8>> {
    let texts = TEXTS.iter().map(|text| text.as_bytes().to_vec());
    texts.chain(BYTES.iter().map(|bytes| bytes.to_vec())).chain([b"10.77.66.55".to_vec()]).collect()
}

#[test]
fn no_mark_is_in_a_recording_to_give_away() {
    let content = content(Identifiers::Replace);
    for mark in marks() {
        assert!(!holds(&content, &mark), "{} is still there", String::from_utf8_lossy(&mark));
    }
    assert!(!holds(&content, &[10, 77, 66, 55]), "the BMC's address is still there");
}

/// Without SMBIOS tables the same is read from one file each, and is nowhere else.
#[test]
fn what_only_one_file_says_is_replaced() {
    const FILES: [&str; 4] = [
        "sys/class/dmi/id/product_serial",
        "sys/class/dmi/id/product_uuid",
        "sys/firmware/devicetree/base/serial-number",
        "sys/firmware/devicetree/base/system-id",
    ];
    for (nth, file) in FILES.into_iter().enumerate() {
        let mark = format!("4d41524b-0000-4000-8000-00{nth}0ffee1234");
        let listing = format!("{file} = {mark}\n");
        let kept = content_of(&listing, Identifiers::Keep);
        assert!(holds(&kept, mark.as_bytes()), "{file} is not read");
        let given = content_of(&listing, Identifiers::Replace);
        assert!(!holds(&given, mark.as_bytes()), "{file} is still there");
    }
}

/// Without this the test above would hold of an empty recording.
#[test]
fn every_mark_is_in_a_recording_that_keeps_them() {
    let content = content(Identifiers::Keep);
    let secret = [TEXTS[11]];
    for mark in marks().into_iter().filter(|mark| !secret.iter().any(|secret| secret.as_bytes() == mark)) {
        assert!(holds(&content, &mark), "{} is not there", String::from_utf8_lossy(&mark));
    }
    assert!(!holds(&content, secret[0].as_bytes()), "a secret is no identifier");
}

#[test]
fn what_was_one_stays_one_and_what_was_two_stays_two() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let root: Root = listing().parse().expect("a listing");
    let options = Options { depth: Depth::Whole, ..Options::default() };
    record(&root, &options, Identifiers::Replace, folder.path()).expect("a recording");
    let (before, after) =
        (scan(&root, &options), scan(&Root::open(folder.path()).expect("recorded"), &options));
    assert_eq!(before.boot_nic().map(|nic| &nic.name), after.boot_nic().map(|nic| &nic.name));
    let bmc = after.bmc.expect("a controller");
    assert_eq!(bmc.ipv4.map(|address| address.octets()[0]), Some(192));
    let (one, two) = (&before.disks, &after.disks);
    assert_eq!(one.len(), two.len());
    for (a, b) in one.iter().zip(two) {
        let named = a.serial.is_some() || a.wwn.is_some();
        assert_eq!((&a.serial, &a.wwn) != (&b.serial, &b.wwn), named, "{}", a.name);
        let pairs = one.iter().zip(two).filter(|(other, _)| other.name != a.name);
        for (other_a, other_b) in pairs {
            assert_eq!(a.serial == other_a.serial, b.serial == other_b.serial, "{} {}", a.name, other_a.name);
        }
    }
    let label = &after.boot.entries[0].label;
    assert!(label.starts_with("UEFI ") && label.len() == "UEFI ".len() + TEXTS[6].len(), "{label}");
}
