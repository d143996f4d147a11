//! Where images come from: HTTP(S) with mirrors, retries and resumption, as an
//! [`image::Source`]; registries; checksum files.

mod answer;
mod challenge;
pub mod checksum;
pub mod chunks;
mod client;
mod document;
mod error;
mod fetcher;
mod floor;
mod http;
mod mirrors;
pub mod oci;
mod prefix;
mod ranges;
mod request;
mod trust;

pub use document::{DocumentError, document};
pub use error::{FetchError, without_secrets};
pub use http::{HttpSource, OpenImageError};
pub use request::{Floor, Identity, Pace, Request};
pub use trust::{CA_BUNDLE, Trust};

#[cfg(test)]
mod nginx_tests;
