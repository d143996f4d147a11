//! How to fetch, from the command line and the environment. Secrets come from
//! files or the environment, never from arguments.

use std::{env, fs, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fetch::{Identity, Request, Trust};
use model::Secret;

use super::{args::Network, failure::Failure};

/// A secret longer than this is something else.
const LONGEST_SECRET: u64 = 64 << 10;
/// The variable that may hold the whole value of an `Authorization` header.
const AUTHORIZATION: &str = "BILLET_AUTHORIZATION";

/// A request for `urls`.
///
/// # Errors
/// [`Failure`] when a secret cannot be read.
pub(super) fn request(network: &Network, urls: Vec<String>) -> Result<Request, Failure> {
    let trust = match (&network.ca_file, network.insecure) {
        (_, true) => Trust::Anybody,
        (Some(path), false) => Trust::Bundle(path.clone()),
        (None, false) => Trust::system(),
    };
    let mut request = Request::new(urls, trust);
    request.authorization = authorization(network)?;
    request.identity = network.client_cert.as_ref().map(|certificate| Identity {
        key: network.client_key.clone().unwrap_or_else(|| certificate.clone()),
        certificate: certificate.clone(),
    });
    request.proxies = match &network.proxy {
        Some(proxy) => (Some(proxy.clone()), Some(proxy.clone())),
        None => (variable("http_proxy"), variable("https_proxy")),
    };
    if network.proxy.is_none() {
        request.no_proxy = variable("no_proxy");
    }
    request.pace.total = network.max_time.map(Duration::from_secs);
    request.pace.retries = network.retries.unwrap_or(request.pace.retries);
    Ok(request)
}

/// A variable that is set to something, as curl looks for it: in small letters,
/// because `HTTP_PROXY` is what a web server sets for a client's `Proxy` header.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn authorization(network: &Network) -> Result<Option<Secret>, Failure> {
    let read = |path: &Path, as_value: fn(&str) -> String| {
        secret(path).map(|text| Some(Secret::new(as_value(text.expose()))))
    };
    if let Some(path) = &network.authorization_file {
        read(path, str::to_owned)
    } else if let Some(path) = &network.bearer_file {
        read(path, |token| format!("Bearer {token}"))
    } else if let Some(path) = &network.basic_file {
        read(path, |pair| format!("Basic {}", STANDARD.encode(pair)))
    } else {
        Ok(variable(AUTHORIZATION).map(Secret::new))
    }
}

/// The one line in the file at `path`.
fn secret(path: &Path) -> Result<Secret, Failure> {
    let refused = || Failure::Secret { path: path.to_owned() };
    let read = |err| Failure::Read { path: path.to_owned(), err };
    if fs::metadata(path).map_err(read)?.len() > LONGEST_SECRET {
        return Err(refused());
    }
    let text = fs::read_to_string(path).map_err(read)?;
    let line = text.trim();
    if line.is_empty() || line.contains(['\n', '\r']) { Err(refused()) } else { Ok(Secret::new(line)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network {
            ca_file: None,
            insecure: false,
            client_cert: None,
            client_key: None,
            authorization_file: None,
            bearer_file: None,
            basic_file: None,
            proxy: None,
            max_time: Some(90),
            retries: None,
        }
    }

    #[test]
    fn secrets_come_from_files_of_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (content, want) in
            [("u:p\n", Some("Basic dTpw")), ("  u:p", Some("Basic dTpw")), ("", None), ("u:p\nX: y", None)]
        {
            fs::write(&path, content).unwrap();
            let network = Network { basic_file: Some(path.clone()), ..network() };
            let found = request(&network, Vec::new()).map(|request| request.authorization);
            assert_eq!(found.ok().flatten().map(|value| value.expose().to_owned()).as_deref(), want);
        }
        fs::write(&path, "t").unwrap();
        let bearer = Network { bearer_file: Some(path), ..network() };
        let found = request(&bearer, Vec::new()).unwrap();
        assert_eq!(found.authorization, Some(Secret::new("Bearer t")));
        assert_eq!(found.pace.total, Some(Duration::from_secs(90)));
    }
}
