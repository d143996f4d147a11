//! Which documents a file holds: one, a list of them, or billetd's answer.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};
use evidence::Signed;
use serde_json::Value;

/// The largest file read, in bytes: the erasures of a node of 24 disks, erased 200 times.
const FILE_LIMIT: u64 = 64 << 20;

/// A document and where it was found. Unchecked.
pub(super) struct Document {
    /// The file, and the place in it where there are several.
    pub(super) from: String,
    /// What was found.
    pub(super) signed: Signed,
}

/// The documents in `path`, at least one.
pub(super) fn file(path: &Path) -> anyhow::Result<Vec<Document>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes))
        .context("cannot read it")?;
    if bytes.len() as u64 > FILE_LIMIT {
        bail!("it is larger than {FILE_LIMIT} bytes");
    }
    let whole = || path.display().to_string();
    let several = serde_json::from_slice::<Value>(&bytes).ok().and_then(several);
    let Some(several) = several else {
        return Ok(vec![Document { from: whole(), signed: Signed::parse(&bytes)? }]);
    };
    drop(bytes);
    let one = |(at, value)| {
        let from = format!("{} [{at}]", whole());
        let signed =
            serde_json::from_value(value).with_context(|| format!("[{at}] is no evidence document"))?;
        Ok(Document { from, signed })
    };
    let documents = several.into_iter().enumerate().map(one).collect::<anyhow::Result<Vec<_>>>()?;
    if documents.is_empty() { bail!("it holds no evidence") } else { Ok(documents) }
}

/// The documents of a list, or of billetd's answer with its signed head.
fn several(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(mut answer) => {
            let Value::Array(entries) = answer.remove("erasures")? else { return None };
            let link = |mut entry: Value| entry.get_mut("link").map_or(Value::Null, Value::take);
            Some(entries.into_iter().map(link).chain(answer.remove("head")).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
