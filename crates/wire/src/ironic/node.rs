//! A node as a user declares it: which fields there are, and what each holds.

use serde_json::{Map, Value, json};

use super::MASKED;

/// What a declared field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text or null.
    MaybeText,
    /// A text of letters, digits and `-._~`, or null.
    MaybeName,
    /// A UUID or null.
    MaybeUuid,
    /// True or false.
    Bool,
    /// True, false or null.
    MaybeBool,
    /// An object.
    Object,
}

/// A field that a user may set.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Ironic's name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// The fields of a node that `POST /v1/nodes` and `PATCH` take.
pub const NODE_FIELDS: &[Field] = &[
    field("automated_clean", Kind::MaybeBool),
    field("bios_interface", Kind::MaybeText),
    field("boot_interface", Kind::MaybeText),
    field("chassis_uuid", Kind::MaybeUuid),
    field("conductor_group", Kind::MaybeText),
    field("console_interface", Kind::MaybeText),
    field("deploy_interface", Kind::MaybeText),
    field("description", Kind::MaybeText),
    field("disable_power_off", Kind::Bool),
    field("driver", Kind::Text),
    field("driver_info", Kind::Object),
    field("extra", Kind::Object),
    field("firmware_interface", Kind::MaybeText),
    field("inspect_interface", Kind::MaybeText),
    field("instance_info", Kind::Object),
    field("instance_name", Kind::MaybeText),
    field("instance_uuid", Kind::MaybeUuid),
    field("lessee", Kind::MaybeText),
    field("maintenance", Kind::Bool),
    field("maintenance_reason", Kind::MaybeText),
    field("management_interface", Kind::MaybeText),
    field("name", Kind::MaybeName),
    field("network_data", Kind::Object),
    field("network_interface", Kind::MaybeText),
    field("owner", Kind::MaybeText),
    field("parent_node", Kind::MaybeText),
    field("power_interface", Kind::MaybeText),
    field("properties", Kind::Object),
    field("protected", Kind::Bool),
    field("protected_reason", Kind::MaybeText),
    field("raid_interface", Kind::MaybeText),
    field("rescue_interface", Kind::MaybeText),
    field("resource_class", Kind::MaybeText),
    field("retired", Kind::Bool),
    field("retired_reason", Kind::MaybeText),
    field("shard", Kind::MaybeText),
    field("storage_interface", Kind::MaybeText),
    field("vendor_interface", Kind::MaybeText),
];

/// The fields of a port that `POST /v1/ports` and `PATCH` take, besides
/// `address` and `node_uuid`.
pub const PORT_FIELDS: &[Field] = &[
    field("category", Kind::MaybeText),
    field("description", Kind::MaybeText),
    field("extra", Kind::Object),
    field("is_smartnic", Kind::Bool),
    field("local_link_connection", Kind::Object),
    field("name", Kind::MaybeName),
    field("physical_network", Kind::MaybeText),
    field("portgroup_uuid", Kind::MaybeUuid),
    field("pxe_enabled", Kind::Bool),
    field("vendor", Kind::MaybeText),
];

/// The keys of a node in a list without `detail`.
pub const NODE_SUMMARY: &[&str] =
    &["uuid", "name", "instance_uuid", "maintenance", "power_state", "provision_state", "links"];

/// The keys of a port in a list without `detail`.
pub const PORT_SUMMARY: &[&str] = &["uuid", "address", "name", "description", "node_uuid", "links"];

/// Why a declaration is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No such field.
    #[error("Unknown or read-only attribute '{name}'")]
    Unknown {
        /// The key.
        name: String,
    },
    /// Not what belongs there.
    #[error("Invalid value for attribute '{name}': want {want}")]
    Kind {
        /// The key.
        name: String,
        /// What belongs there.
        want: &'static str,
    },
}

impl Kind {
    /// What it looks like, for people.
    const fn want(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::MaybeText => "a text or null",
            Kind::MaybeName => "letters, digits and -._~, or null",
            Kind::MaybeUuid => "a UUID or null",
            Kind::Bool => "true or false",
            Kind::MaybeBool => "true, false or null",
            Kind::Object => "an object",
        }
    }

    /// What stands there until somebody sets it.
    fn default(self) -> Value {
        match self {
            Kind::Text | Kind::MaybeText | Kind::MaybeName | Kind::MaybeUuid | Kind::MaybeBool => Value::Null,
            Kind::Bool => Value::Bool(false),
            Kind::Object => json!({}),
        }
    }

    fn holds(self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Kind::Text => text.is_some_and(|text| !text.is_empty()),
            Kind::MaybeText => value.is_null() || text.is_some(),
            Kind::MaybeName => value.is_null() || text.is_some_and(is_name),
            Kind::MaybeUuid => value.is_null() || text.is_some_and(is_uuid),
            Kind::Bool => value.is_boolean(),
            Kind::MaybeBool => value.is_null() || value.is_boolean(),
            Kind::Object => value.is_object(),
        }
    }
}

/// A host name's characters and `~`, which Metal3 puts between namespace and name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        && !is_uuid(text)
}

/// Whether `text` is a UUID in the usual spelling.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Check every key of `declared` against `fields`.
///
/// # Errors
/// [`FieldError`] naming the first key that is unknown or holds something else.
pub fn check_fields(declared: &Map<String, Value>, fields: &[Field]) -> Result<(), FieldError> {
    for (name, value) in declared {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(FieldError::Unknown { name: name.clone() });
        };
        if !field.kind.holds(value) {
            return Err(FieldError::Kind { name: name.clone(), want: field.kind.want() });
        }
    }
    Ok(())
}

/// `declared` with every field of `fields`, those not set at their defaults.
#[must_use]
pub fn with_defaults(declared: &Map<String, Value>, fields: &[Field]) -> Map<String, Value> {
    fields
        .iter()
        .map(|field| {
            let value = declared.get(field.name).cloned().unwrap_or_else(|| field.kind.default());
            (field.name.to_owned(), value)
        })
        .collect()
}

/// Whether what stands under `key` is nobody's to read.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "token", "pull_secret"].iter().any(|part| key.contains(part))
        || key == "configdrive"
}

/// `value` with everything that is secret by its key replaced by [`MASKED`].
#[must_use]
pub fn masked(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| {
                    let hidden = is_secret(key) && !value.is_null() && !value.is_boolean();
                    (key.clone(), if hidden { Value::from(MASKED) } else { masked(value) })
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn what_metal3_declares_is_taken() {
        let body = object(json!({"boot_interface": "ipxe", "disable_power_off": false, "driver": "redfish",
            "driver_info": {"redfish_address": "x"}, "name": "metal3~node-0", "properties": {"capabilities": "boot_mode:uefi"},
            "automated_clean": true, "instance_uuid": "11111111-2222-3333-4444-555555555555"}));
        assert_eq!(check_fields(&body, NODE_FIELDS), Ok(()));
    }

    #[test]
    fn what_nobody_may_set_is_refused_by_name() {
        for (body, name) in [
            (json!({"provision_state": "available"}), "provision_state"),
            (json!({"driver_info": []}), "driver_info"),
            (json!({"name": "a b"}), "name"),
            (json!({"name": "11111111-2222-3333-4444-555555555555"}), "name"),
            (json!({"driver": null}), "driver"),
            (json!({"maintenance": "yes"}), "maintenance"),
            (json!({"instance_uuid": "x"}), "instance_uuid"),
        ] {
            let error = check_fields(&object(body), NODE_FIELDS).expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        let node = json!({"driver_info": {"redfish_password": "hunter2", "redfish_username": "admin"},
            "instance_info": {"configdrive": "H4sI", "image_pull_secret": "x"}, "list": [{"agent_secret_token": "y"}]});
        let text = masked(&node).to_string();
        for secret in ["hunter2", "H4sI", "\"x\"", "\"y\""] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("admin"));
        assert_eq!(masked(&json!({"agent_token_required": true})), json!({"agent_token_required": true}));
    }

    #[test]
    fn a_node_shows_every_field() {
        let node = with_defaults(&object(json!({"driver": "redfish"})), NODE_FIELDS);
        assert_eq!(node["driver"], "redfish");
        assert_eq!(node["extra"], json!({}));
        assert_eq!(node["protected"], false);
        assert_eq!(node["name"], Value::Null);
    }
}
