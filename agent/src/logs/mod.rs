//! What the agent tells: to the console as it happens, and from a bounded
//! memory to whoever collects the logs later.

mod archive;
mod collect;
mod kernel;
mod ring;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use collect::{Collected, collect};
pub(crate) use ring::RingLog;

/// Libraries that tell of every connection they keep. Ironic sets `ipa-debug`
/// whenever its own debug log is on, and a console is slow.
const CHATTY: [&str; 4] = ["hyper", "hyper_util", "reqwest", "rustls"];

/// Start logging: `info` and worse to standard error (the console of a
/// ramdisk), one level more to the ring.
pub(crate) fn start(debug: bool) -> RingLog {
    let ring = RingLog::default();
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let console = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_filter(ours(level));
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(ring.clone())
        .with_ansi(false)
        .with_filter(ours(LevelFilter::DEBUG));
    // A second start (tests, or a caller with a subscriber of its own) keeps the first.
    let _ = tracing_subscriber::registry().with(console).with(kept).try_init();
    ring
}

/// `level` for what we say, and no small talk of libraries.
fn ours(level: LevelFilter) -> Targets {
    let quiet = level.min(LevelFilter::INFO);
    Targets::new().with_default(level).with_targets(CHATTY.map(|library| (library, quiet)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn debugging_is_about_this_agent_and_not_about_connections() {
        let filter = ours(LevelFilter::DEBUG);
        for (target, level, told) in [
            ("billet_agent::lookup", Level::DEBUG, true),
            ("hyper_util::client::legacy::pool", Level::DEBUG, false),
            ("rustls::conn", Level::WARN, true),
        ] {
            assert_eq!(filter.would_enable(target, &level), told, "{target} {level}");
        }
    }
}
