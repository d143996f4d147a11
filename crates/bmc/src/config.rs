//! Reading `driver_info`: parse once, say which key is wrong.

use std::path::PathBuf;

use model::Secret;
use reqwest::Url;
use serde_json::{Map, Value};

/// Why a node's `driver_info` names no controller.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such driver here.
    #[error("driver {driver:?} is not one of redfish, fake-hardware; set the node's driver")]
    UnknownDriver {
        /// What the node has.
        driver: String,
    },
    /// A key is needed.
    #[error("driver_info has no {key}; set it on the node")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key holds something else.
    #[error("driver_info {key} is not {want}; correct it on the node")]
    Malformed {
        /// The key.
        key: &'static str,
        /// What it should be.
        want: &'static str,
    },
    /// The file of trusted certificates is not usable.
    #[error("driver_info redfish_verify_ca names {}, which holds no usable PEM certificates", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client could not be made.
    #[error("no HTTPS client can be made; install ca-certificates, or set redfish_verify_ca")]
    Client {
        /// Why.
        #[source]
        err: reqwest::Error,
    },
}

/// How the controller proves its identity.
#[derive(Debug)]
pub(crate) enum Verify {
    /// By the system's certificate authorities.
    System,
    /// By the certificates in this PEM file.
    File(PathBuf),
    /// Not at all.
    Off,
}

/// How we prove ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Basic; a session when basic is refused.
    Auto,
    /// Basic only.
    Basic,
    /// A session per operation, deleted afterwards.
    Session,
}

/// The `redfish_*` keys, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) address: Url,
    pub(crate) system: Option<String>,
    pub(crate) user: Option<(String, Secret)>,
    pub(crate) auth: Auth,
    pub(crate) verify: Verify,
}

impl Settings {
    pub(crate) fn parse(info: &Map<String, Value>) -> Result<Self, ConfigError> {
        let password = text(info, "redfish_password")?.map(Secret::new);
        let user = match (text(info, "redfish_username")?, password) {
            (Some(name), Some(password)) => Some((name, password)),
            (Some(_), None) => return Err(ConfigError::Missing { key: "redfish_password" }),
            (None, Some(_)) => return Err(ConfigError::Missing { key: "redfish_username" }),
            (None, None) => None,
        };
        let address =
            text(info, "redfish_address")?.ok_or(ConfigError::Missing { key: "redfish_address" })?;
        let system = text(info, "redfish_system_id")?;
        if system.as_deref().is_some_and(|path| !is_local_path(path)) {
            return Err(ConfigError::Malformed {
                key: "redfish_system_id",
                want: "a path such as /redfish/v1/Systems/1",
            });
        }
        Ok(Self { address: parse_address(&address)?, system, user, auth: auth(info)?, verify: verify(info)? })
    }
}

/// A path on the same service: never a URL that would carry credentials elsewhere.
pub(crate) fn is_local_path(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '@'])
}

/// `https://` is understood when no scheme is given, as Ironic does. Credentials
/// inside the URL are refused: the URL appears in messages.
fn parse_address(text: &str) -> Result<Url, ConfigError> {
    let bad = ConfigError::Malformed {
        key: "redfish_address",
        want: "an http or https URL without path or credentials, such as https://bmc.example",
    };
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    match Url::parse(&full) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none() =>
        {
            Ok(url)
        }
        Ok(_) | Err(_) => Err(bad),
    }
}

fn auth(info: &Map<String, Value>) -> Result<Auth, ConfigError> {
    match text(info, "redfish_auth_type")?.as_deref() {
        None | Some("auto") => Ok(Auth::Auto),
        Some("basic") => Ok(Auth::Basic),
        Some("session") => Ok(Auth::Session),
        Some(_) => Err(ConfigError::Malformed { key: "redfish_auth_type", want: "auto, basic or session" }),
    }
}

fn verify(info: &Map<String, Value>) -> Result<Verify, ConfigError> {
    const KEY: &str = "redfish_verify_ca";
    match info.get(KEY) {
        None | Some(Value::Null | Value::Bool(true)) => Ok(Verify::System),
        Some(Value::Bool(false)) => Ok(Verify::Off),
        Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(Verify::System),
            "false" | "no" | "0" => Ok(Verify::Off),
            _ if text.starts_with('/') => Ok(Verify::File(text.into())),
            _ => Err(ConfigError::Malformed {
                key: KEY,
                want: "true, false or the absolute path of a PEM file",
            }),
        },
        Some(Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(ConfigError::Malformed { key: KEY, want: "true, false or the absolute path of a PEM file" })
        }
    }
}

fn text(info: &Map<String, Value>, key: &'static str) -> Result<Option<String>, ConfigError> {
    match info.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(ConfigError::Malformed { key, want: "a text" })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(info: Value) -> Result<Settings, String> {
        let Value::Object(info) = info else { panic!("an object") };
        Settings::parse(&info).map_err(|error| error.to_string())
    }

    #[test]
    fn ironic_s_keys_are_understood() {
        let settings = parse(json!({
            "redfish_address": "bmc.example:8443", "redfish_system_id": "/redfish/v1/Systems/1",
            "redfish_username": "admin", "redfish_password": "hunter2", "redfish_verify_ca": "False"
        }))
        .expect("good");
        assert_eq!(settings.address.as_str(), "https://bmc.example:8443/");
        assert!(matches!(settings.verify, Verify::Off));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_wrong_key_is_named_and_its_secret_is_not() {
        for (info, key) in [
            (json!({}), "redfish_address"),
            (json!({"redfish_address": "ftp://x"}), "redfish_address"),
            (json!({"redfish_address": "http://a:hunter2@x"}), "redfish_address"),
            (json!({"redfish_address": "x", "redfish_username": "u"}), "redfish_password"),
            (json!({"redfish_address": "x", "redfish_password": "hunter2"}), "redfish_username"),
            (json!({"redfish_address": "x", "redfish_system_id": "http://evil/1"}), "redfish_system_id"),
            (json!({"redfish_address": "x", "redfish_system_id": "//evil/1"}), "redfish_system_id"),
            (json!({"redfish_address": "x", "redfish_verify_ca": 7}), "redfish_verify_ca"),
            (json!({"redfish_address": "x", "redfish_auth_type": "magic"}), "redfish_auth_type"),
        ] {
            let error = parse(info).expect_err(key);
            assert!(error.contains(key) && !error.contains("hunter2"), "{error}");
        }
    }
}
