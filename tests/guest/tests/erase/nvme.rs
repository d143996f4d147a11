//! NVMe drives that sanitize, format, fail, lie, stand still and lose their power,
//! through the kernel's own driver; each row's drive is read whole from outside.

use std::fs;

use fake_nvme::{Action, Drive, Faults, Namespace, Server, Spec, Status};
use guest::{
    machine::Machine,
    secret::{self, Survivors},
};

use crate::BOOT;

const MIB: u64 = 4;
/// The state of a drive whose block erase failed: it may be left, or may not.
const FAILED: [&str; 2] = ["3 0 10 0 4 0", "3 0 2 0 4 0"];

/// The drives of the rows, by name, and what is to be in them afterwards.
struct Drives {
    folder: tempfile::TempDir,
    drives: Vec<(&'static str, Drive, Left)>,
}

/// Namespaces in which the old tenant's data still is.
type Left = &'static [u32];

impl Drives {
    fn add(&mut self, name: &'static str, spec: Spec, left: Left) {
        self.add_used(name, None, spec, left);
    }

    /// A drive that did something before: `state` is what it remembers.
    fn add_used(&mut self, name: &'static str, state: Option<&str>, spec: Spec, left: Left) {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        if let Some(state) = state {
            fs::write(folder.join("sanitize"), state).expect("a state");
        }
        let drive = Drive::new(&folder, Spec { serial: name.to_owned(), ..spec.clone() });
        for namespace in &spec.namespaces {
            let mut bytes = vec![0; usize::try_from(namespace.bytes).expect("small")];
            secret::fill(&mut bytes, 0);
            drive.plant(namespace.id, &bytes);
        }
        self.drives.push((name, drive, left));
    }

    /// Reads every byte of every namespace.
    fn holds_what_it_is_to(&self) {
        for (name, drive, left) in &self.drives {
            let holds = |id: &u32| {
                let file = fs::File::open(drive.file(*id)).expect("a namespace");
                !Survivors::among(file).expect("readable").is_none()
            };
            let mut holding: Vec<u32> = drive.namespaces();
            holding.retain(holds);
            // The kernel of Debian 12 has no Opal over fabrics: the drive stays with its owner.
            let left: Left = if drive.is_owned() { &[1] } else { left };
            assert_eq!(holding, left, "{name}");
        }
    }

    fn get(&self, name: &str) -> &Drive {
        &self.drives.iter().find(|(known, ..)| *known == name).expect("a drive").1
    }
}

fn spec(sanitizes: &[Action], faults: Faults) -> Spec {
    let namespaces = vec![Namespace::of_mib(1, MIB)];
    Spec { namespaces, sanitizes: sanitizes.to_vec(), faults, ..Spec::default() }
}

fn drives() -> Drives {
    const ALL: &[Action] = &[Action::Crypto, Action::Block, Action::Overwrite];
    const BLOCK: &[Action] = &[Action::Block];
    let good = Faults::default;
    let mut all = Drives { folder: tempfile::tempdir().expect("a folder"), drives: Vec::new() };
    all.add("sanitize-crypto", spec(ALL, good()), &[]);
    all.add("sanitize-block", spec(BLOCK, good()), &[]);
    all.add("sanitize-overwrite", spec(&[Action::Overwrite], good()), &[]);
    all.add("format-crypto", spec(&[], good()), &[]);
    // SES 2 would be taken, and is a lie: it must not be asked for.
    let takes_any_ses = Faults { takes_any_ses: true, ..good() };
    all.add("format-user-data", Spec { fna: 0, ..spec(&[], takes_any_ses) }, &[]);
    let in_4k = vec![Namespace::of_mib(1, MIB).in_4k()];
    all.add("format-4k", Spec { fna: 0, namespaces: in_4k, ..spec(&[], good()) }, &[]);
    all.add("sanitize-slow", Spec { polls: 50, ..spec(BLOCK, good()) }, &[]);
    all.add("sanitize-fails-once", spec(ALL, Faults { failing_sanitizes: 1, ..good() }), &[]);
    all.add("sanitize-fails", spec(ALL, Faults { failing_sanitizes: u32::MAX, ..good() }), &[]);
    all.add("sanitize-refused", spec(ALL, Faults { refuses_sanitize: true, ..good() }), &[]);
    all.add("format-fails", spec(&[], Faults { failing_formats: u32::MAX, ..good() }), &[]);
    all.add("sanitize-lies", spec(ALL, Faults { lies: true, ..good() }), &[1]);
    all.add("format-lies", spec(&[], Faults { lies: true, ..good() }), &[1]);
    all.add("sanitize-stalls", spec(BLOCK, Faults { stalls_at_poll: Some(2), ..good() }), &[]);
    all.add("sanitize-power-loss", spec(ALL, Faults { loses_power_at_poll: Some(2), ..good() }), &[]);
    all.add_used("failed-before", Some(FAILED[0]), spec(BLOCK, good()), &[]);
    all.add_used("failed-for-good", Some(FAILED[1]), spec(BLOCK, good()), &[]);
    let unwritable = Faults { unwritable: 1 << 20..(1 << 20) + 512, ..good() };
    all.add("unwritable", Spec { formats: false, ..spec(&[], unwritable) }, &[1]);
    let unreadable = Faults { unreadable: 1 << 20..(1 << 20) + 512, ..good() };
    all.add("unreadable", Spec { formats: false, ..spec(BLOCK, unreadable) }, &[]);
    let three = || [1, 0xa, 0x1f].map(|id| Namespace::of_mib(id, MIB)).to_vec();
    all.add("namespaces-all", Spec { namespaces: three(), ..spec(BLOCK, good()) }, &[]);
    all.add("namespaces-one", Spec { namespaces: three(), fna: 0, ..spec(BLOCK, good()) }, &[1, 0x1f]);
    let hidden = || vec![Namespace::of_mib(1, MIB), Namespace::of_mib(0xb, MIB).unattached()];
    all.add("unattached", Spec { namespaces: hidden(), ..spec(BLOCK, good()) }, &[]);
    all.add("unattached-only", Spec { namespaces: hidden(), ..spec(&[], good()) }, &[1, 0xb]);
    all.add("opal-locked", spec(ALL, good()), &[]);
    all.get("opal-locked").own("tenant", true);
    all.add("opal-factory", spec(ALL, good()), &[]);
    all.get("opal-factory").own(fake_nvme::FACTORY, false);
    all
}

fn machine(server: &Server) -> Machine {
    Machine::new().network().parameters(&format!("fake-nvme={}", server.port()))
}

#[test]
fn a_sanitize_outlives_the_machine_and_is_found_by_the_next() {
    let mut all = Drives { folder: tempfile::tempdir().expect("a folder"), drives: Vec::new() };
    let stalls_at_poll = Some(3);
    let faults = Faults { stalls_at_poll, ..Faults::default() };
    all.add("sanitize-cut", Spec { polls: 5, ..spec(&[Action::Block], faults) }, &[]);
    let drive = all.get("sanitize-cut");
    let server = Server::start([("sanitize-cut", drive.clone())]);
    let mut guest = machine(&server).start(&BOOT, &["sanitize-cut"]);
    guest.wait_for("sanitizing");
    guest.kill();
    drop(guest);
    assert_eq!(drive.status(), Status::Running);
    drive.with_faults(|faults| faults.stalls_at_poll = None);
    let _ = machine(&server).run(&BOOT, &["sanitize-cut-found"]);
    assert_eq!((drive.status(), drive.erases()), (Status::Done, vec![(0x84, 0xa)]), "begun once");
    all.holds_what_it_is_to();
}

#[test]
fn drives_that_erase_themselves_are_believed_when_they_prove_it() {
    let all = drives();
    let server = Server::start(all.drives.iter().map(|(name, drive, _)| (*name, drive.clone())));
    let rows: Vec<_> =
        all.drives.iter().map(|(name, ..)| *name).filter(|name| *name != "unattached-only").collect();
    let mut guest = machine(&server).start(&BOOT, &rows);
    guest.wait_for("stalled");
    let stalled = all.get("sanitize-stalls");
    assert_eq!(stalled.status(), Status::Running, "the command is not broken off");
    stalled.with_faults(|faults| faults.stalls_at_poll = None);
    guest.go_on();
    let _ = guest.end();
    all.holds_what_it_is_to();
    let format = |name| all.get(name).erases();
    assert_eq!(format("format-user-data"), [(0x80, 0x200)], "SES 2 is not asked for without FNA bit 2");
    assert_eq!(format("namespaces-one"), [(0x80, 0x200)], "no sanitize where others keep their data");
    assert_eq!(format("sanitize-stalls"), [(0x84, 0xa)], "what runs is not begun again");
}
