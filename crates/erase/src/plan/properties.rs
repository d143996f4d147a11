//! What holds for every disk, every drive and every policy.

use std::time::Duration;

use disk::FakeDisk;
use model::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{
    AtaAbilities, Clock, Conditions, Context, EraseError, Format, Namespaces, NvmeAbilities, Request,
    Sanitize, Sanitizes, ScsiAbilities, SecurityAbilities, Seed, Verify, execute, plan::tests::subject,
};

fn words(text: &'static str) -> impl Strategy<Value = Vec<String>> {
    select(vec![Vec::new(), Vec::new(), Vec::new(), vec![text.to_owned()]])
}

prop_compose! {
    /// Mostly disks that may be erased, with now and then something against it.
    fn subjects()(
        size in select(vec![64_u64 << 20, 64 << 20, 64 << 20, 0, 511]),
        read_only in prop::bool::weighted(0.1),
        serial in select(vec!["S1", "S2"]),
        users in words("the mount /srv"),
        stack in words("md0"),
        shared in words("it is a multipath map"),
        cluster in words("VMFS"),
        unread in words("byte 0"),
        zoned in select(vec![Zoned::No, Zoned::No, Zoned::No, Zoned::HostAware, Zoned::HostManaged]),
        integrity in option::weighted(0.2, Just("T10-DIF-TYPE1-CRC".to_owned())),
        medium in select(vec![
            Medium::Installed, Medium::Installed, Medium::Installed, Medium::Installed,
            Medium::Virtual("x".into()), Medium::BootStick("x".into()), Medium::BootDisk("x".into()),
        ]),
    ) -> Subject {
        let mut subject = subject("sda");
        (subject.disk.size, subject.disk.read_only) = (Bytes(size), read_only);
        subject.disk.serial = Some(serial.to_owned());
        Subject { users, stack, shared, cluster, unread, zoned, integrity, medium, ..subject }
    }
}

prop_compose! {
    fn nvme()(
        crypto: bool, block: bool, overwrite: bool,
        format in option::of((any::<bool>(), any::<bool>(), any::<bool>())),
        own in 1..4_u32, attached in vec(1..4_u32, 0..4), unattached in vec(1..4_u32, 0..2),
        other_controllers: bool, all_erased: bool,
    ) -> NvmeAbilities {
        let format = format.map(|(cryptographic, reaches_all, erases_all)| {
            Format { cryptographic, reaches_all: reaches_all || erases_all, erases_all }
        });
        let drive = "a drive".to_owned();
        let namespaces = Namespaces { drive, own, attached, unattached, other_controllers, all_erased };
        NvmeAbilities { sanitize: Sanitizes { crypto, block, overwrite }, format, namespaces }
    }
}

fn sanitizes() -> impl Strategy<Value = Vec<Sanitize>> {
    prop::sample::subsequence(vec![Sanitize::Crypto, Sanitize::Block, Sanitize::Overwrite], 0..=3)
}

prop_compose! {
    fn ata()(
        sanitize in sanitizes(),
        security in option::of((any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())),
    ) -> AtaAbilities {
        let security = security.map(|(enhanced, frozen, expired, bridged)| {
            SecurityAbilities { enhanced, frozen, expired, bridge: bridged.then(|| "USB".to_owned()) }
        });
        AtaAbilities { sanitize, security, ..AtaAbilities::default() }
    }
}

/// A disk is on one bus.
fn abilities() -> impl Strategy<Value = Abilities> {
    prop_oneof![
        Just(Abilities::default()),
        nvme().prop_map(|nvme| Abilities { nvme, ..Abilities::default() }),
        ata().prop_map(|ata| Abilities { ata, ..Abilities::default() }),
        sanitizes()
            .prop_map(|sanitize| Abilities { scsi: ScsiAbilities { sanitize }, ..Abilities::default() }),
    ]
}

prop_compose! {
    fn policies()(
        mode in select(vec![Mode::Full, Mode::Full, Mode::Metadata]),
        min_level in select(vec![Level::None, Level::Clear, Level::Purge]),
        (device_erase, nvme_erase, ata_erase) in any::<(bool, bool, bool)>(),
        allow_fallback: bool,
        passes in 0..4_u8,
        verify in select(vec![Verify::Sample, Verify::Full]),
        skip in any::<bool>(),
        (force_shared, force_cluster) in any::<(bool, bool)>(),
        max_time in option::of((1..100_u64).prop_map(Duration::from_secs)),
    ) -> Policy {
        let read_only = if skip { ReadOnly::Skip } else { ReadOnly::Refuse };
        Policy {
            mode, min_level, device_erase, nvme_erase, ata_erase, allow_fallback, passes, verify, read_only,
            force_shared, force_cluster, max_time, rate_limit: None,
        }
    }
}

prop_compose! {
    fn requests()(
        policy in policies(),
        skip in select(vec!["[]", "[]", r#"[{"serial": "S1"}]"#, r#"[{"name": "/dev/sdb"}]"#]),
    ) -> Request {
        let skip = serde_json::from_str(skip).expect("hints");
        Request { skip, ..Request::from(policy) }
    }
}

fn is_skipped(request: &Request, subject: &Subject) -> bool {
    request.skip.iter().any(|hints| hints.match_disk(&subject.disk))
}

/// The best that the drive does by itself, if it may.
fn best_of(abilities: &Abilities) -> Level {
    let erases = abilities.erases(&mut Vec::new());
    erases.into_iter().map(|erase| Method::ByDrive(erase).level().0).max().unwrap_or(Level::None)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_lowers_the_level_without_saying_so(
        subject in subjects(), abilities in abilities(), request in requests(),
    ) {
        let policy = request.policy;
        let Ok(plan) = request.plan(subject, &abilities) else { return Ok(()) };
        let levels: Vec<_> = plan.methods().iter().map(|method| method.level().0).collect();
        let by_drive = |method: &Method| matches!(method, Method::ByDrive(_));
        prop_assert!(!levels.is_empty());
        prop_assert!(levels.iter().all(|level| *level >= policy.min_level), "{levels:?}");
        if !policy.allow_fallback {
            prop_assert!(levels.iter().all(|level| *level >= levels[0]), "{levels:?}");
            prop_assert!(plan.methods().iter().all(|method| by_drive(method) == by_drive(&plan.methods()[0])));
        }
        match policy.mode {
            Mode::Full if levels[0] < best_of(&abilities) => prop_assert!(!plan.notes().is_empty()),
            Mode::Full => prop_assert!(levels[0] >= Level::Clear),
            Mode::Metadata => prop_assert_eq!(plan.methods(), &[Method::Metadata]),
        }
    }

    #[test]
    fn nothing_that_is_skipped_used_shared_or_lent_is_planned_unasked(
        subject in subjects(), abilities in abilities(), request in requests(),
    ) {
        let policy = request.policy;
        let skipped = is_skipped(&request, &subject);
        match request.plan(subject.clone(), &abilities) {
            Ok(plan) => {
                prop_assert!(!skipped);
                prop_assert_eq!(&subject.medium, &Medium::Installed);
                prop_assert!(!subject.disk.read_only && subject.users.is_empty());
                prop_assert!(subject.shared.is_empty() || policy.force_shared);
                prop_assert!(subject.cluster.is_empty() || policy.force_cluster);
                prop_assert!(subject.zoned != Zoned::HostManaged);
                prop_assert!(subject.disk.size >= Bytes(512) && policy.passes > 0);
                // What is done in spite of something is written down.
                let spites = [&subject.shared, &subject.cluster, &subject.unread, &subject.stack];
                let spites = spites.iter().filter(|words| !words.is_empty()).count();
                prop_assert!(plan.notes().len() >= spites, "{:?}", plan.notes());
                prop_assert_eq!(plan.subject(), &subject);
            }
            Err(refusal) => {
                prop_assert_eq!(matches!(refusal, Refusal::SkippedByHints { .. }), skipped);
                prop_assert!(refusal.to_string().contains("/dev/sda") || refusal == Refusal::NoPasses);
                // Only what is recorded as left alone may leave the others their success.
                let boot_disk = matches!(subject.medium, Medium::BootDisk(_));
                prop_assert!(!refusal.is_skip() || skipped || subject.disk.read_only || !boot_disk);
                prop_assert!(!refusal.is_skip() || skipped || subject.disk.read_only
                    || subject.medium != Medium::Installed);
            }
        }
    }

    #[test]
    fn the_same_facts_give_the_same_plan(
        subject in subjects(), abilities in abilities(), request in requests(),
    ) {
        prop_assert_eq!(request.plan(subject.clone(), &abilities), request.plan(subject, &abilities));
    }
}

const SIZE: u64 = 1 << 20;

/// How a disk is broken.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Broken,
    Lying,
    Unreadable,
    Vanishes,
    NoSync,
}

/// A disk full of secrets.
fn disk(fault: Fault, range: std::ops::Range<u64>, after: u64) -> FakeDisk {
    let mut disk = FakeDisk::filled(0xa5, Bytes(SIZE), 512.try_into().expect("a block size"));
    match fault {
        Fault::None => {}
        Fault::Broken => disk.broken = range,
        Fault::Lying => disk.lying = range,
        Fault::Unreadable => disk.unreadable = range,
        Fault::Vanishes => disk.vanishes_after = Some(after),
        Fault::NoSync => disk.failing_sync = Some(after % 4),
    }
    disk
}

fn faults() -> impl Strategy<Value = Fault> {
    use Fault::{Broken, Lying, NoSync, None, Unreadable, Vanishes};
    select(vec![None, Broken, Lying, Unreadable, Vanishes, NoSync])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_result_carries_evidence_or_an_error(
        fault in faults(), at in 0..SIZE / 4096, blocks in 1..64_u64, after in 0..40_u64,
        policy in policies(), abilities in abilities(), seed: u64,
    ) {
        let mut disk = disk(fault, at * 4096..((at + blocks) * 4096).min(SIZE), after);
        let mut subject = subject("sda");
        subject.disk.size = Bytes(SIZE);
        let Ok(plan) = Request::from(policy).plan(subject.clone(), &abilities) else { return Ok(()) };
        let mut conditions = Conditions {
            seed: Seed(seed),
            time: &mut Clock::new(String::new),
            progress: &mut |_| (),
        };
        match execute(plan, &mut disk, &mut conditions) {
            Ok(erased) => {
                prop_assert!(erased.proof.blocks > 0 && erased.proof.canaries > 0);
                let last = erased.attempts.last().expect("what was done");
                prop_assert!(last.error.is_none() && last.method == erased.method);
                let evidence = erased.certificate(&Context::default());
                let result = evidence["result"].as_str();
                prop_assert_eq!(result == Some("clean"), policy.mode == Mode::Full);
                if policy.verify == Verify::Full || policy.mode == Mode::Metadata {
                    prop_assert!(disk.bytes().iter().all(|byte| *byte == 0), "a secret survived");
                }
            }
            Err(error) => {
                if let EraseError::NotErased { attempts, .. } = &error {
                    prop_assert!(!attempts.is_empty() && attempts.iter().all(|attempt| attempt.error.is_some()));
                }
                let evidence = subject.failed(&error, &Context::default());
                let result = evidence["result"].as_str().unwrap_or_default();
                prop_assert!(["failed", "incomplete", "destroy_required"].contains(&result), "{result}");
                prop_assert!(evidence["reason"].as_str().is_some_and(|reason| reason.contains("/dev/sda")));
            }
        }
    }
}
