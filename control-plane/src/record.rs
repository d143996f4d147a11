//! A node as it is stored.

use model::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{clock::Time, node::State};

/// Everything about a node but its large attachments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Who it is.
    pub uuid: Uuid,
    /// Where it is in its life.
    pub state: State,
    /// What users say about it, checked against `wire::ironic::NODE_FIELDS`.
    pub declared: Map<String, Value>,
    /// What is known about it.
    pub known: Known,
    /// Its agent, since its last boot of the ramdisk.
    pub agent: Agent,
    /// What is being done with it, or was last.
    pub operation: Operation,
    /// From the beginning of a cleaning until it is proven, or until somebody
    /// else may have written to its disks.
    #[serde(default)]
    pub erase_journal: Option<EraseJournal>,
}

/// What lets an overwrite that was cut off go on where it was (ADR 15). Never
/// shown to users of the API: who knows the key can shorten the erasure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EraseJournal {
    /// Names the cleaning, however often it is begun.
    pub operation: Uuid,
    /// Signs the marks on the disks.
    pub key: Secret,
}

impl EraseJournal {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel has no randomness; every overwrite then begins at the start.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self { operation: Uuid::new_v4(), key: Token::random()?.0 })
    }
}

/// What is known about a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// `power on`, `power off` or not known.
    pub power_state: Option<String>,
    /// Where its power is on its way to.
    pub target_power_state: Option<String>,
    /// What failed, on what, and what to do.
    pub last_error: Option<String>,
    /// When it was made known.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// When its state last changed, or was last confirmed by a heartbeat.
    pub provision_updated_at: Option<Time>,
    /// When its inspection began.
    pub inspection_started_at: Option<Time>,
    /// When its inventory came.
    pub inspection_finished_at: Option<Time>,
    /// The firmware its ramdisk was last booted by: `bios` or `uefi`.
    pub boot_mode: Option<String>,
}

/// What is known about a node's agent. Forgotten at every power off.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Agent {
    /// The machine was off and is being booted into the ramdisk: who looks it up
    /// now is no system that ran on it before.
    #[serde(default)]
    pub awaited: bool,
    /// SHA-256 of its token, in hex. The token itself is never stored.
    pub token_sha256: Option<String>,
    /// Where its API is.
    pub url: Option<String>,
    /// PEM of the certificate its API shows; also what its evidence is signed with.
    pub certificate: Option<String>,
    /// What it calls itself.
    pub version: Option<String>,
    /// When it last called.
    pub last_heartbeat: Option<Time>,
}

/// One inspection, cleaning or deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Names its evidence.
    pub id: Uuid,
    /// When it began.
    pub started_at: Option<Time>,
    /// Its steps, as the agent described them, in order.
    pub steps: Vec<Value>,
    /// How many of them have ended.
    pub ended: usize,
    /// `hardware_manager_version` of the agent, sent back with every step.
    pub version: Value,
    /// The command that runs the current step.
    pub command: Option<String>,
    /// The last command whose end was taken in: any later one is ours.
    pub seen: Option<String>,
}

impl Operation {
    /// A new operation.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            id: Uuid::new_v4(),
            started_at: Some(Time::now()),
            steps: Vec::new(),
            ended: 0,
            version: Value::Null,
            command: None,
            seen: None,
        }
    }

    /// The step that is being started or runs.
    #[must_use]
    pub fn step(&self) -> Option<&Value> {
        self.steps.get(self.ended)
    }

    /// Command `id` was the current step's, and has ended.
    pub fn ends(&mut self, id: &str) {
        self.ended += 1;
        self.command = None;
        self.seen = Some(id.to_owned());
    }
}

impl Node {
    /// A node that was just made known.
    #[must_use]
    pub fn new(uuid: Uuid, declared: Map<String, Value>) -> Self {
        Self {
            uuid,
            state: State::Enroll,
            declared,
            known: Known {
                power_state: None,
                target_power_state: None,
                last_error: None,
                created_at: Time::now(),
                updated_at: None,
                provision_updated_at: None,
                inspection_started_at: None,
                inspection_finished_at: None,
                boot_mode: None,
            },
            agent: Agent::default(),
            operation: Operation { started_at: None, ..Operation::begin() },
            erase_journal: None,
        }
    }

    /// A declared text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.declared.get(field)?.as_str()
    }

    /// A declared object; empty when it is not set.
    #[must_use]
    pub fn object(&self, field: &str) -> Map<String, Value> {
        self.declared.get(field).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// Whether a user put it out of service.
    #[must_use]
    pub fn in_maintenance(&self) -> bool {
        self.declared.get("maintenance").and_then(Value::as_bool).unwrap_or(false)
    }

    /// A capability of `instance_info` (an object) or `properties` (the text
    /// `a:b,c:d` or an object).
    #[must_use]
    pub fn capability(&self, name: &str) -> Option<String> {
        let of = |field: &str| match self.declared.get(field)?.get("capabilities")? {
            Value::Object(map) => map.get(name)?.as_str().map(str::to_owned),
            Value::String(text) => text
                .split(',')
                .filter_map(|pair| pair.split_once(':'))
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim().to_owned()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        of("instance_info").or_else(|| of("properties"))
    }

    /// How it is called in logs and errors.
    #[must_use]
    pub fn title(&self) -> String {
        self.text("name").map_or_else(|| self.uuid.to_string(), str::to_owned)
    }
}

/// A network interface of a node that is known to the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Port {
    /// Who it is.
    pub uuid: Uuid,
    /// Whose it is.
    pub node_uuid: Uuid,
    /// Its MAC address.
    pub address: model::Mac,
    /// What users say about it, checked against `wire::ironic::PORT_FIELDS`.
    pub declared: Map<String, Value>,
    /// When it was made known.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Option<Time>,
}

impl Port {
    /// A port of `node_uuid` that was just made known.
    #[must_use]
    pub fn new(node_uuid: Uuid, address: model::Mac, declared: Map<String, Value>) -> Self {
        Self { uuid: Uuid::new_v4(), node_uuid, address, declared, created_at: Time::now(), updated_at: None }
    }
}

/// An agent's token: 32 random bytes as 43 characters.
#[derive(Clone, Debug)]
pub struct Token(pub Secret);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel has no randomness, which is not a moment to hand out tokens.
    pub fn random() -> Result<Self, getrandom::Error> {
        use base64::Engine as _;
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// What is stored of a token.
    #[must_use]
    pub fn fingerprint(token: &str) -> String {
        let mut hasher = model::Hasher::new(model::Algorithm::Sha256);
        hasher.update(token.as_bytes());
        hasher.finish().hex()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn capabilities_are_read_in_both_spellings_and_the_instances_win() {
        let declared = json!({"properties": {"capabilities": "boot_mode:uefi, iscsi:1"},
            "instance_info": {"capabilities": {"secure_boot": "true"}}});
        let node = Node::new(Uuid::new_v4(), declared.as_object().cloned().expect("an object"));
        assert_eq!(node.capability("boot_mode").as_deref(), Some("uefi"));
        assert_eq!(node.capability("secure_boot").as_deref(), Some("true"));
        assert_eq!(node.capability("raid"), None);
    }

    #[test]
    fn tokens_are_as_long_as_ironics_and_differ() {
        let [one, two] = [(); 2].map(|()| Token::random().expect("randomness"));
        assert_eq!(one.0.expose().len(), 43);
        assert_ne!(one.0.expose(), two.0.expose());
        assert_eq!(Token::fingerprint("x").len(), 64);
    }
}
