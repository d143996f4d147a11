//! Ironic's REST API as far as both sides need it.

mod error;
mod ramdisk;
mod version;

pub use error::ApiError;
pub use ramdisk::{
    AgentContainers, Heartbeat, LookupConfig, LookupNode, LookupResponse, MASKED, Metrics, MetricsStatsd,
};
pub use version::{Microversion, ParseMicroversionError, Root, VersionDocument};
