//! What is said of each disk, signed: erased and how that is known, left alone
//! and why, or tried and dirty.

use std::sync::{Arc, OnceLock};

use erase::{Context, Erased};
use evidence::{Key, SignError};
use model::{Algorithm, Hasher, inventory::Disk};
use serde_json::{Value, json};

use super::worker::{NotErased, now};

/// Who signs, for which node and operation.
#[derive(Clone)]
pub(crate) struct Papers {
    pub(crate) key: Arc<Key>,
    pub(crate) node: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) clock_source: &'static str,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
#[error("the evidence cannot be signed")]
pub(crate) struct PaperError(#[from] SignError);

impl Papers {
    /// The document of one disk. None where nothing is known that could be signed:
    /// the disk was not even looked at, or is not the one that was chosen.
    pub(crate) fn document(&self, outcome: Result<&Erased, &NotErased>) -> Result<Option<Value>, PaperError> {
        let context = self.context();
        let body = match outcome {
            Ok(erased) => erased.certificate(&context),
            Err(NotErased::Refused { subject, refusal }) => subject.skipped(refusal, &context),
            Err(NotErased::Failed { subject, err }) => subject.failed(err, &context),
            Err(
                NotErased::Look(_)
                | NotErased::Abilities(_)
                | NotErased::Held(_)
                | NotErased::Open(_)
                | NotErased::Changed
                | NotErased::Random(_),
            ) => return Ok(None),
        };
        self.sign(body).map(Some)
    }

    /// The document of a disk that was not even begun, or never answered, for `why`.
    pub(crate) fn not_begun(&self, disk: &Disk, why: &str) -> Result<Value, PaperError> {
        self.sign(self.context().not_begun(disk, why))
    }

    fn sign(&self, body: Value) -> Result<Value, PaperError> {
        let signed = evidence::sign(body, &self.key)?;
        Ok(json!({ "body": signed.body, "signature": signed.signature }))
    }

    fn context(&self) -> Context {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Context {
            cert_id: uuid::Uuid::new_v4().to_string(),
            node: self.node.clone(),
            operation: self.operation.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            agent_sha256: this_program(),
            boot_id: boot_id.map(|text| text.trim().to_owned()),
            issued_at: now(),
            clock_source: self.clock_source.to_owned(),
        }
    }
}

/// SHA-256 of this program: which of all that call themselves the same version it is.
fn this_program() -> Option<String> {
    static DIGEST: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&std::fs::read("/proc/self/exe").ok()?);
        Some(hasher.finish().hex())
    };
    DIGEST.get_or_init(read).clone()
}
