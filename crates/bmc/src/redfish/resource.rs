//! Picking links, lists and messages out of a resource that may be anything.

use serde_json::Value;

use crate::{BmcError, config::is_local_path};

/// How much of a controller's own words goes into an error.
const MESSAGE_LIMIT_CHARS: usize = 600;
/// How many values of a list are kept.
const LIST_LIMIT: usize = 64;

/// The path in `value`'s `@odata.id`.
pub(super) fn link(value: &Value, of: &str, want: &str) -> Result<String, BmcError> {
    local(value["@odata.id"].as_str(), of, want)
}

/// `path`, if it stays on this service; a link elsewhere would carry our credentials there.
pub(super) fn local(path: Option<&str>, of: &str, want: &str) -> Result<String, BmcError> {
    path.filter(|path| is_local_path(path)).map(str::to_owned).ok_or_else(|| BmcError::NotRedfish {
        what: format!("GET {of}"),
        got: format!("a resource without {want} on this service"),
    })
}

/// A list of texts; `None` when it is missing or empty.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let list: Vec<_> =
        value.as_array()?.iter().take(LIST_LIMIT).filter_map(|one| Some(one.as_str()?.to_owned())).collect();
    (!list.is_empty()).then_some(list)
}

/// What a Redfish error body says: the extended messages, else the short one,
/// else the beginning of whatever came.
pub(super) fn message(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => {
            let error = &json["error"];
            let extended: Vec<_> = [&error["@Message.ExtendedInfo"], &json["@Message.ExtendedInfo"]]
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .filter_map(|one| one["Message"].as_str().or(one["MessageId"].as_str()))
                .collect();
            match error["message"].as_str() {
                _ if !extended.is_empty() => extended.join("; "),
                Some(message) => message.to_owned(),
                None => json.to_string(),
            }
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    shorten(&text)
}

/// One line, without control characters, of bounded length.
pub(super) fn shorten(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT_CHARS).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "nothing".to_owned() } else { line }
}
