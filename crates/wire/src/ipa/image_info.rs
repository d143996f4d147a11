//! The image a conductor asks an agent to write.

use std::collections::BTreeMap;

use model::Secret;
use serde::{Deserialize, Serialize};

/// `image_info`, as the conductor's `write_image` builds it. Keys that only
/// partition images have are kept in `rest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// The last component of the image's source. For people.
    pub id: String,
    /// Where to download it; conductors send exactly one.
    pub urls: Vec<String>,
    /// `raw`, `qcow2`, …; null is common and means: look at it.
    #[serde(default)]
    pub disk_format: Option<String>,
    /// Ignored.
    #[serde(default)]
    pub container_format: Option<String>,
    /// Ignored: this agent always streams.
    #[serde(default = "yes")]
    pub stream_raw_images: bool,
    /// A hex digest, or the URL of a checksum file. Over the bytes as downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// `sha256`, `sha512`, …: goes with `os_hash_value` and wins over `checksum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_algo: Option<String>,
    /// The digest, or the URL of a checksum file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_value: Option<String>,
    /// `http_basic` or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_server_auth_strategy: Option<String>,
    /// With `http_basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_server_user: Option<String>,
    /// With `http_basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_server_password: Option<Secret>,
    /// Base64 of a complete `Authorization` value; wins over basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_request_authorization: Option<Secret>,
    /// Proxies by scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<BTreeMap<String, String>>,
    /// Hosts that are not proxied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_uuid: Option<String>,
    /// A copy of the command's own `configdrive` argument, which wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configdrive: Option<Secret>,
    /// `partition`; anything else, and absence, is a whole-disk image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
    /// What partition images have besides.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

const fn yes() -> bool {
    true
}
