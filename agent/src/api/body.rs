//! Reading a request body, bounded in size and time.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
};
use futures_util::StreamExt;

use crate::command::Refused;

/// The largest body taken. The largest honest ones carry a config drive inline;
/// larger config drives come by URL.
const MAX_BODY: usize = 16 << 20;

/// How much of a refused body is read away, so that its sender, who is still
/// sending, gets to see the answer instead of a reset.
const MAX_DISCARDED: usize = 64 << 20;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The whole body.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, Refused> {
    match tokio::time::timeout(BODY_TIMEOUT, collect(request.into_body())).await {
        Ok(result) => result,
        Err(_) => Err(refused(400, "400 Bad Request: The request body did not arrive in time")),
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, Refused> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| refused(400, "400 Bad Request: The request body ended early"))?;
        if bytes.len() + chunk.len() > MAX_BODY {
            discard(stream).await;
            let text = format!("413 Request Entity Too Large: The body is larger than {MAX_BODY} bytes");
            return Err(refused(413, &text));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn discard(mut stream: BodyDataStream) {
    let mut left = MAX_DISCARDED;
    while let Some(Ok(chunk)) = stream.next().await {
        let Some(rest) = left.checked_sub(chunk.len()) else { return };
        left = rest;
    }
}

fn refused(status: u16, text: &str) -> Refused {
    Refused { status, faultstring: text.to_owned() }
}
