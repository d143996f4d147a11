//! What an erasure says about itself: the body of the evidence, to be signed.
//!
//! Version 2; `docs/erase.md` has every field. Whatever happened to a disk has a
//! body: erased, left alone, failed. Only `clean` and `metadata-clean` are proof.

mod words;

use model::inventory::Disk;
use serde_json::{Value, json};

use crate::{
    Attempt, BadBlocks, EraseError, Erased, Level, Mode, Policy, Proof, ReadOnly, Refusal, Subject,
    execute::chain, prove::UNIT,
};

/// The version of the bodies made here.
const VERSION: u64 = 2;

/// Who did it, when, and under which name; known to the caller only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// A UUID made for this certificate.
    pub cert_id: String,
    /// UUID of the node, where there is one.
    pub node: Option<String>,
    /// UUID of the operation, where there is one.
    pub operation: Option<String>,
    /// Version of the agent.
    pub agent_version: String,
    /// SHA-256 of the agent's file, in hex.
    pub agent_sha256: Option<String>,
    /// The kernel's `boot_id`: tells the boots of one node apart.
    pub boot_id: Option<String>,
    /// Now, RFC 3339.
    pub issued_at: String,
    /// Where the time comes from: `ntp`, `rtc`, `api`.
    pub clock_source: String,
}

const STANDARDS: [&str; 2] = ["IEEE 2883-2022", "NIST SP 800-88r2"];

impl Erased {
    /// The body of the certificate, for `evidence::sign`.
    #[must_use]
    pub fn certificate(&self, context: &Context) -> Value {
        let (level, rule) = self.method.level();
        let result = match self.policy.mode {
            Mode::Full => "clean",
            Mode::Metadata => "metadata-clean",
        };
        let mut body = self.subject.frame(context, result, level);
        if let Some(namespaces) = self.namespaces.record() {
            body["device"]["namespaces"] = namespaces;
        }
        for (name, value) in
            self.hidden.iter().flat_map(|hidden| hidden.record(self.subject.disk.logical_block.get()))
        {
            body["device"][name] = value;
        }
        body["policy"] = policy(self.policy);
        body["method"] = self.method.name().into();
        body["rule"] = rule.into();
        body["nist_sp_800_88r2"] = words::nist(self.method);
        body["ieee_2883_2022"] = words::ieee(self.method);
        body["attempts"] = attempts(&self.attempts);
        body["verify"] = proof(&self.proof, self.subject.disk.logical_block.get());
        body["notes"] = json!(self.notes);
        body
    }
}

impl Subject {
    /// The body that records that this disk was left alone, and why: `skipped`
    /// where that is right, `refused` where somebody has to do something first.
    #[must_use]
    pub fn skipped(&self, refusal: &Refusal, context: &Context) -> Value {
        let result = if refusal.is_skip() { "skipped" } else { "refused" };
        let mut body = self.frame(context, result, Level::None);
        body["reason"] = refusal.to_string().into();
        if let Refusal::SkippedByHints { hints, .. } = refusal {
            // For a control plane that knows the list, and counts what the list names.
            body["skipped_by"] = hints.as_str().into();
        }
        body
    }

    /// The body that records an erasure that failed: the disk is dirty.
    #[must_use]
    pub fn failed(&self, error: &EraseError, context: &Context) -> Value {
        let mut body = self.frame(context, error.verdict().name(), Level::None);
        body["reason"] = chain(error).into();
        body["attempts"] = match error {
            EraseError::NotErased { attempts: tried, .. } => attempts(tried),
            EraseError::AnotherDisk { .. } => json!([]),
        };
        let (unwritten, unreadable) = error.bad_blocks();
        let block = self.disk.logical_block.get();
        body["unwritten"] = json!(lba_ranges(&unwritten, block));
        body["unreadable"] = json!(lba_ranges(&unreadable, block));
        body
    }

    fn frame(&self, context: &Context, result: &str, level: Level) -> Value {
        let mut body = frame(&self.disk, context, result, level);
        body["device"]["fw"] = json!(self.firmware);
        body["device"]["integrity"] = json!(self.integrity);
        body
    }
}

impl Context {
    /// The body that records that `disk` was not even begun: it could not be
    /// looked at or opened, for `reason`.
    #[must_use]
    pub fn not_begun(&self, disk: &Disk, reason: &str) -> Value {
        let mut body = frame(disk, self, "failed", Level::None);
        body["reason"] = reason.into();
        body["attempts"] = json!([]);
        body
    }
}

fn frame(disk: &Disk, context: &Context, result: &str, level: Level) -> Value {
    json!({
        "v": VERSION,
        "cert_id": context.cert_id,
        "node": context.node,
        "operation": context.operation,
        "issued_at": context.issued_at,
        "agent": {
            "version": context.agent_version,
            "sha256": context.agent_sha256,
            "boot_id": context.boot_id,
        },
        "device": device(disk),
        "result": result,
        "level": level,
        "standard": STANDARDS,
        "clock": {"source": context.clock_source},
    })
}

fn device(disk: &Disk) -> Value {
    json!({
        "path": disk.path(),
        "kind": disk.transport.map(model::inventory::Transport::as_str),
        "model": disk.model,
        "serial": disk.serial,
        "wwn": disk.wwn.as_ref().map(|wwn| wwn.with_extension.as_ref().unwrap_or(&wwn.id)),
        "bytes": disk.size,
        "lba": disk.logical_block.get(),
    })
}

/// Every field, so that a certificate says under which policy it was enough.
fn policy(policy: Policy) -> Value {
    let mode = match policy.mode {
        Mode::Full => "full",
        Mode::Metadata => "metadata",
    };
    json!({
        "mode": mode,
        "min_level": policy.min_level,
        "verify": policy.verify,
        "passes": policy.passes,
        "device_erase": policy.device_erase,
        "nvme_erase": policy.nvme_erase,
        "ata_erase": policy.ata_erase,
        "allow_fallback": policy.allow_fallback,
        "skip_read_only": policy.read_only == ReadOnly::Skip,
        "force_shared": policy.force_shared,
        "force_cluster_file_systems": policy.force_cluster,
        "max_time_s": policy.max_time.map(|time| time.as_secs()),
        "rate_limit": policy.rate_limit,
    })
}

/// First and last logical block of each place, in disk order.
fn lba_ranges(places: &BadBlocks, block: u64) -> Vec<[u64; 2]> {
    let mut ranges: Vec<_> =
        places.ranges().iter().map(|range| [range.start / block, range.end.div_ceil(block) - 1]).collect();
    model::order::sort(&mut ranges);
    ranges
}

fn attempts(attempts: &[Attempt]) -> Value {
    let one = |attempt: &Attempt| {
        json!({
            "method": attempt.method.name(),
            "level": attempt.method.level().0,
            "start": attempt.start,
            "end": attempt.end,
            "result": if attempt.error.is_none() { "ok" } else { "failed" },
            "error": attempt.error,
            "resumed": attempt.resumed,
            "details": attempt.answer,
        })
    };
    attempts.iter().map(one).collect()
}

fn proof(proof: &Proof, block: u64) -> Value {
    json!({
        "kind": proof.kind,
        "seed": proof.seed.to_string(),
        "blocks": proof.blocks,
        "block_bytes": UNIT.max(block),
        "bytes": proof.bytes,
        "expect": proof.expectation,
        "mismatch": 0,
        "canaries": proof.canaries,
        "canaries_found": 0,
        "remembered": proof.remembered,
        "unreadable": [],
    })
}

#[cfg(test)]
mod tests;
