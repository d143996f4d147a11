//! How a failed command is told: a class the conductor knows, and the whole
//! chain of causes for the person who must act.

use std::error::Error;

use serde_json::Value;
use wire::ipa::{CommandError, ErrorClass};

/// A command that ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What a conductor decides by.
    pub(crate) class: ErrorClass,
    /// What failed, on what, and what to do.
    pub(crate) details: String,
    /// What was achieved all the same: evidence of the disks that are clean
    /// when another is not. Travels as the command's result.
    pub(crate) result: Option<Value>,
}

impl Failure {
    /// A failure told in words.
    pub(crate) fn new(class: ErrorClass, details: impl Into<String>) -> Self {
        Self { class, details: details.into(), result: None }
    }

    /// A failure told by an error and all its causes.
    pub(crate) fn of(class: ErrorClass, error: &dyn Error) -> Self {
        Self::new(class, chain(error))
    }

    /// A failure that leaves `result`.
    pub(crate) fn with_result(self, result: Value) -> Self {
        Self { result: Some(result), ..self }
    }

    /// As it travels.
    pub(crate) fn on_the_wire(&self) -> CommandError {
        CommandError::new(self.class, self.details.clone())
    }
}

/// An error and its causes in one line: `outer: middle: root`.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some libraries repeat their source in Display; saying it twice helps nobody.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
