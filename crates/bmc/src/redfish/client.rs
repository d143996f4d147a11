//! HTTP to a controller: credentials, time, size and tries, all bounded.

use std::time::Duration;

use model::Secret;
use reqwest::{Method, Response, StatusCode, Url, header, redirect};
use serde_json::{Value, json};

use super::{
    Timings,
    resource::{message, shorten},
};
use crate::{
    BmcError, ConfigError,
    config::{Auth, Settings, Verify, is_local_path},
};

/// The largest answer read. ComputerSystem resources are some 20 KiB.
const BODY_LIMIT: usize = 1 << 20;
/// The largest file of trusted certificates, in bytes; a distribution's whole bundle is some 200 KiB.
const CERTIFICATES_LIMIT: u64 = 4 << 20;
/// Redirects followed, on the same service only.
const REDIRECT_LIMIT: usize = 3;
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// The connection settings of one service.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    address: Url,
    user: Option<(String, Secret)>,
    auth: Auth,
    timings: Timings,
}

impl Client {
    pub(super) fn new(settings: Settings, timings: Timings) -> Result<Self, ConfigError> {
        // reqwest takes the process's TLS provider; an earlier one stays, and serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .connect_timeout(timings.connect)
            .timeout(timings.request)
            .redirect(redirect::Policy::custom(follow_at_home))
            .no_proxy();
        let builder = match &settings.verify {
            _ if settings.address.scheme() == "http" => builder.tls_certs_only([]),
            Verify::System => builder,
            Verify::Off => builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true),
            Verify::File(path) => builder.tls_certs_only(certificates(path)?),
        };
        let http = builder.build().map_err(|err| ConfigError::Client { err })?;
        Ok(Self { http, address: settings.address, user: settings.user, auth: settings.auth, timings })
    }

    /// Begin an operation. With session authentication this logs in, and
    /// [`Visit::leave`] logs out: controllers have few sessions to give.
    pub(super) async fn visit(&self) -> Result<Visit<'_>, BmcError> {
        let mut visit = Visit { client: self, session: None };
        if self.auth == Auth::Session {
            visit.log_in().await?;
        }
        Ok(visit)
    }
}

fn follow_at_home(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let home = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if home && attempt.previous().len() <= REDIRECT_LIMIT { attempt.follow() } else { attempt.stop() }
}

fn certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, ConfigError> {
    let bad =
        |err: Box<dyn std::error::Error + Send + Sync>| ConfigError::CaFile { path: path.to_owned(), err };
    let metadata = std::fs::metadata(path).map_err(|err| bad(err.into()))?;
    // A user of the API names the file: a device or a pipe would have no end.
    if !metadata.is_file() || metadata.len() > CERTIFICATES_LIMIT {
        return Err(bad(format!("not a file of at most {CERTIFICATES_LIMIT} bytes").into()));
    }
    let pem = std::fs::read(path).map_err(|err| bad(err.into()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|err| bad(err.into()))?;
    if found.is_empty() { Err(bad("no certificate in it".into())) } else { Ok(found) }
}

#[derive(Debug)]
struct Session {
    token: Secret,
    path: Option<String>,
}

/// One operation's worth of requests.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    client: &'a Client,
    session: Option<Session>,
}

struct Answer {
    status: StatusCode,
    etag: Option<String>,
    location: Option<String>,
    token: Option<String>,
    body: Vec<u8>,
}

/// Whether a request may be sent again after an answer that leaves its effect open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Safe,
    /// A reset: only when it certainly did not arrive, or the service said 503.
    Unsafe,
}

struct Request<'a> {
    method: Method,
    path: &'a str,
    etag: Option<&'a str>,
    body: Option<&'a Value>,
    repeat: Repeat,
}

impl Request<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Visit<'_> {
    /// A resource and its entity tag.
    pub(super) async fn get(&mut self, path: &str) -> Result<(Value, Option<String>), BmcError> {
        let request = Request { method: Method::GET, path, etag: None, body: None, repeat: Repeat::Safe };
        let answer = self.authorised(&request).await?;
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body @ Value::Object(_)) => Ok((body, answer.etag)),
            Ok(_) | Err(_) => Err(BmcError::NotRedfish {
                what: request.name(),
                got: shorten(&String::from_utf8_lossy(&answer.body)).chars().take(120).collect(),
            }),
        }
    }

    /// Change a resource. Success is any 2xx; a 202 is a task that the caller sees the effect of.
    pub(super) async fn patch(
        &mut self,
        path: &str,
        etag: Option<&str>,
        body: &Value,
    ) -> Result<(), BmcError> {
        let request = Request { method: Method::PATCH, path, etag, body: Some(body), repeat: Repeat::Safe };
        self.authorised(&request).await.map(drop)
    }

    /// Call an action. Success as for [`patch`](Self::patch).
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Result<(), BmcError> {
        let request =
            Request { method: Method::POST, path, etag: None, body: Some(body), repeat: Repeat::Unsafe };
        self.authorised(&request).await.map(drop)
    }

    /// End the operation. A session that cannot be closed expires by itself.
    pub(super) async fn leave(self) {
        let Some(Session { path: Some(path), .. }) = &self.session else { return };
        let request =
            Request { method: Method::DELETE, path, etag: None, body: None, repeat: Repeat::Unsafe };
        if let Err(error) = self.send_once(&request).await {
            tracing::debug!(%error, "the BMC session stays open until it expires");
        }
    }

    /// Send, and log in once when basic authentication is refused.
    async fn authorised(&mut self, request: &Request<'_>) -> Result<Answer, BmcError> {
        let answer = self.send(request).await?;
        let may_log_in =
            self.client.auth == Auth::Auto && self.session.is_none() && self.client.user.is_some();
        let answer = if answer.status == StatusCode::UNAUTHORIZED && may_log_in {
            self.log_in().await?;
            self.send(request).await?
        } else {
            answer
        };
        self.judge(request, answer)
    }

    fn judge(&self, request: &Request<'_>, answer: Answer) -> Result<Answer, BmcError> {
        let status = answer.status.as_u16();
        match status {
            200..=299 => Ok(answer),
            401 | 403 => Err(BmcError::Unauthorized { what: request.name(), status }),
            300..=399 => Err(BmcError::NotRedfish {
                what: request.name(),
                got: format!("a redirect ({status}) to another place"),
            }),
            _ => Err(BmcError::Refused {
                what: request.name(),
                status,
                message: self.without_password(message(&answer.body)),
            }),
        }
    }

    /// Controllers have been seen to echo a request in their error.
    fn without_password(&self, message: String) -> String {
        match &self.client.user {
            Some((_, password)) => message.replace(password.expose(), "******"),
            None => message,
        }
    }

    async fn log_in(&mut self) -> Result<(), BmcError> {
        let Some((name, password)) = &self.client.user else { return Ok(()) };
        let body = json!({ "UserName": name, "Password": password.expose() });
        let request = Request {
            method: Method::POST,
            path: SESSIONS,
            etag: None,
            body: Some(&body),
            repeat: Repeat::Unsafe,
        };
        let answer = self.send(&request).await?;
        // Services without a session service answer 404 or 405: the credentials were refused before that.
        if matches!(answer.status.as_u16(), 400..=499) {
            let status = answer.status.as_u16();
            return Err(BmcError::Unauthorized { what: request.name(), status });
        }
        let answer = self.judge(&request, answer)?;
        let Some(token) = answer.token else {
            return Err(BmcError::NotRedfish {
                what: request.name(),
                got: "a session without X-Auth-Token".into(),
            });
        };
        self.session = Some(Session { token: Secret::new(token), path: answer.location });
        Ok(())
    }

    /// Send with bounded tries.
    async fn send(&self, request: &Request<'_>) -> Result<Answer, BmcError> {
        let mut pause = self.client.timings.backoff;
        let mut left = self.client.timings.tries.max(1);
        loop {
            left -= 1;
            let outcome = self.send_once(request).await;
            if left == 0 || !worth_repeating(&outcome, request.repeat) {
                return outcome;
            }
            tracing::debug!(request = request.name(), tries_left = left, "asking the BMC again");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Answer, BmcError> {
        let limit = self.client.timings.request;
        let failed = |err: reqwest::Error| failure(request.name(), limit, err);
        let mut url = self.client.address.clone();
        url.set_path(request.path);
        let mut builder = self.client.http.request(request.method.clone(), url.clone());
        builder = builder.header("OData-Version", "4.0").header(header::ACCEPT, "application/json");
        if let Some(etag) = request.etag {
            builder = builder.header(header::IF_MATCH, etag);
        }
        if let Some(body) = request.body {
            builder = builder.json(body);
        }
        builder = match (&self.session, &self.client.user) {
            (Some(session), _) => builder.header("X-Auth-Token", session.token.expose()),
            (None, Some((name, password))) if self.client.auth != Auth::Session => {
                builder.basic_auth(name, Some(password.expose()))
            }
            (None, Some(_) | None) => builder,
        };
        let response = builder.send().await.map_err(failed)?;
        if request.method != Method::GET && response.url() != &url {
            // A redirected POST arrives as a GET: its 200 would mean nothing.
            return Err(BmcError::NotRedfish {
                what: request.name(),
                got: format!("a redirect to {}", response.url()),
            });
        }
        read(response, request.name(), failed).await
    }
}

async fn read(
    mut response: Response,
    what: String,
    failed: impl Fn(reqwest::Error) -> BmcError,
) -> Result<Answer, BmcError> {
    let text = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let (etag, token) = (text("etag"), text("x-auth-token"));
    let location = text("location").and_then(|place| local_part(&place));
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(&failed)? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(BmcError::TooLarge { what, limit: BODY_LIMIT });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, etag, location, token, body })
}

/// A session's Location is a path or a full URL; only its path is used.
fn local_part(place: &str) -> Option<String> {
    let path = Url::parse(place).map_or_else(|_| place.to_owned(), |url| url.path().to_owned());
    is_local_path(&path).then_some(path)
}

fn worth_repeating(outcome: &Result<Answer, BmcError>, repeat: Repeat) -> bool {
    match outcome {
        Ok(answer) if repeat == Repeat::Safe => answer.status.is_server_error(),
        Ok(answer) => answer.status == StatusCode::SERVICE_UNAVAILABLE,
        Err(BmcError::Unreachable { err, .. }) => repeat == Repeat::Safe || err.is_connect(),
        Err(BmcError::TimedOut { .. }) => repeat == Repeat::Safe,
        Err(
            BmcError::Unauthorized { .. }
            | BmcError::Refused { .. }
            | BmcError::NotRedfish { .. }
            | BmcError::TooLarge { .. }
            | BmcError::WhichSystem { .. }
            | BmcError::Unsupported { .. },
        ) => false,
    }
}

fn failure(what: String, after: Duration, err: reqwest::Error) -> BmcError {
    if err.is_timeout() && !err.is_connect() {
        BmcError::TimedOut { what, after }
    } else {
        BmcError::Unreachable { what, err }
    }
}
