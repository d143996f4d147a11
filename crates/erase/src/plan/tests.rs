//! Every row of the decision, as a table a reviewer reads.

use model::{
    Bytes,
    inventory::{Disk, DiskKind, Transport},
};

use super::*;
use crate::{Namespaces, NvmeAbilities, OpalAbilities};

pub(crate) fn disk(name: &str) -> Disk {
    let block = 512.try_into().expect("512 is a block size");
    Disk {
        name: name.to_owned(),
        kind: DiskKind::Disk,
        size: Bytes(64 << 20),
        logical_block: block,
        physical_block: block,
        rotational: false,
        read_only: false,
        removable: false,
        model: Some("Fake".to_owned()),
        vendor: None,
        serial: Some("S1".to_owned()),
        serial_aliases: Vec::new(),
        wwn: None,
        hctl: None,
        by_path: None,
        by_path_aliases: Vec::new(),
        transport: Some(Transport::Nvme),
        ..Disk::default()
    }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject {
        disk: disk(name),
        firmware: None,
        partitions: Vec::new(),
        users: Vec::new(),
        stack: Vec::new(),
        shared: Vec::new(),
        cluster: Vec::new(),
        zoned: Zoned::No,
        integrity: None,
        medium: Medium::Installed,
        unread: Vec::new(),
    }
}

fn told(outcome: Result<Plan, Refusal>) -> String {
    match outcome {
        Ok(plan) => plan.methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(" > "),
        Err(refusal) => format!("{}: {refusal}", if refusal.is_skip() { "skipped" } else { "refused" }),
    }
}

#[test]
fn the_method_follows_from_abilities_and_policy() {
    let nvme = |cryptographic, reaches_all, namespaces| Abilities {
        nvme: NvmeAbilities::formatting(cryptographic, reaches_all, namespaces),
        ..Abilities::default()
    };
    let fallback = Policy { allow_fallback: true, ..Policy::FULL };
    let host_only = Policy { device_erase: false, ..Policy::FULL };
    let three = Policy { passes: 3, ..Policy::FULL };
    let mut table = String::new();
    for (name, abilities) in [
        ("no abilities", Abilities::default()),
        ("format", nvme(false, false, 1)),
        ("format crypto", nvme(true, false, 1)),
        ("format crypto, all namespaces, alone", nvme(true, true, 1)),
        ("format crypto, all namespaces, of 2", nvme(true, true, 2)),
    ] {
        for (policy_name, policy) in [
            ("full", Policy::FULL),
            ("full with fallback", fallback),
            ("full without device erase", host_only),
            ("full in 3 passes", three),
            ("metadata", Policy::METADATA),
        ] {
            let outcome = told(plan(subject("nvme0n1"), &abilities, policy));
            table.push_str(&format!("{name} | {policy_name} -> {outcome}\n"));
        }
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/methods.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &table).expect("written");
    }
    assert_eq!(table, std::fs::read_to_string(golden).expect("the golden file; BLESS=1 writes it"));
}

#[test]
fn whatever_speaks_against_it_is_said() {
    type Change = fn(&mut Subject, &mut Policy);
    let cases: &[(Change, &str)] = &[
        (
            |s, _| s.disk.read_only = true,
            "refused: /dev/sda is read-only: lift its write protection, or set agent_erase_skip_read_only",
        ),
        (
            |s, p| (s.disk.read_only, p.read_only) = (true, ReadOnly::Skip),
            "skipped: /dev/sda is read-only and was skipped as the policy says; its data is still there",
        ),
        (
            |s, _| s.users = vec!["md0".into(), "the mount /srv".into()],
            "refused: /dev/sda is in use by md0, the mount /srv; unmount or stop that first",
        ),
        (
            |s, _| s.medium = Medium::BootStick("its volume is labelled iPXE".into()),
            "skipped: /dev/sda is what this agent was started from (its volume is labelled iPXE); it is not a tenant's disk",
        ),
        (
            |s, p| (s.medium, p.force_shared) = (Medium::BootDisk("by its loader".into()), true),
            "refused: /dev/sda is what this agent was started from (by its loader); start it from elsewhere, or put the disk on the skip list",
        ),
        (
            |s, p| (s.medium, p.force_cluster) = (Medium::Virtual("its USB vendor is ATEN".into()), true),
            "skipped: /dev/sda is virtual media of the BMC (its USB vendor is ATEN); eject it if it should not be there",
        ),
        (
            |s, p| (s.shared, p.force_cluster) = (vec!["it is a multipath map".into()], true),
            "refused: /dev/sda may be somebody else's too: it is a multipath map; make sure it is not, then force_shared",
        ),
        (
            |s, p| (s.cluster, p.force_shared) = (vec!["VMFS (/dev/sda, byte 1048576)".into()], true),
            "refused: /dev/sda holds a cluster file system: VMFS (/dev/sda, byte 1048576); take it out of its cluster, then force_cluster_file_systems (Ironic: wipe_special_filesystems)",
        ),
        (
            |s, _| s.zoned = Zoned::HostManaged,
            "refused: /dev/sda is a host-managed zoned disk, which cannot be stamped and overwritten; destroy it or set it aside",
        ),
        (|s, _| s.stack = vec!["md0".into()], "zero-out > overwrite"),
        (
            |s, p| (s.shared, p.force_shared) = (vec!["it is a multipath map".into()], true),
            "zero-out > overwrite",
        ),
        (|s, p| (s.cluster, p.force_cluster) = (vec!["VMFS".into()], true), "zero-out > overwrite"),
        (
            |s, _| s.disk.size = Bytes(0),
            "refused: /dev/sda has no capacity; it may be broken or locked: replace it or set it aside",
        ),
        (
            |_, p| p.min_level = Level::Purge,
            "refused: /dev/sda can be erased to clear here, and the policy wants purge; lower min_level or destroy it",
        ),
        (
            |_, p| (p.mode, p.min_level) = (Mode::Metadata, Level::Clear),
            "refused: /dev/sda can be erased to none here, and the policy wants clear; lower min_level or destroy it",
        ),
        (|_, p| p.passes = 0, "refused: a policy of 0 passes erases nothing; ask for at least 1"),
    ];
    for (change, want) in cases {
        let (mut subject, mut policy) = (subject("sda"), Policy::FULL);
        change(&mut subject, &mut policy);
        assert_eq!(told(plan(subject, &Abilities::default(), policy)), *want);
    }
}

#[test]
fn a_reason_for_not_using_the_drive_s_own_erase_is_kept() {
    let abilities = Abilities { nvme: NvmeAbilities::formatting(true, true, 2), ..Abilities::default() };
    let plan = plan(subject("nvme0n1"), &abilities, Policy::FULL).expect("erasable");
    assert_eq!(
        plan.notes(),
        ["nvme.format.crypto, nvme.format.user-data would also erase namespace 0x2, for which nobody asked"]
    );
}

/// The revert of an Opal drive takes the keys of all its namespaces.
#[test]
fn a_drive_is_not_reverted_over_the_head_of_its_other_namespaces() {
    let status = sys::opal::Status { supported: true, enabled: true, ..<_>::default() };
    let reverted = |namespaces| {
        let nvme = NvmeAbilities { namespaces, ..NvmeAbilities::formatting(true, false, 2) };
        let abilities = Abilities { nvme, opal: OpalAbilities::of_status(status), ..Abilities::default() };
        let plan = plan(subject("nvme0n1"), &abilities, Policy::FULL).expect("erasable");
        (plan.opal.is_some(), plan.notes.join("; "))
    };
    let two = Namespaces { own: 1, attached: vec![1, 2], ..Namespaces::default() };
    let (yes, notes) = reverted(two.clone());
    assert!(!yes && notes.contains("would also erase namespace 0x2, for which nobody asked"), "{notes}");
    assert!(reverted(Namespaces { all_erased: true, ..two }).0);
    assert!(reverted(Namespaces { own: 1, attached: vec![1], ..Namespaces::default() }).0);
}
