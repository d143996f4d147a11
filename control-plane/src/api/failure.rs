//! Errors as Ironic words them: JSON in a JSON string.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use wire::ironic::ApiError;

use crate::{
    runner::HandleError,
    store::{ChangeError, StoreError},
};

/// Why a request is not served.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    body: ApiError,
}

impl Failure {
    /// The caller's fault: 4xx.
    pub fn client(status: StatusCode, words: &str) -> Self {
        Self { status, body: ApiError::client(words) }
    }

    /// 400 with these words.
    pub fn bad_request(words: impl AsRef<str>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, words.as_ref())
    }

    /// 409 with these words.
    pub fn conflict(words: impl AsRef<str>) -> Self {
        Self::client(StatusCode::CONFLICT, words.as_ref())
    }

    /// 404 in the words that tell nothing.
    pub fn not_found() -> Self {
        Self::client(StatusCode::NOT_FOUND, "Resource could not be found.")
    }

    /// 404 for a node somebody asked for by name.
    pub fn no_node(ident: &str) -> Self {
        Self::client(StatusCode::NOT_FOUND, &format!("Node {ident} could not be found."))
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let body = ApiError::http(405, "Method Not Allowed", "The method is not allowed for this resource.");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, body }
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        let words = format!("The request body is larger than {limit} bytes.");
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            body: ApiError::http(413, "Request Entity Too Large", &words),
        }
    }

    /// 409: somebody else is at it.
    pub fn locked(node: &str) -> Self {
        Self::conflict(format!(
            "Node {node} is locked by host billetd, please retry after the current operation is completed."
        ))
    }

    /// 406 and such, which Ironic words differently.
    pub fn http(status: StatusCode, description: &str) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status, body: ApiError::http(status.as_u16(), title, description) }
    }

    /// 500: ours.
    pub fn server(words: &str) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, body: ApiError::server(words) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Duplicate { .. } | StoreError::Contended { .. } => {
                Self::conflict(format!("{error}."))
            }
            StoreError::Open { .. }
            | StoreError::Migrate { .. }
            | StoreError::Query { .. }
            | StoreError::Corrupt { .. }
            | StoreError::OtherKey { .. }
            | StoreError::Countersign(_)
            | StoreError::Chain { .. } => {
                tracing::error!(error = crate::runner::chain(&error), "the store failed");
                Self::server(&error.to_string())
            }
        }
    }
}

impl From<ChangeError<Failure>> for Failure {
    fn from(error: ChangeError<Failure>) -> Self {
        match error {
            ChangeError::NoSuchNode { node } => Self::no_node(&node.to_string()),
            ChangeError::Refused(failure) => failure,
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<HandleError> for Failure {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::NoSuchNode { node } => Self::no_node(&node.to_string()),
            HandleError::Denied(denied) => Self::bad_request(denied.to_string()),
            HandleError::Store(error) => error.into(),
            HandleError::Stopping => {
                Self::client(StatusCode::SERVICE_UNAVAILABLE, "billetd is stopping; try again.")
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.body.text())
    }
}

impl std::error::Error for Failure {}
