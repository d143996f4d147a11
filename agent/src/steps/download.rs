//! What to fetch and with which credentials, as `image_info` says it.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use model::Secret;
use wire::ipa::{ErrorClass, ImageInfo};

use super::Machine;
use crate::command::Failure;
use fetch::{HttpSource, Request, without_secrets};

/// Ironic's limit, in base64.
pub(super) const MAX_CONFIG_DRIVE: u64 = 90 << 20;

/// The request for the image.
pub(super) fn request(info: &ImageInfo, machine: &Machine) -> Result<Request, Failure> {
    let mut request = Request::new(info.urls.clone(), machine.trust.clone());
    request.authorization = authorization(info)?;
    request.proxies = proxies(info);
    request.no_proxy = info.no_proxy.clone();
    request.pace = machine.downloads;
    Ok(request)
}

/// A complete header value, or user and password.
fn authorization(info: &ImageInfo) -> Result<Option<Secret>, Failure> {
    if let Some(encoded) = &info.image_request_authorization {
        let malformed = || {
            let text = "image_request_authorization is not base64 of a header value";
            Failure::new(ErrorClass::InvalidCommandParams, text)
        };
        let bytes = STANDARD.decode(encoded.expose()).map_err(|_| malformed())?;
        return String::from_utf8(bytes).map(|value| Some(Secret::new(value))).map_err(|_| malformed());
    }
    Ok(
        match (
            info.image_server_auth_strategy.as_deref(),
            &info.image_server_user,
            &info.image_server_password,
        ) {
            (Some("http_basic"), Some(user), Some(password)) => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
            _ => None,
        },
    )
}

fn proxies(info: &ImageInfo) -> (Option<String>, Option<String>) {
    let proxy = |scheme: &str| info.proxies.as_ref().and_then(|proxies| proxies.get(scheme).cloned());
    (proxy("http"), proxy("https"))
}

/// The last component of the first URL's path: what checksum files list.
pub(super) fn file_name(urls: &[String]) -> String {
    let url = urls.first().and_then(|url| reqwest::Url::parse(url).ok());
    let last = url.and_then(|url| url.path_segments()?.next_back().map(str::to_owned));
    last.unwrap_or_default()
}

/// A whole small file.
pub(super) fn small(request: Request, limit: u64) -> Result<Vec<u8>, Failure> {
    let url = without_secrets(request.urls.first().map_or("", String::as_str));
    let fail = |text: String| Failure::new(ErrorClass::ImageDownload, format!("{url}: {text}"));
    let source = HttpSource::open(request).map_err(|err| fail(crate::command::chain(&err)))?;
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes).map_err(|err| fail(err.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(fail(format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(extra: serde_json::Value) -> ImageInfo {
        let mut info = json!({"id": "x", "urls": ["http://images.example.org/a/x.raw?y=z"]});
        info.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(info).unwrap()
    }

    #[test]
    fn credentials_are_taken_as_ironic_gives_them() {
        let basic = json!({"image_server_auth_strategy": "http_basic", "image_server_user": "u", "image_server_password": "p"});
        assert_eq!(authorization(&info(basic)).unwrap(), Some(Secret::new("Basic dTpw")));
        let bearer = json!({"image_request_authorization": STANDARD.encode("Bearer t")});
        assert_eq!(authorization(&info(bearer)).unwrap(), Some(Secret::new("Bearer t")));
        assert_eq!(authorization(&info(json!({}))).unwrap(), None);
        assert!(authorization(&info(json!({"image_request_authorization": "%"}))).is_err());
    }

    #[test]
    fn the_name_in_checksum_files_is_the_urls_last_part() {
        assert_eq!(file_name(&["http://h/a/x.raw?y=z".to_owned()]), "x.raw");
        assert_eq!(file_name(&[]), "");
    }
}
