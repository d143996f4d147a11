//! `erase_devices` and `erase_devices_metadata`: every disk, each with its
//! signed evidence, or the step fails.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use erase::{Abilities, Clock, Conditions, Context, Mode, Policy, ReadOnly, Refusal, Seed, Subject};
use model::{Bytes, inventory::Disk};
use serde_json::{Map, Value};
use wire::ipa::ErrorClass;

use super::Machine;
use crate::command::{Failure, Reporter, chain};

/// The most disks erased at once, whatever a node says.
const MAX_CONCURRENCY: u64 = 32;

/// No byte of the old tenant stays.
pub(super) fn devices(
    machine: &mut Machine,
    _: &Map<String, Value>,
    report: &Reporter,
) -> Result<Value, Failure> {
    every_disk(machine, full(machine), "erase_devices", report)
}

/// No partition table and no signature stays.
pub(super) fn metadata(
    machine: &mut Machine,
    _: &Map<String, Value>,
    report: &Reporter,
) -> Result<Value, Failure> {
    // Ironic's agent leaves read-only disks out here; we do too, and say so in the evidence.
    let policy = Policy { read_only: ReadOnly::Skip, ..Policy::METADATA };
    every_disk(machine, policy, "erase_devices_metadata", report)
}

/// What the node's `driver_internal_info` asks for; Ironic's defaults.
fn full(machine: &Machine) -> Policy {
    let flag = |key: &str| machine.internal(key).and_then(Value::as_bool);
    let passes = machine.internal("agent_erase_devices_iterations").and_then(Value::as_u64).unwrap_or(1);
    Policy {
        mode: Mode::Full,
        device_erase: flag("agent_enable_nvme_secure_erase").unwrap_or(true),
        allow_fallback: flag("agent_continue_if_secure_erase_failed")
            .or_else(|| flag("agent_continue_if_ata_erase_failed"))
            .unwrap_or(false),
        // Zeros are the last pass always; asking for none but zeros is one pass.
        passes: u8::try_from(passes.max(1)).unwrap_or(u8::MAX),
        read_only: if flag("agent_erase_skip_read_only").unwrap_or(false) {
            ReadOnly::Skip
        } else {
            ReadOnly::Refuse
        },
        ..Policy::FULL
    }
}

/// What every thread needs to know.
struct Work<'a> {
    machine: &'a Machine,
    policy: Policy,
    step: &'static str,
    tally: Tally<'a>,
}

fn every_disk(
    machine: &Machine,
    policy: Policy,
    step: &'static str,
    report: &Reporter,
) -> Result<Value, Failure> {
    let disks = machine.every_disk()?;
    let asked = machine.internal("disk_erasure_concurrency").and_then(Value::as_u64).unwrap_or(1);
    let threads = usize::try_from(asked.clamp(1, MAX_CONCURRENCY)).unwrap_or(1).min(disks.len());
    let work = Work { machine, policy, step, tally: Tally::new(step, report) };
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(disk) = disks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work.one_disk(disk);
                    results.lock().unwrap_or_else(PoisonError::into_inner).insert(disk.path(), result);
                }
            });
        }
    });
    gather(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// All, or every reason why not.
fn gather(results: BTreeMap<String, Result<Value, Failure>>) -> Result<Value, Failure> {
    let (mut done, mut failed) = (Map::new(), Vec::new());
    for (path, result) in results {
        match result {
            Ok(evidence) => {
                done.insert(path, evidence);
            }
            Err(failure) => failed.push(failure.details),
        }
    }
    if failed.is_empty() {
        return Ok(Value::Object(done));
    }
    Err(Failure::new(ErrorClass::BlockDeviceErase, failed.join("; ")))
}

impl Work<'_> {
    /// Erase one disk; its signed evidence comes back.
    fn one_disk(&self, disk: &Disk) -> Result<Value, Failure> {
        let path = disk.path();
        let fail = |what: &str, err: &dyn std::error::Error| {
            Failure::new(ErrorClass::BlockDeviceErase, format!("{path}: {what}: {}", chain(err)))
        };
        let subject = Subject::read(Path::new("/"), disk).map_err(|err| fail("not looked at", &err))?;
        let abilities =
            Abilities::read(Path::new(&path)).map_err(|err| fail("it does not say what it can", &err))?;
        let plan = match erase::plan(subject.clone(), &abilities, self.policy) {
            Ok(plan) => plan,
            Err(refusal) if refusal.is_skip() => return self.skipped(&subject, &refusal),
            Err(refusal) => return Err(fail("not erased", &refusal)),
        };
        let mut device = self.machine.open(disk).map_err(|failure| Failure {
            class: ErrorClass::BlockDeviceErase,
            details: format!("{path}: not erased: {}", failure.details),
        })?;
        // Nobody else can change it any more; what was planned must still hold.
        if Subject::read(Path::new("/"), disk).map_err(|err| fail("not looked at", &err))? != subject {
            let text =
                format!("{path}: not erased: its partitions changed while it was looked at; try again");
            return Err(Failure::new(ErrorClass::BlockDeviceErase, text));
        }
        let mut conditions = Conditions {
            seed: Seed::random().map_err(|err| fail("no random numbers to prove it with", &err))?,
            time: &mut Clock::new(now),
            progress: &mut |progress| self.tally.tell(&path, progress),
        };
        let erased =
            erase::execute(plan, &mut device, &mut conditions).map_err(|err| fail("not erased", &err))?;
        tracing::info!(disk = path, method = erased.method.name(), step = self.step, "erased and proven");
        self.sign(erased.certificate(&self.context()))
    }

    /// A disk rightly left alone is recorded as such; it never counts as clean.
    fn skipped(&self, subject: &Subject, refusal: &Refusal) -> Result<Value, Failure> {
        tracing::warn!(disk = subject.path(), "left alone: {refusal}");
        self.sign(subject.skipped(refusal, &self.context()))
    }

    fn sign(&self, body: Value) -> Result<Value, Failure> {
        let unsigned = |err: &dyn std::error::Error| {
            let text = format!("the evidence cannot be signed: {}", chain(err));
            Failure::new(ErrorClass::BlockDeviceErase, text)
        };
        let signed = evidence::sign(body, &self.machine.key).map_err(|err| unsigned(&err))?;
        serde_json::to_value(signed).map_err(|err| unsigned(&err))
    }

    fn context(&self) -> Context {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let node = Some(self.machine.node.uuid.clone()).filter(|uuid| !uuid.is_empty());
        Context {
            cert_id: uuid::Uuid::new_v4().to_string(),
            node,
            operation: self.machine.internal("operation_uuid").and_then(Value::as_str).map(str::to_owned),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: boot_id.map(|text| text.trim().to_owned()),
            issued_at: now(),
            clock_source: self.machine.clock_source.to_owned(),
        }
    }
}

/// RFC 3339, UTC.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Progress of several disks as one number.
struct Tally<'a> {
    step: &'static str,
    report: &'a Reporter,
    disks: Mutex<BTreeMap<String, erase::Progress>>,
}

impl<'a> Tally<'a> {
    fn new(step: &'static str, report: &'a Reporter) -> Self {
        Self { step, report, disks: Mutex::default() }
    }

    fn tell(&self, path: &str, progress: erase::Progress) {
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        disks.insert(path.to_owned(), progress);
        let done = Bytes(disks.values().map(|disk| disk.done.0).sum());
        let total = Bytes(disks.values().map(|disk| disk.total.0).sum());
        let doing: Vec<String> =
            disks.iter().map(|(path, disk)| format!("{path} {}", disk.phase.name())).collect();
        self.report.report(self.step, done, Some(total), &doing.join(", "));
    }
}
