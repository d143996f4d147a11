//! Which version of the API a request speaks, and the headers that say so.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use wire::ironic::Microversion;

use super::{Api, Failure};

/// The oldest version served, and what a request without a header speaks.
pub(super) const MINIMUM: Microversion = Microversion::v1(1);
/// The newest version served.
pub(super) const MAXIMUM: Microversion = Microversion::v1(110);

const USED: HeaderName = HeaderName::from_static("x-openstack-ironic-api-version");
const LOWEST: HeaderName = HeaderName::from_static("x-openstack-ironic-api-minimum-version");
const HIGHEST: HeaderName = HeaderName::from_static("x-openstack-ironic-api-maximum-version");
const GENERIC: HeaderName = HeaderName::from_static("openstack-api-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("openstack-request-id");

/// Find the version, refuse what is not served, and put the headers on every answer.
pub(super) async fn negotiate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let wanted = requested(request.headers());
    let mut response = match wanted {
        Ok(version) => {
            request.extensions_mut().insert(version);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    };
    let used = *response.extensions().get::<Microversion>().unwrap_or(&MINIMUM);
    let id = format!("req-{}", uuid::Uuid::new_v4());
    for (name, text) in [
        (LOWEST, MINIMUM.to_string()),
        (HIGHEST, MAXIMUM.to_string()),
        (USED, used.to_string()),
        (REQUEST_ID, id),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
    api.conductor.metrics().response(response.status().as_u16());
    response
}

fn requested(headers: &HeaderMap) -> Result<Microversion, Failure> {
    let text = headers.get(USED).and_then(|value| value.to_str().ok()).or_else(|| {
        let generic = headers.get(GENERIC)?.to_str().ok()?;
        generic.trim().strip_prefix("baremetal ")
    });
    let Some(text) = text.map(str::trim) else { return Ok(MINIMUM) };
    if text.eq_ignore_ascii_case("latest") {
        return Ok(MAXIMUM);
    }
    let version: Microversion = text.parse().map_err(|_| {
        Failure::http(StatusCode::NOT_ACCEPTABLE, &format!("Invalid API version {text:?}: want MAJOR.MINOR."))
    })?;
    if (MINIMUM..=MAXIMUM).contains(&version) {
        return Ok(version);
    }
    let part = if version.major == MINIMUM.major { "minor version" } else { "major version" };
    Err(Failure::http(
        StatusCode::NOT_ACCEPTABLE,
        &format!(
            "Version {version} was requested but the {part} is not supported by this service. The supported version range is: [{MINIMUM}, {MAXIMUM}]."
        ),
    ))
}
