//! The real kernel: a loop device erased through the block layer.

use std::{fs, path::PathBuf, process::Command};

use disk::{Device, Facts, SysRoot};
use erase::{Abilities, Conditions, Erased, Method, Policy, Seed, Subject, plan};
use model::inventory::{Disk, DiskKind};

const SIZE: usize = 64 << 20;

/// A loop device over a file full of noise; gone when dropped.
struct Loop {
    dir: tempfile::TempDir,
    node: PathBuf,
}

impl Loop {
    /// `None`, loudly, where this cannot be had.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut noise = vec![0; SIZE];
        getrandom::fill(&mut noise).expect("random numbers");
        fs::write(dir.path().join("disk"), noise).expect("written");
        let made = Command::new("losetup").args(["--find", "--show"]).arg(dir.path().join("disk")).output();
        match made {
            Ok(made) if made.status.success() => {
                let node = String::from_utf8_lossy(&made.stdout).trim().into();
                Some(Self { dir, node })
            }
            Ok(made) => {
                eprintln!("SKIPPED: no loop device (needs root): {}", String::from_utf8_lossy(&made.stderr));
                None
            }
            Err(err) => {
                eprintln!("SKIPPED: no losetup: {err}");
                None
            }
        }
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("disk")).expect("readable")
    }

    fn erase(&self, policy: Policy) -> Erased {
        let name = self.node.file_name().expect("a name").to_string_lossy().into_owned();
        let facts = Facts::read(&SysRoot::live(), &name).expect("facts");
        let subject = Subject::read("/".as_ref(), &described(&facts)).expect("readable");
        let abilities = Abilities::read(&self.node).expect("asked");
        let plan = plan(subject, &abilities, policy).expect("erasable");
        let mut drive = Device::open(&self.node).expect("free");
        let seed = Seed::random().expect("random numbers");
        let mut conditions =
            Conditions { seed, time: &mut erase::Clock::new(String::new), progress: &mut |_| () };
        erase::execute(plan, &mut drive, &mut conditions).expect("erased")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.node).status();
    }
}

fn described(facts: &Facts) -> Disk {
    Disk {
        name: facts.name.clone(),
        kind: DiskKind::Loop,
        size: facts.size,
        logical_block: facts.block,
        physical_block: facts.block,
        rotational: facts.rotational,
        read_only: facts.read_only,
        removable: false,
        model: None,
        vendor: None,
        serial: None,
        serial_aliases: Vec::new(),
        wwn: None,
        hctl: None,
        by_path: None,
        by_path_aliases: Vec::new(),
        transport: None,
        ..Disk::default()
    }
}

#[test]
fn a_whole_loop_device_is_zero_and_proven() {
    let Some(device) = Loop::new() else { return };
    let erased = device.erase(Policy::FULL);
    assert_eq!((erased.method, erased.attempts.len()), (Method::ZeroOut, 1));
    assert!(device.content().iter().all(|&byte| byte == 0));
}

#[test]
fn metadata_of_a_loop_device_is_gone_and_its_middle_is_not() {
    let Some(device) = Loop::new() else { return };
    let before = device.content();
    let erased = device.erase(Policy::METADATA);
    assert_eq!((erased.method, erased.notes), (Method::Metadata, Vec::<String>::new()));
    let (after, end) = (device.content(), 8 << 20);
    assert!(after[..end].iter().chain(&after[SIZE - end..]).all(|&byte| byte == 0));
    assert!(after[end..SIZE - end] == before[end..SIZE - end], "the middle was touched");
}
