//! HTTP basic authentication against an htpasswd file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::Engine as _;
use tokio::sync::Semaphore;

use super::{Api, Failure};
use crate::record::Token;

/// Headers whose password was checked once; bcrypt is slow by design.
const REMEMBERED: usize = 1024;
/// Passwords checked at the same time; the others wait.
const AT_ONCE: usize = 2;

/// Users and the bcrypt hashes of their passwords.
#[derive(Debug)]
pub struct Passwords {
    hashes: BTreeMap<String, String>,
    /// SHA-256 of `Authorization` values that were right.
    right: Mutex<BTreeSet<String>>,
    /// Who may compute a hash now: guessing must not take every processor.
    turns: Semaphore,
}

/// Why an htpasswd file is not used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It cannot be read.
    #[error("cannot read the htpasswd file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// A line is no user with a bcrypt hash.
    #[error("line {line} of the htpasswd is not USER:BCRYPT; make it with `htpasswd -nbB USER PASSWORD`")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Nobody could log in.
    #[error("the htpasswd file has no users; add one with `htpasswd -nbB USER PASSWORD`")]
    Empty,
}

impl Passwords {
    /// Read an htpasswd file.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn load(path: &Path) -> Result<Self, AuthError> {
        let text =
            std::fs::read_to_string(path).map_err(|err| AuthError::Read { path: path.to_owned(), err })?;
        Self::parse(&text)
    }

    /// Read the lines of an htpasswd file: `user:$2y$…`.
    ///
    /// # Errors
    /// [`AuthError`]: weaker hashes than bcrypt are refused.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let mut hashes = BTreeMap::new();
        for (line, content) in text.lines().enumerate() {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (user, hash) = content
                .split_once(':')
                .filter(|(user, hash)| !user.is_empty() && hash.starts_with("$2") && hash.len() == 60)
                .ok_or(AuthError::Line { line: line + 1 })?;
            hashes.insert(user.to_owned(), hash.to_owned());
        }
        if hashes.is_empty() {
            Err(AuthError::Empty)
        } else {
            Ok(Self { hashes, right: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
        }
    }

    /// Whether `authorization` is a `Basic` value of a known user. Slow the first
    /// time, quick ever after, however many others guess.
    async fn admits(self: Arc<Self>, authorization: String) -> bool {
        let fingerprint = Token::fingerprint(&authorization);
        if self.right().contains(&fingerprint) {
            return true;
        }
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let passwords = Arc::clone(&self);
        let verified = tokio::task::spawn_blocking(move || passwords.verify(&authorization)).await;
        let admitted = matches!(verified, Ok(Some(true)));
        if admitted {
            let mut right = self.right();
            if right.len() >= REMEMBERED {
                right.clear();
            }
            right.insert(fingerprint);
        }
        admitted
    }

    fn right(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify(&self, authorization: &str) -> Option<bool> {
        let (scheme, value) = authorization.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        bcrypt::verify(password, self.hashes.get(user)?).ok()
    }
}

/// What a ramdisk, a network card and a version discovery may ask without a password.
fn is_public(path: &str) -> bool {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let path = path.trim_end_matches('/');
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    matches!(path, "" | "/lookup" | "/continue_inspection" | "/boot.ipxe" | "/healthz")
        || below("/heartbeat")
        || below("/boot")
        || below("/ramdisk")
        || below("/images")
}

pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(passwords) = api.passwords.clone() else { return next.run(request).await };
    if is_public(request.uri().path()) {
        return next.run(request).await;
    }
    let header =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let admitted = match header {
        Some(value) => passwords.admits(value).await,
        None => false,
    };
    if admitted {
        return next.run(request).await;
    }
    let failure =
        Failure::http(StatusCode::UNAUTHORIZED, "This server could not verify that you are authorized.");
    ([(header::WWW_AUTHENTICATE, "Basic realm=\"Baremetal API\"")], failure).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_admitted() {
        let hash = bcrypt::hash("sesame", 4).expect("hashes");
        let passwords = Arc::new(Passwords::parse(&format!("# who\nadmin:{hash}\n")).expect("good"));
        let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        for (value, admitted) in [
            (basic("admin:sesame"), true),
            (basic("admin:sesame"), true),
            (basic("admin:Sesame"), false),
            (basic("root:sesame"), false),
            (basic("admin"), false),
            ("Bearer x".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(Arc::clone(&passwords).admits(value.clone()).await, admitted, "{value}");
        }
    }

    #[test]
    fn weak_or_broken_files_are_refused() {
        for text in ["", "admin:plain", "admin:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", ":$2y$", "nonsense"] {
            assert!(Passwords::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ramdisks_paths_are_public_and_nothing_else() {
        for path in [
            "/",
            "/v1",
            "/v1/",
            "/v1/lookup",
            "/lookup",
            "/v1/heartbeat/x",
            "/boot.ipxe",
            "/boot/m.ipxe",
            "/images/a",
        ] {
            assert!(is_public(path), "{path}");
        }
        for path in [
            "/v1/nodes",
            "/nodes",
            "/v1/heartbeat",
            "/v1/nodes/x/states",
            "/metrics",
            "/v1/lookups",
            "/bootx",
        ] {
            assert!(!is_public(path), "{path}");
        }
    }
}
