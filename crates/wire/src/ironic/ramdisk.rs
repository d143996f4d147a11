//! What a ramdisk and a control plane say to each other: lookup and heartbeat.

use model::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ipa::Link;

/// What stands in place of a secret that is not told (again).
pub const MASKED: &str = "******";

/// What `GET /v1/lookup` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookupResponse {
    /// The node that is asked for.
    pub node: LookupNode,
    /// How its agent shall behave.
    pub config: LookupConfig,
}

/// The part of a node that a ramdisk may know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookupNode {
    /// The node.
    pub uuid: String,
    /// Among others `root_device` and `skip_block_devices`.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// What is deployed; secrets masked.
    #[serde(default)]
    pub instance_info: Map<String, Value>,
    /// Among others the erase policy; secrets masked.
    #[serde(default)]
    pub driver_internal_info: Map<String, Value>,
    /// Where the node is.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// How an agent shall behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookupConfig {
    /// Ignored by our agent.
    #[serde(default)]
    pub metrics: Metrics,
    /// Ignored by our agent.
    #[serde(default)]
    pub metrics_statsd: MetricsStatsd,
    /// Seconds after which a silent agent is missed.
    pub heartbeat_timeout: u64,
    /// Ignored by our agent.
    #[serde(default)]
    pub agent_containers: AgentContainers,
    /// The token, once; [`MASKED`] ever after; null when there is none.
    #[serde(default)]
    pub agent_token: Option<Secret>,
    /// Whether heartbeats need it.
    #[serde(default)]
    pub agent_token_required: bool,
    /// Whether an MD5 is accepted as an image's checksum.
    #[serde(default)]
    pub agent_md5_checksum_enable: bool,
    /// Ignored: this agent always looks.
    #[serde(default)]
    pub disable_deep_image_inspection: bool,
    /// Formats that may be written. Empty: no restriction was sent.
    #[serde(default)]
    pub permitted_image_formats: Vec<String>,
    /// The BMC is known already.
    #[serde(default)]
    pub agent_skip_bmc_detect: bool,
    /// Whether an image's own boot loader installer may be run. Ours never is.
    #[serde(default)]
    pub enable_bios_bootloader_install: bool,
    /// `1.2` or `1.3`.
    #[serde(default)]
    pub tls_min_version: Option<String>,
    /// OpenSSL names, for TLS 1.2.
    #[serde(default)]
    pub tls_cipher_suites: Option<String>,
}

/// Where IPA sends its metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// `noop` or `statsd`.
    pub backend: String,
    /// Name prefix.
    pub prepend_host: bool,
    /// Name prefix.
    pub prepend_uuid: bool,
    /// Name prefix.
    pub prepend_host_reverse: bool,
    /// Name prefix.
    pub global_prefix: Option<String>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            backend: "noop".to_owned(),
            prepend_host: false,
            prepend_uuid: false,
            prepend_host_reverse: true,
            global_prefix: None,
        }
    }
}

/// Where IPA's statsd is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsStatsd {
    /// Host.
    pub statsd_host: String,
    /// Port.
    pub statsd_port: u16,
}

impl Default for MetricsStatsd {
    fn default() -> Self {
        Self { statsd_host: "localhost".to_owned(), statsd_port: 8125 }
    }
}

/// What IPA may run in containers. Nothing, unless somebody says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentContainers {
    /// Any container.
    pub allow_arbitrary_containers: bool,
    /// These containers.
    pub allowed_containers: Vec<String>,
    /// Where their steps are described.
    pub container_steps_file: String,
    /// `podman` or `docker`.
    pub runner: String,
    /// Arguments.
    pub pull_options: Vec<String>,
    /// Arguments.
    pub run_options: Vec<String>,
}

impl Default for AgentContainers {
    fn default() -> Self {
        Self {
            allow_arbitrary_containers: false,
            allowed_containers: Vec::new(),
            container_steps_file: "/etc/ironic-python-agent.d/mysteps.yaml".to_owned(),
            runner: "podman".to_owned(),
            pull_options: Vec::new(),
            run_options: vec!["--rm".to_owned(), "--network=host".to_owned()],
        }
    }
}

/// What is posted to `/v1/heartbeat/{node}`. Every field is optional here,
/// because it is the server that says which one is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Where the agent's API is. Since 1.22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// The token of the lookup. Since 1.62.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_token: Option<Secret>,
    /// Any non-empty text. Since 1.36.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// PEM of the certificate the agent's API shows. Since 1.68.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_verify_ca: Option<String>,
    /// `start`, `end` or `error`. Since 1.72; Anaconda only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_status: Option<String>,
    /// Since 1.72; Anaconda only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_status_message: Option<String>,
}
