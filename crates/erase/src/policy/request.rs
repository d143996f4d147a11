//! A policy as people write it: a file, the arguments of a clean step, or the
//! fields of an Ironic node. One list of names, [`FIELDS`], serves them all.

use std::{collections::BTreeMap, time::Duration};

use model::{Bytes, Secret, hints::RootDeviceHints};
use serde_json::{Map, Value};

use super::{Mode, Policy, ReadOnly, Verify};
use crate::{Abilities, Level, Plan, Refusal, Subject, plan};

/// Every field of a policy, and what it says.
pub const FIELDS: [(&str, &str); 16] = [
    ("mode", "What is to be gone: 'full' (default) or 'metadata' (partition tables and signatures only)."),
    ("min_level", "The least a full erase must be worth: 'clear' (default) or 'purge'."),
    ("device_erase", "Whether drives may erase themselves at all. Default true."),
    ("nvme_erase", "Whether NVMe drives may. Default true."),
    ("ata_erase", "Whether ATA drives may. Default true."),
    (
        "allow_fallback",
        "Whether a failed erase may be followed by one of a lower level, or by overwriting. Default false.",
    ),
    ("passes", "Passes when overwriting, 1 to 255: the last is zeros, those before are random. Default 1."),
    ("verify", "How much is read back: 'sample' (default) or 'full'."),
    (
        "skip_read_only",
        "Leave disks that refuse writes alone and record so, instead of failing. Default false.",
    ),
    ("force_shared", "Erase disks that somebody else may reach too: multipath, shared LUNs. Default false."),
    ("force_cluster_file_systems", "Erase disks with GPFS, VMFS, GFS2 or OCFS2 on them. Default false."),
    ("max_time_s", "The longest one disk may take, in seconds. Default: no limit."),
    (
        "rate_limit_bytes_s",
        "The most that is written in a second, to all disks together, in bytes. Default: no limit.",
    ),
    (
        "skip",
        "A list of root device hints: disks that match an entry are left alone and recorded as skipped.",
    ),
    ("opal_msid", "The password an Opal drive has from the factory, where the drive does not tell it."),
    ("opal_psids", "PSIDs from the labels of Opal drives, by serial number."),
];

/// A year, in seconds: more is a mistake.
const MOST_SECONDS: u64 = 366 * 24 * 60 * 60;
/// More skipped disks, or labels, than a machine has disks.
const ENTRIES_LIMIT: usize = 1024;

/// Everything that was asked for: the policy, which disks it is not for, and
/// what opens locked ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to do with each disk.
    pub policy: Policy,
    /// Disks that match an entry are left alone, and that is recorded.
    pub skip: Vec<RootDeviceHints>,
    /// Secrets of TCG Opal drives.
    pub opal: Opal,
}

/// What opens Opal drives that somebody owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opal {
    /// The factory's password, where a drive does not tell it.
    pub msid: Option<Secret>,
    /// The physical security id on each drive's label, by serial number.
    pub psids: BTreeMap<String, Secret>,
}

/// Why a policy cannot be used. Never quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is no JSON.
    #[error("the policy is not JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON, and no object.
    #[error("the policy is not a JSON object; write {{\"min_level\": \"purge\"}} or the like")]
    NotAnObject,
    /// No such field.
    #[error("a policy has no {name:?}; use one of {}", FIELDS.map(|(name, _)| name).join(", "))]
    Unknown {
        /// As given.
        name: String,
    },
    /// The field does not take this.
    #[error("{field} of the policy cannot be {value}; want {want}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// As given.
        value: String,
        /// What it takes.
        want: &'static str,
    },
    /// A secret is no text.
    #[error("{field} of the policy is not {want}")]
    Secret {
        /// The field.
        field: &'static str,
        /// What it takes.
        want: &'static str,
    },
    /// An entry of the skip list is no hint.
    #[error("{field} of the policy, entry {entry}")]
    Hints {
        /// The field.
        field: &'static str,
        /// Which entry, from 1.
        entry: usize,
        /// What is wrong with it.
        #[source]
        err: serde_json::Error,
    },
}

impl From<Policy> for Request {
    fn from(policy: Policy) -> Self {
        Self { policy, skip: Vec::new(), opal: Opal::default() }
    }
}

impl Request {
    /// A policy file: one JSON object with any of [`FIELDS`].
    ///
    /// # Errors
    /// [`PolicyError`] naming the first field that is unknown or malformed.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        match serde_json::from_slice(text).map_err(PolicyError::Json)? {
            Value::Object(fields) => Self::from(Policy::FULL).with(&fields),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(PolicyError::NotAnObject)
            }
        }
    }

    /// This request, changed by `fields`; `null` changes nothing.
    ///
    /// # Errors
    /// [`PolicyError`] naming the first field that is unknown or malformed.
    pub fn with(mut self, fields: &Map<String, Value>) -> Result<Self, PolicyError> {
        // What is to be gone says what is enough, unless that is said as well.
        if let Some(mode) = fields.get("mode").filter(|mode| !mode.is_null()) {
            self.policy.mode = chosen("mode", mode, MODES, "'full' or 'metadata'")?;
            self.policy.min_level = match self.policy.mode {
                Mode::Full => Policy::FULL.min_level,
                Mode::Metadata => Policy::METADATA.min_level,
            };
        }
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let Some((field, _)) = FIELDS.iter().find(|(known, _)| known == name) else {
                return Err(PolicyError::Unknown { name: name.clone() });
            };
            self.set(field, value)?;
        }
        Ok(self)
    }

    fn set(&mut self, field: &'static str, value: &Value) -> Result<(), PolicyError> {
        let policy = &mut self.policy;
        match field {
            "min_level" => policy.min_level = chosen(field, value, LEVELS, "'clear' or 'purge'")?,
            "device_erase" => policy.device_erase = flag(field, value)?,
            "nvme_erase" => policy.nvme_erase = flag(field, value)?,
            "ata_erase" => policy.ata_erase = flag(field, value)?,
            "allow_fallback" => policy.allow_fallback = flag(field, value)?,
            "passes" => {
                let passes = number(field, value, u8::MAX.into(), "a number from 1 to 255")?;
                policy.passes = u8::try_from(passes).unwrap_or(u8::MAX);
            }
            "verify" => policy.verify = chosen(field, value, VERIFIES, "'sample' or 'full'")?,
            "skip_read_only" => {
                policy.read_only = if flag(field, value)? { ReadOnly::Skip } else { ReadOnly::Refuse };
            }
            "force_shared" => policy.force_shared = flag(field, value)?,
            "force_cluster_file_systems" => policy.force_cluster = flag(field, value)?,
            "max_time_s" => {
                let seconds = number(field, value, MOST_SECONDS, "seconds, from 1 to a year")?;
                policy.max_time = Some(Duration::from_secs(seconds));
            }
            "rate_limit_bytes_s" => {
                policy.rate_limit =
                    Some(Bytes(number(field, value, u64::MAX, "bytes in a second, at least 1")?));
            }
            "skip" => self.skip = hint_list("skip", value)?,
            "opal_msid" => self.opal.msid = Some(secret(field, value, "a text")?),
            "opal_psids" => self.opal.psids = secrets(field, value)?,
            // `mode` comes before all others.
            _ => {}
        }
        Ok(())
    }

    /// What an Ironic node asks of `erase_devices` and `erase_devices_metadata`
    /// (agent-protocol 6.1): `internal` is its `driver_internal_info`, `properties`
    /// its properties. Flags that are missing or no flags have Ironic's defaults.
    ///
    /// # Errors
    /// [`PolicyError`] when `skip_block_devices` is no list of hints: nobody knows
    /// then which disks must be left alone.
    pub fn of_node(
        policy: Policy,
        internal: &Map<String, Value>,
        properties: &Map<String, Value>,
    ) -> Result<Self, PolicyError> {
        let flag = |key: &str| internal.get(key).and_then(Value::as_bool);
        let passes = internal.get("agent_erase_devices_iterations").and_then(Value::as_u64).unwrap_or(1);
        let skip = match properties.get("skip_block_devices") {
            None | Some(Value::Null) => Vec::new(),
            Some(list) => hint_list("skip_block_devices", list)?,
        };
        let continues = flag("agent_continue_if_secure_erase_failed")
            .or_else(|| flag("agent_continue_if_ata_erase_failed"));
        let read_only = match flag("agent_erase_skip_read_only") {
            Some(true) => ReadOnly::Skip,
            Some(false) => ReadOnly::Refuse,
            None => policy.read_only,
        };
        let policy = Policy {
            nvme_erase: flag("agent_enable_nvme_secure_erase").unwrap_or(policy.nvme_erase),
            ata_erase: flag("agent_enable_ata_secure_erase").unwrap_or(policy.ata_erase),
            allow_fallback: continues.unwrap_or(policy.allow_fallback),
            // Zeros are the last pass always, so that asking for zeros only is one
            // pass. With 0 iterations and no zeros Ironic's agent writes nothing and succeeds.
            passes: u8::try_from(passes.max(1)).unwrap_or(u8::MAX),
            // Ironic's agent has this one upside down: there, false switches the guard off.
            force_cluster: flag("wipe_special_filesystems").unwrap_or(policy.force_cluster),
            read_only,
            ..policy
        };
        Ok(Self { policy, skip, opal: Opal::default() })
    }

    /// Decide how to erase `subject`, if it is to be erased at all.
    ///
    /// # Errors
    /// [`Refusal`] when the disk must not, or cannot, be erased as was asked.
    pub fn plan(&self, subject: Subject, abilities: &Abilities) -> Result<Plan, Refusal> {
        match self.skip.iter().find(|hints| hints.match_disk(&subject.disk)) {
            Some(hints) => Err(Refusal::SkippedByHints { disk: subject.path(), hints: hints.to_string() }),
            None => Ok(plan(subject, abilities, self.policy)?.with_keys(&self.opal)),
        }
    }
}

const MODES: &[(&str, Mode)] = &[("full", Mode::Full), ("metadata", Mode::Metadata)];
const LEVELS: &[(&str, Level)] = &[("clear", Level::Clear), ("purge", Level::Purge)];
const VERIFIES: &[(&str, Verify)] = &[("sample", Verify::Sample), ("full", Verify::Full)];

fn malformed(field: &'static str, value: &Value, want: &'static str) -> PolicyError {
    PolicyError::Malformed { field, value: value.to_string(), want }
}

fn chosen<T: Copy>(
    field: &'static str,
    value: &Value,
    choices: &[(&str, T)],
    want: &'static str,
) -> Result<T, PolicyError> {
    let choice = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
    choice.map(|(_, choice)| *choice).ok_or_else(|| malformed(field, value, want))
}

fn flag(field: &'static str, value: &Value) -> Result<bool, PolicyError> {
    value.as_bool().ok_or_else(|| malformed(field, value, "true or false"))
}

fn number(field: &'static str, value: &Value, most: u64, want: &'static str) -> Result<u64, PolicyError> {
    value.as_u64().filter(|number| (1..=most).contains(number)).ok_or_else(|| malformed(field, value, want))
}

fn secret(field: &'static str, value: &Value, want: &'static str) -> Result<Secret, PolicyError> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(Secret::new).ok_or(PolicyError::Secret { field, want })
}

fn secrets(field: &'static str, value: &Value) -> Result<BTreeMap<String, Secret>, PolicyError> {
    const WANT: &str = "an object of texts, one for each serial number";
    let map = value.as_object().filter(|map| map.len() <= ENTRIES_LIMIT);
    let map = map.ok_or(PolicyError::Secret { field, want: WANT })?;
    map.iter().map(|(serial, psid)| Ok((serial.trim().to_owned(), secret(field, psid, WANT)?))).collect()
}

fn hint_list(field: &'static str, value: &Value) -> Result<Vec<RootDeviceHints>, PolicyError> {
    const WANT: &str = "a list of root device hints such as {\"serial\": \"S1\"}";
    let list = value.as_array().filter(|list| list.len() <= ENTRIES_LIMIT);
    let list = list.ok_or_else(|| malformed(field, value, WANT))?;
    let one = |(entry, hint): (usize, &Value)| match hint.as_object() {
        // Without any condition it would match every disk.
        Some(map) if map.is_empty() => Err(malformed(field, hint, WANT)),
        Some(_) | None => serde_json::from_value(hint.clone()).map_err(|err| PolicyError::Hints {
            field,
            entry: entry + 1,
            err,
        }),
    };
    list.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests;
