//! The agent's API on port 9999: Ironic's paths, texts and codes.
//!
//! Every command path needs the token, from the first request on, and it is
//! checked before a byte of the body is read.

mod body;
mod documents;
mod listener;
mod serve;
mod token;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use model::Secret;
use serde_json::Value;
use wire::ipa::{CommandRequest, Commands, Fault};

pub(crate) use listener::TlsListener;
pub(crate) use serve::serve;

use crate::command::{Board, Mode, Refused};

/// What the API serves from.
pub(crate) struct Served<M: 'static> {
    /// The commands.
    pub(crate) board: Arc<Board<M>>,
    /// What every command path asks for. None: nobody may command this agent.
    pub(crate) token: Option<Secret>,
    /// When the agent started, in seconds since 1970.
    pub(crate) started_at: f64,
    /// Where the API is seen from outside, without a trailing slash.
    pub(crate) base: String,
}

/// Query parameters, as they come.
type Parameters = Query<HashMap<String, String>>;

/// The routes.
pub(crate) fn router<M: Send + 'static>(served: Arc<Served<M>>) -> Router {
    let commands = || get(list::<M>).post(submit::<M>);
    Router::new()
        .route("/", get(documents::root::<M>))
        .route("/v1", any(add_slash))
        .route("/v1/", get(documents::v1::<M>))
        .route("/v1/status", get(documents::status::<M>))
        .route("/status", get(documents::status::<M>))
        .route("/v1/commands", any(add_slash))
        .route("/commands", any(add_slash))
        .route("/v1/commands/", commands())
        .route("/commands/", commands())
        .route("/v1/commands/{id}", get(one::<M>))
        .route("/commands/{id}", get(one::<M>))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(axum::middleware::map_response(named))
        .with_state(served)
}

/// A fault as an answer.
fn fault(status: u16, text: impl Into<String>) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, Json(Fault::new(status, text))).into_response()
}

async fn named(mut response: Response) -> Response {
    let name = HeaderValue::from_static(concat!("billet-agent/", env!("CARGO_PKG_VERSION")));
    response.headers_mut().insert(header::SERVER, name);
    response
}

async fn list<M: Send>(State(served): State<Arc<Served<M>>>, Query(query): Parameters) -> Response {
    if let Err(refused) = token::check(served.token.as_ref(), &query) {
        return refused;
    }
    Json(Commands { commands: served.board.list() }).into_response()
}

async fn one<M: Send>(
    State(served): State<Arc<Served<M>>>,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Response {
    if let Err(refused) = token::check(served.token.as_ref(), &query) {
        return refused;
    }
    let found = if waits(&query) { served.board.ended(&id).await } else { served.board.find(&id) };
    match found {
        Some(result) => Json(result).into_response(),
        None => fault(404, format!("Not found: Command Result with id {id} not found.")),
    }
}

async fn submit<M: Send>(
    State(served): State<Arc<Served<M>>>,
    Query(query): Parameters,
    request: Request,
) -> Response {
    if let Err(refused) = token::check(served.token.as_ref(), &query) {
        return refused;
    }
    let command = match body::read(request).await.and_then(|bytes| command(&bytes)) {
        Ok(command) => command,
        Err(refused) => return fault(refused.status, refused.faultstring),
    };
    tracing::info!(name = command.name, "command");
    match served.board.submit(command) {
        Err(refused) => fault(refused.status, refused.faultstring),
        Ok((id, mode)) => answer(&served.board, &id, mode, waits(&query)).await,
    }
}

async fn answer<M: Send>(board: &Board<M>, id: &str, mode: Mode, wait: bool) -> Response {
    let result = if wait || mode == Mode::Sync { board.ended(id).await } else { board.find(id) };
    match result {
        Some(result) => Json(result).into_response(),
        None => fault(500, "Command execution failed: the command left the history before it ended"),
    }
}

/// `{"name": …, "params": {…}}`.
fn command(bytes: &[u8]) -> Result<CommandRequest, Refused> {
    let refused = |text: String| Refused { status: 400, faultstring: text };
    let body: Value = crate::json::parse(bytes)
        .map_err(|err| refused(format!("400 Bad Request: Failed to decode JSON object: {err}")))?;
    serde_json::from_value(body)
        .map_err(|_| refused("400 Bad Request: Missing or invalid name or params".to_owned()))
}

fn waits(query: &HashMap<String, String>) -> bool {
    query.get("wait").is_some_and(|wait| wait.eq_ignore_ascii_case("true"))
}

/// Canonical paths end in a slash; what lacks it is sent there, query and all.
async fn add_slash(uri: Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("{}/{query}", uri.path());
    let page = Html("<!doctype html>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n");
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)], page).into_response()
}

async fn not_found() -> Response {
    fault(
        404,
        "404 Not Found: The requested URL was not found on the server. If you entered the URL manually \
         please check your spelling and try again.",
    )
}

async fn not_allowed() -> Response {
    fault(405, "405 Method Not Allowed: The method is not allowed for the requested URL.")
}
