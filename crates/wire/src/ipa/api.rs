//! The documents around the commands: discovery, status and faults.

use serde::{Deserialize, Serialize};

/// A link of a discovery document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it leads.
    pub href: String,
    /// `self` or `describedby`.
    pub rel: String,
    /// Media type of the target, where it is not JSON.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// One version of the API in `GET /`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `v1`.
    pub id: String,
    /// Where it is and where it is described.
    pub links: Vec<Link>,
}

/// What `GET /` of the agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// `OpenStack Ironic Python Agent API`.
    pub name: String,
    /// For people.
    pub description: String,
    /// All versions; there is one.
    pub versions: Vec<Version>,
    /// The version to use.
    pub default_version: Version,
}

/// A media type of `GET /v1/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaType {
    /// `application/json`.
    pub base: String,
    /// The vendor type.
    #[serde(rename = "type")]
    pub media_type: String,
}

/// What `GET /v1/status` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When the agent started, in seconds since 1970.
    pub started_at: f64,
    /// The agent's version.
    pub version: String,
}

/// The body of every HTTP error of the agent. A conductor searches
/// `faultstring` for text, so it is always present and always a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `Client` below 500, else `Server`.
    pub faultcode: String,
    /// What is wrong.
    pub faultstring: String,
}

impl Fault {
    /// The fault for an HTTP `status`.
    #[must_use]
    pub fn new(status: u16, faultstring: impl Into<String>) -> Self {
        let faultcode = if status < 500 { "Client" } else { "Server" };
        Self { faultcode: faultcode.to_owned(), faultstring: faultstring.into() }
    }
}
