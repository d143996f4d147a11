//! Ironic's error body: JSON in a JSON string.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much of an unreadable body is quoted.
const QUOTE_CHARS: usize = 200;

/// `{"error_message": "<JSON>"}`. The inner JSON names the fault; it is kept as
/// the text that travels, so that what was received is what is sent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// The inner JSON.
    pub error_message: String,
}

impl ApiError {
    /// The caller's fault (4xx).
    #[must_use]
    pub fn client(faultstring: &str) -> Self {
        Self::fault("Client", faultstring)
    }

    /// The server's fault (5xx).
    #[must_use]
    pub fn server(faultstring: &str) -> Self {
        Self::fault("Server", faultstring)
    }

    fn fault(code: &str, faultstring: &str) -> Self {
        let text = Value::from(faultstring);
        // Ironic's spacing (Python's json.dumps): clients have been seen comparing text.
        Self {
            error_message: format!(
                "{{\"faultcode\": \"{code}\", \"faultstring\": {text}, \"debuginfo\": null}}"
            ),
        }
    }

    /// A routing or version error, which Ironic words differently.
    #[must_use]
    pub fn http(code: u16, title: &str, description: &str) -> Self {
        let (title, description) = (Value::from(title), Value::from(description));
        Self {
            error_message: format!(
                "{{\"code\": {code}, \"title\": {title}, \"description\": {description}}}"
            ),
        }
    }

    /// What the fault says, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let inner: Value = serde_json::from_str(&self.error_message).unwrap_or(Value::Null);
        ["faultstring", "description", "title"]
            .iter()
            .find_map(|key| inner.get(key)?.as_str())
            .unwrap_or(&self.error_message)
            .to_owned()
    }

    /// What an error body says, whatever it is: Ironic's JSON, or the beginning
    /// of a proxy's HTML.
    #[must_use]
    pub fn text_of(body: &[u8]) -> String {
        if let Ok(error) = serde_json::from_slice::<Self>(body) {
            return error.text();
        }
        let text = String::from_utf8_lossy(body);
        text.chars().filter(|c| !c.is_control()).take(QUOTE_CHARS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_json_in_json_with_ironics_spacing() {
        let error = ApiError::client("Node \"x\" was not found");
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"error_message":"{\"faultcode\": \"Client\", \"faultstring\": \"Node \\\"x\\\" was not found\", \"debuginfo\": null}"}"#
        );
        assert_eq!(error.text(), "Node \"x\" was not found");
        let refused = ApiError::http(406, "Not Acceptable", "Version 1.999 …");
        assert_eq!(refused.text(), "Version 1.999 …");
    }

    #[test]
    fn a_proxys_page_is_quoted_shortly() {
        let page = format!("<html>\n{}", "x".repeat(5000));
        let text = ApiError::text_of(page.as_bytes());
        assert!(text.starts_with("<html>x") && text.len() == QUOTE_CHARS, "{text}");
        assert_eq!(ApiError::text_of(b"{\"error_message\": \"plain\"}"), "plain");
    }
}
