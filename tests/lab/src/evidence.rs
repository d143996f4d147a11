//! The evidence of an erase: fetched from billetd, matched to a disk, verified by the agent's own command.

use std::{ffi::OsStr, fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::billetd::Api;

/// How long a verification may take.
const VERIFY_LIMIT: Duration = Duration::from_secs(30);

/// One disk's erasure, as billetd keeps it.
#[derive(Debug)]
pub struct Erasure<'a> {
    /// The method, as the evidence names it.
    pub method: &'a str,
    /// The signed document.
    pub document: &'a Value,
}

/// All erasures that billetd keeps of a node.
///
/// # Errors
/// When billetd does not answer or its answer has no list.
pub async fn fetch(api: &Api, id: &str) -> Result<Vec<Value>> {
    let answer = whole(api, id).await?;
    let list = answer.get("erasures").and_then(Value::as_array).context("the answer has no erasures")?;
    Ok(list.clone())
}

async fn whole(api: &Api, id: &str) -> Result<Value> {
    api.get(&format!("/v1/nodes/{id}/erasures")).await.context("fetch the evidence")
}

/// Keep the whole chain of a node in `file`, and let `billet-agent evidence verify`
/// judge it, with billetd's own certificate pinned.
///
/// # Errors
/// When it is refused; the reason is quoted.
pub async fn verify_chain(api: &Api, id: &str, agent: &Path, file: &Path) -> Result<()> {
    let keys = api.get("/v1/evidence/keys").await.context("fetch billetd's certificate")?;
    let key = keys.pointer("/keys/0/certificate").and_then(Value::as_str).context("billetd has no key")?;
    let pem = file.with_extension("pem");
    fs::write(&pem, key).with_context(|| format!("write {}", pem.display()))?;
    keep(&whole(api, id).await?, file)?;
    run(agent, file, &["--key".as_ref(), pem.as_os_str()]).await
}

fn keep(document: &Value, file: &Path) -> Result<()> {
    fs::write(file, document.to_string()).with_context(|| format!("write {}", file.display()))
}

/// The full erasure, among `erasures`, of the disk with this serial number, which billetd has verified.
///
/// # Errors
/// When there is none.
pub fn of_disk<'a>(erasures: &[&'a Value], serial: &str) -> Result<Erasure<'a>> {
    let of_it = |erasure: &&&Value| {
        erasure.pointer("/document/body/device/serial").and_then(Value::as_str) == Some(serial)
    };
    // A metadata erase leaves the data: its evidence does not count.
    let full = |erasure: &&&Value| method(erasure).is_some_and(|method| method != "metadata");
    let Some(erasure) = erasures.iter().filter(of_it).find(full) else {
        bail!("billetd has no evidence of a full erase of the disk {serial} in {}", summary(erasures));
    };
    let verified = erasure.get("verified").and_then(Value::as_bool) == Some(true);
    ensure!(verified, "billetd did not verify the evidence of the disk {serial}: {}", erasure["reason"]);
    let document = erasure.get("document").context("the erasure has no document")?;
    Ok(Erasure { method: method(erasure).unwrap_or_default(), document })
}

fn method(erasure: &Value) -> Option<&str> {
    erasure.get("method").and_then(Value::as_str)
}

fn summary(erasures: &[&Value]) -> String {
    let one = |erasure: &&Value| format!("{} by {}", erasure["device"], erasure["method"]);
    let all: Vec<String> = erasures.iter().map(one).collect();
    format!("{} documents [{}]", all.len(), all.join(", "))
}

/// Keep `document` in `file`, and let `billet-agent evidence verify` judge it.
///
/// # Errors
/// When it is refused; the reason is quoted.
pub async fn verify(agent: &Path, document: &Value, file: &Path) -> Result<()> {
    keep(document, file)?;
    run(agent, file, &[]).await
}

async fn run(agent: &Path, file: &Path, more: &[&OsStr]) -> Result<()> {
    let run = Command::new(agent)
        .args(["evidence", "verify"])
        .args(more)
        .arg(file)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(VERIFY_LIMIT, run).await.context("`billet-agent evidence verify` hangs")?;
    let output = output.with_context(|| format!("run {}; build it first", agent.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`billet-agent evidence verify {}`: {}", file.display(), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn erasure(serial: &str, method: &str, verified: bool) -> Value {
        json!({"device": "/dev/vda", "method": method, "verified": verified,
               "document": {"body": {"device": {"serial": serial}}, "signature": {}}})
    }

    #[test]
    fn only_verified_evidence_of_a_full_erase_of_that_disk_counts() {
        let (full, metadata, unverified) = (
            erasure("S1", "zero_out", true),
            erasure("S1", "metadata", true),
            erasure("S1", "zero_out", false),
        );
        assert_eq!(of_disk(&[&metadata, &full], "S1").unwrap().method, "zero_out");
        for (given, serial) in
            [(vec![&metadata], "S1"), (vec![&unverified], "S1"), (vec![&full], "S2"), (vec![], "S1")]
        {
            assert!(of_disk(&given, serial).is_err(), "{given:?} {serial}");
        }
    }
}
