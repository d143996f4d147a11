//! Every machine in `hardware-fixtures/` is read exactly as recorded.
//!
//! A new machine is a folder and no code. `BLESS=1 cargo test` rewrites the
//! recorded inventories; the diff is what the reviewer reads.

use hardware_fixtures::{Machine, machine, machines};
use inventory::{Depth, Identifiers, Options, Root, record, scan};
use model::inventory::{Disk, Inventory};
use serde_json::Value;

/// As recorded: with what devices answered.
fn whole() -> Options {
    Options { depth: Depth::Whole, ..Options::default() }
}

fn scanned(machine: &Machine) -> Inventory {
    scan(&Root::open(machine.dir()).expect(&machine.name), &whole())
}

fn pretty(inventory: &Inventory) -> String {
    serde_json::to_string_pretty(inventory).expect("plain data") + "\n"
}

#[test]
fn inventories_are_as_recorded() {
    for machine in machines() {
        machine.expect("inventory.json", &pretty(&scanned(&machine)));
    }
}

/// What steps choose a disk by does not depend on who looks.
#[test]
fn a_quick_look_names_every_disk_as_a_whole_one_does() {
    for machine in machines() {
        let root = Root::open(machine.dir()).expect(&machine.name);
        let named = |inventory: Inventory| {
            let unasked = |disk: Disk| Disk {
                signatures: Vec::new(),
                partitions: Vec::new(),
                erase: Vec::new(),
                health: None,
                security: None,
                ..disk
            };
            inventory.disks.into_iter().map(unasked).collect::<Vec<_>>()
        };
        assert_eq!(named(scan(&root, &Options::default())), named(scanned(&machine)), "{}", machine.name);
    }
}

#[test]
fn real_files_read_like_recorded_ones() {
    for machine in machines() {
        let tree = machine.expand();
        let mut from_files = scan(&Root::at(tree.path()), &whole());
        let mut recorded = scanned(&machine);
        // An unreadable file fails in another way there; that it fails is what counts.
        let paths = |inventory: &Inventory| -> Vec<String> {
            let listing = machine.file("sysfs.txt");
            let broken: Vec<_> = listing.lines().filter_map(|line| line.split_once(" ! ")).collect();
            let hard = |path: &&String| {
                let name = path.rsplit('/').next().unwrap_or_default();
                !broken.iter().any(|(broken, _)| broken.rsplit('/').next() == Some(name))
            };
            inventory.warnings.iter().map(|warning| &warning.path).filter(hard).cloned().collect()
        };
        assert_eq!(paths(&from_files), paths(&recorded), "{}", machine.name);
        from_files.warnings.clear();
        recorded.warnings.clear();
        assert_eq!(pretty(&from_files), pretty(&recorded), "{}", machine.name);
    }
}

#[test]
fn a_recording_reads_like_the_machine() {
    for machine in machines() {
        let copy = tempfile::tempdir().expect("temporary directory");
        let root = Root::open(machine.dir()).expect(&machine.name);
        record(&root, &whole(), Identifiers::Keep, copy.path()).expect(&machine.name);
        let replayed = scan(&Root::open(copy.path()).expect(&machine.name), &whole());
        assert_eq!(pretty(&replayed), pretty(&scanned(&machine)), "{}", machine.name);
    }
}

/// Every text below `value`, with its key.
fn texts<'a>(value: &'a Value, key: &'a str, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((key, text)),
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        Value::Object(members) => members.iter().for_each(|(key, member)| texts(member, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn a_recording_to_give_away_holds_no_identifier() {
    const IDENTIFYING: [&str; 10] = [
        "client_id",
        "id",
        "ipv4",
        "ipv6",
        "mac",
        "serial",
        "serial_aliases",
        "serial_number",
        "vendor_extension",
        "with_extension",
    ];
    // What stands only in files: parts of names, bytes of pages, other devices' addresses.
    const SECRETS: [&str; 9] = [
        "b226:28ff",
        "4C530001",
        "3612A0",
        r"\x09\xa1\xb2\xc3",
        r"\xae\x1b",
        "5000c500ae1b2c3d",
        "5006016a4de03a00",
        "storage.target01",
        "LVM-abc",
    ];
    // The first two: nothing to compare, and stand-ins stay what they are.
    let told = |machine: &Machine| !["hostile", "kvm-no-smbios"].contains(&machine.name.as_str());
    for machine in machines().into_iter().filter(told) {
        let copy = tempfile::tempdir().expect("temporary directory");
        let root = Root::open(machine.dir()).expect(&machine.name);
        record(&root, &whole(), Identifiers::Replace, copy.path()).expect(&machine.name);

        let listing = std::fs::read_to_string(copy.path().join("sysfs.txt")).expect("written");
        let original = serde_json::to_value(scanned(&machine)).expect("plain data");
        let (mut before, mut after) = (Vec::new(), Vec::new());
        texts(&original, "", &mut before);
        for (key, text) in before.iter().filter(|(key, _)| IDENTIFYING.contains(key)) {
            assert!(!listing.contains(text), "{}: {key} {text} is still there", machine.name);
        }

        for secret in SECRETS {
            assert!(!listing.contains(secret), "{}: {secret} is still there", machine.name);
        }

        let replayed = scan(&Root::open(copy.path()).expect(&machine.name), &whole());
        let replayed = serde_json::to_value(replayed).expect("plain data");
        texts(&replayed, "", &mut after);
        let shape = |found: &[(&str, &str)]| -> Vec<(String, usize)> {
            let kept = |(key, text): &(&str, &str)| match *key {
                "hostname" | "ipv4" | "ipv6" | "addresses" | "command_line" | "by_path" => {
                    ((*key).to_owned(), 0)
                }
                key => (key.to_owned(), text.len()),
            };
            found.iter().map(kept).collect()
        };
        assert_eq!(shape(&after), shape(&before), "{}", machine.name);
    }
}

#[test]
fn only_the_named_disks_exist_when_some_are_named() {
    let root = Root::open(machine("rack-nvme-sata").dir()).expect("recorded");
    let only = |paths: &[&str]| {
        let options = Options { only_disks: paths.iter().map(Into::into).collect(), ..Options::default() };
        let found = scan(&root, &options);
        let names: Vec<String> = found.disks.iter().map(model::inventory::Disk::path).collect();
        (names, found.warnings.iter().any(|warning| warning.reason.contains("whole disk")))
    };
    assert_eq!(only(&["/dev/loop0"]), (vec!["/dev/loop0".to_owned()], false));
    assert_eq!(only(&["/dev/sdb", "/dev/sdb"]), (vec!["/dev/sdb".to_owned()], false));
    assert_eq!(only(&["/dev/sdz"]), (vec![], true));
}

/// Ironic's agent inspected this machine too.
#[test]
fn the_wire_form_is_what_ironics_agent_sent() {
    let machine = machine("qemu-q35-bios");
    let ours =
        serde_json::to_string_pretty(&wire::ipa::Inventory::from(&scanned(&machine))).expect("plain data");
    let theirs = machine.file("captured.json");
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.lines().collect(), theirs.lines().collect());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        // lsblk there was too old to know the transport of virtio; udev makes two
        // links for one disk there and Ironic's agent took whichever came first.
        let known = [
            (r#"      "tran": "virtio""#, r#"      "tran": null"#),
            (
                r#"      "by_path": "/dev/disk/by-path/pci-0000:05:00.0","#,
                r#"      "by_path": "/dev/disk/by-path/virtio-pci-0000:05:00.0","#,
            ),
        ];
        assert!(*ours == theirs || known.contains(&(*ours, theirs)), "{ours}\n{theirs}");
    }
}
