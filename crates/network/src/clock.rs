//! Asking a time server.

use std::time::{Duration, SystemTime};

use rsntp::{Config, SntpClient};

/// How long a time server may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Why a time server gave no time.
#[derive(Debug, thiserror::Error)]
#[error("time server {server} gave no time; check that it answers NTP")]
pub struct SntpError {
    server: String,
    #[source]
    err: Box<dyn std::error::Error + Send + Sync>,
}

/// The time according to `server` (`host` or `host:port`, port 123 by default),
/// asked once with SNTP. The answer is not authenticated.
///
/// # Errors
/// When it does not answer in 3 s, or nonsense.
pub fn sntp(server: &str) -> Result<SystemTime, SntpError> {
    let fail = |err: Box<dyn std::error::Error + Send + Sync>| SntpError { server: server.to_owned(), err };
    let client = SntpClient::with_config(Config::default().timeout(LIMIT));
    let answer = client.synchronize(server).map_err(|err| fail(Box::new(err)))?;
    answer.datetime().into_system_time().map_err(|err| fail(Box::new(err)))
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, net::UdpSocket, thread};

    use super::*;

    #[test]
    fn a_server_that_answers_nonsense_gives_no_time() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("bound").to_string();
        let answering = thread::spawn(move || {
            let (_, client) = server.recv_from(&mut [0; 128]).expect("a question");
            server.send_to(&[0; 48], client).expect("an answer");
        });
        let err = sntp(&address).expect_err("zeros are no time");
        assert!(err.to_string().contains(&address) && err.source().is_some());
        answering.join().expect("it answered");
    }
}
