//! A registry's `401`: what it wants, and getting it.
//!
//! `WWW-Authenticate: Bearer realm="https://auth…",service="…",scope="…"` names
//! where tokens are made (the distribution specification's token dance);
//! `Basic` wants user and password themselves.

use model::Secret;
use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;

/// The longest answer of a token service, in bytes.
const LONGEST_TOKEN: usize = 64 << 10;

/// What a server wants to know of us.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    /// User and password.
    Basic,
    /// A token from `realm`, and what to say there.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it does not say where tokens are made; check the credentials")]
    NoChallenge,
    #[error("it wants a user and a password, and none are given")]
    NoPassword,
    #[error("the credentials given are not accepted; check them")]
    Rejected,
    #[error("tokens are said to be made at {0}, which is not as safe as the registry")]
    Unsafe(String),
    #[error("the token service does not answer: {0}")]
    Ask(reqwest::Error),
    #[error("the token service answers {0}")]
    Status(reqwest::StatusCode),
    #[error("the token service's answer is not a token")]
    NoToken,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What to send as `Authorization` after `refusal`; `given` are user and
/// password as a `Basic` value, for registries that are not for everybody.
///
/// # Errors
/// [`TokenError`].
pub(crate) async fn answer(
    client: &Client,
    refusal: Response,
    given: Option<&Secret>,
) -> Result<HeaderValue, TokenError> {
    let registry = refusal.url().clone();
    let challenge = challenge(refusal.headers()).ok_or(TokenError::NoChallenge)?;
    drop(refusal);
    if given.is_some_and(is_bearer) {
        return Err(TokenError::Rejected);
    }
    let given = given.and_then(|given| secret(given.expose()));
    match challenge {
        Challenge::Basic => given.ok_or(TokenError::NoPassword),
        Challenge::Bearer { realm, service, scope } => {
            let url = token_url(&registry, &realm, service.as_deref(), scope.as_deref())?;
            ask(client, url, given).await
        }
    }
}

async fn ask(client: &Client, url: Url, given: Option<HeaderValue>) -> Result<HeaderValue, TokenError> {
    let mut get = client.get(url);
    if let Some(given) = given {
        get = get.header(AUTHORIZATION, given);
    }
    let fail = |err: reqwest::Error| TokenError::Ask(err.without_url());
    let mut response = get.send().await.map_err(fail)?;
    if !response.status().is_success() {
        return Err(TokenError::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(fail)? {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_TOKEN {
            return Err(TokenError::NoToken);
        }
    }
    let token: Token = serde_json::from_slice(&body).map_err(|_| TokenError::NoToken)?;
    let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
    token.and_then(|token| secret(&format!("Bearer {token}"))).ok_or(TokenError::NoToken)
}

/// Where to ask. Passwords go there, so it must be no less safe than the registry.
fn token_url(
    registry: &Url,
    realm: &str,
    service: Option<&str>,
    scope: Option<&str>,
) -> Result<Url, TokenError> {
    let refused = || TokenError::Unsafe(crate::without_secrets(realm));
    let mut url = Url::parse(realm).map_err(|_| refused())?;
    let safe = url.scheme() == "https" || (url.scheme() == "http" && registry.scheme() == "http");
    if !safe {
        return Err(refused());
    }
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    if let Some(scope) = scope {
        query.append_pair("scope", scope);
    }
    drop(query);
    Ok(url)
}

/// Whether `given` is a token already.
pub(crate) fn is_bearer(given: &Secret) -> bool {
    given.expose().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("Bearer "))
}

/// `text` as the value of a header that nothing shows.
pub(crate) fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What is wanted: a token, if one will do.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let given = || headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    given().find_map(bearer).or_else(|| {
        let basic = |text: &str| text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("Basic"));
        given().any(basic).then_some(Challenge::Basic)
    })
}

/// `Bearer name="value",…`.
fn bearer(text: &str) -> Option<Challenge> {
    let (scheme, mut rest) = text.trim_start().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    while let Some((name, value, left)) = parameter(rest) {
        match &*name.to_ascii_lowercase() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            "scope" => scope = Some(value),
            _ => (),
        }
        rest = left;
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

/// `name=value` or `name="value"`, RFC 9110 §5.6.4, and what follows it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.trim_start_matches([' ', '\t', ',']).split_once('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return Some((name.trim(), rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name.trim(), value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        for (given, want) in [
            (
                &[
                    r#"Bearer realm="https://a/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                ][..],
                bearer("https://a/token", Some("registry.docker.io"), Some("repository:a/b:pull,push")),
            ),
            (&[r#"bearer realm="a\"b", error=x , scope=s"#], bearer("a\"b", None, Some("s"))),
            (&["Basic realm=\"x\"", "Bearer realm=\"y\""], bearer("y", None, None)),
            (&["Basic realm=\"x\""], Some(Challenge::Basic)),
            (&["Bearer service=\"x\""], None),
            (&["Bearer realm=\"unclosed"], None),
            (&["Negotiate"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for text in given {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(text).expect("a header"));
            }
            assert_eq!(challenge(&headers), want, "{given:?}");
        }
    }

    #[test]
    fn passwords_go_to_no_less_safe_a_place() {
        for (registry, realm, want) in [
            ("https://r/v2/", "https://auth/token?x=1", Some("https://auth/token?x=1&service=s&scope=a+b")),
            ("http://r/v2/", "http://r/token", Some("http://r/token?service=s&scope=a+b")),
            ("https://r/v2/", "http://auth/token", None),
            ("http://r/v2/", "file:///etc/passwd", None),
            ("http://r/v2/", "/token", None),
        ] {
            let registry = Url::parse(registry).expect("a URL");
            let url = token_url(&registry, realm, Some("s"), Some("a b")).ok();
            assert_eq!(url.as_ref().map(Url::as_str), want, "{realm}");
        }
    }
}
