//! Where images come from: HTTP(S) with mirrors, retries and resumption, as an
//! [`image::Source`].

pub mod checksum;
mod fetcher;
mod http;
mod ranges;
mod request;
mod trust;

pub use fetcher::{FetchError, without_secrets};
pub use http::{HttpSource, OpenImageError};
pub use request::{Floor, Identity, Pace, Request};
pub use trust::{CA_BUNDLE, Trust};
