//! Where images come from: HTTP(S) with mirrors, retries and resumption.

mod fetch;
mod http;
mod ranges;

pub(crate) use fetch::without_secrets;
pub(crate) use http::{HttpSource, OpenImageError, Pace, Request};
