//! Why a controller did not do what it was asked.

use std::time::Duration;

/// Why a management controller did not answer, or said no. Never holds a password.
#[derive(Debug, thiserror::Error)]
pub enum BmcError {
    /// No answer at all, after every try.
    #[error("no connection to the BMC for {what}; check redfish_address, the network and the BMC itself")]
    Unreachable {
        /// Method and path.
        what: String,
        /// What the HTTP client met.
        #[source]
        err: reqwest::Error,
    },
    /// The controller took too long.
    #[error("the BMC did not finish {what} within {after:?}; it may be overloaded: try again, or reset it")]
    TimedOut {
        /// Method and path.
        what: String,
        /// The limit.
        after: Duration,
    },
    /// Wrong user or password, or not enough rights.
    #[error(
        "the BMC refuses the credentials for {what} ({status}); check redfish_username and redfish_password"
    )]
    Unauthorized {
        /// Method and path.
        what: String,
        /// HTTP status.
        status: u16,
    },
    /// The controller answered with an error.
    #[error("the BMC answered {status} to {what}: {message}")]
    Refused {
        /// Method and path.
        what: String,
        /// HTTP status.
        status: u16,
        /// The controller's own words (`@Message.ExtendedInfo`), shortened.
        message: String,
    },
    /// Something answered that is not a Redfish service.
    #[error("{what} got no Redfish answer but {got}; check redfish_address and redfish_system_id")]
    NotRedfish {
        /// Method and path.
        what: String,
        /// What came instead, shortened.
        got: String,
    },
    /// The answer is larger than any Redfish resource should be.
    #[error("the answer to {what} is larger than {limit} bytes; this is not a Redfish resource")]
    TooLarge {
        /// Method and path.
        what: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The service manages no or several systems and none was named.
    #[error("the BMC manages {} systems {members:?}; name one in redfish_system_id", members.len())]
    WhichSystem {
        /// Paths of the systems, at most a few.
        members: Vec<String>,
    },
    /// The controller has no such ability.
    #[error("the BMC cannot {wanted}; it offers {offered:?}")]
    Unsupported {
        /// What was wanted, in Redfish's words.
        wanted: String,
        /// What it offers instead.
        offered: Vec<String>,
    },
}

impl BmcError {
    /// Whether the same call may succeed later without anybody changing
    /// configuration: a busy, rebooting or unreachable controller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            BmcError::Unreachable { .. } | BmcError::TimedOut { .. } => true,
            BmcError::Refused { status, .. } => *status >= 500 || matches!(status, 409 | 412 | 423 | 429),
            BmcError::Unauthorized { .. }
            | BmcError::NotRedfish { .. }
            | BmcError::TooLarge { .. }
            | BmcError::WhichSystem { .. }
            | BmcError::Unsupported { .. } => false,
        }
    }
}
