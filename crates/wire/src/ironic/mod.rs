//! Ironic's REST API as far as both sides need it.

mod error;
mod node;
mod ramdisk;
mod version;

pub use error::ApiError;
pub use node::{
    Field, FieldError, Kind, NODE_FIELDS, NODE_SUMMARY, PORT_FIELDS, PORT_SUMMARY, check_fields, is_uuid,
    masked, with_defaults,
};
pub use ramdisk::{
    AgentContainers, Heartbeat, LookupConfig, LookupNode, LookupResponse, MASKED, Metrics, MetricsStatsd,
};
pub use version::{Microversion, ParseMicroversionError, Root, VersionDocument};
