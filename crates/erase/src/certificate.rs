//! What an erasure says about itself: the body of the evidence, to be signed.

use serde_json::{Value, json};

use crate::{
    Attempt, EraseError, Erased, Level, Mode, Policy, Proof, ReadOnly, Refusal, Subject, prove::UNIT,
};

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
        let mut body = frame(&self.subject, context, result, level);
        body["policy"] = policy(self.policy);
        body["method"] = self.method.name().into();
        body["rule"] = rule.into();
        body["attempts"] = attempts(&self.attempts);
        body["verify"] = proof(&self.proof, self.subject.disk.logical_block.get());
        body["notes"] = json!(self.notes);
        body
    }
}

impl Subject {
    /// The body that records that this disk was left alone, and why.
    #[must_use]
    pub fn skipped(&self, refusal: &Refusal, context: &Context) -> Value {
        let mut body = frame(self, context, "skipped", Level::None);
        body["reason"] = refusal.to_string().into();
        body
    }

    /// The body that records an erasure that failed: the disk is dirty.
    #[must_use]
    pub fn failed(&self, error: &EraseError, context: &Context) -> Value {
        let mut body = frame(self, context, "failed", Level::None);
        body["reason"] = error.to_string().into();
        body["attempts"] = match error {
            EraseError::NotErased { attempts: tried, .. } => attempts(tried),
            EraseError::AnotherDisk { .. } => json!([]),
        };
        body
    }
}

fn frame(subject: &Subject, context: &Context, result: &str, level: Level) -> Value {
    json!({
        "v": 1,
        "cert_id": context.cert_id,
        "node": context.node,
        "operation": context.operation,
        "issued_at": context.issued_at,
        "agent": {"version": context.agent_version, "boot_id": context.boot_id},
        "device": device(subject),
        "result": result,
        "level": level,
        "standard": STANDARDS,
        "clock": {"source": context.clock_source},
    })
}

fn device(subject: &Subject) -> Value {
    let disk = &subject.disk;
    json!({
        "path": subject.path(),
        "kind": disk.transport.map(model::inventory::Transport::as_str),
        "model": disk.model,
        "serial": disk.serial,
        "wwn": disk.wwn.as_ref().map(|wwn| wwn.with_extension.as_ref().unwrap_or(&wwn.id)),
        "fw": subject.firmware,
        "bytes": disk.size,
        "lba": disk.logical_block.get(),
    })
}

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
        "allow_fallback": policy.allow_fallback,
        "skip_read_only": policy.read_only == ReadOnly::Skip,
    })
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
