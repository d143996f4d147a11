//! Request bodies: bounded in length and depth before anything looks inside.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::StatusCode,
};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::Failure;

/// Ironic's limit for most bodies.
pub(super) const SMALL: usize = 1 << 20;
/// Ironic's limit for inventories.
pub(super) const INVENTORY: usize = 16 << 20;
/// Ironic's limit where a config drive may travel.
pub(super) const CONFIG_DRIVE: usize = 64 << 20;
/// How much of a refused body is read and dropped, so that a client that sends
/// before it reads sees the answer and not a broken connection.
const DRAIN_LIMIT: usize = 64 << 20;
/// How long a body may take: the largest one at 5 Mbit/s.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Ironic's limit of nesting.
const DEPTH_LIMIT: usize = 25;

/// A JSON body of at most `LIMIT` bytes.
pub(super) struct Json<const LIMIT: usize>(pub(super) Value);

impl<const LIMIT: usize> Json<LIMIT> {
    /// The body as an object.
    pub(super) fn object(self) -> Result<Map<String, Value>, Failure> {
        match self.0 {
            Value::Object(map) => Ok(map),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Failure::bad_request("The request body is not a JSON object."))
            }
        }
    }
}

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for Json<LIMIT> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let read = tokio::time::timeout(READ_TIMEOUT, read(request.into_body(), LIMIT)).await;
        let bytes = read.map_err(|_| {
            let words = format!("The request body did not come within {} s.", READ_TIMEOUT.as_secs());
            Failure::http(StatusCode::REQUEST_TIMEOUT, &words)
        })??;
        if depth(&bytes) > DEPTH_LIMIT {
            return Err(Failure::bad_request(format!(
                "The request body is nested deeper than {DEPTH_LIMIT} levels."
            )));
        }
        serde_json::from_slice(&bytes)
            .map(Json)
            .map_err(|error| Failure::bad_request(format!("The request body is not JSON: {error}")))
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Failure> {
    let mut stream = body.into_data_stream();
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| Failure::bad_request(format!("The request body broke off: {error}")))?;
        length += chunk.len();
        if length > DRAIN_LIMIT.max(limit) {
            break;
        }
        if length <= limit {
            kept.extend_from_slice(&chunk);
        }
    }
    if length > limit { Err(Failure::too_large(limit)) } else { Ok(kept.into()) }
}

/// How deep brackets nest, strings aside; counts before any parser allocates.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_and_not_text() {
        assert_eq!(depth(br#"{"a": [1, {"b": "[[[[\"[["}]}"#), 3);
        assert_eq!(depth(&vec![b'['; 100_000]), 100_000);
        assert_eq!(depth(b""), 0);
    }
}
