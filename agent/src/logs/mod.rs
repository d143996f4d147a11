//! What the agent tells: to the console as it happens, and from a bounded
//! memory to whoever collects the logs later.

mod archive;
mod collect;
mod kernel;
mod ring;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use collect::{Collected, collect};
pub(crate) use ring::RingLog;

/// Start logging: `info` and worse to standard error (the console of a
/// ramdisk), one level more to the ring.
pub(crate) fn start(debug: bool) -> RingLog {
    let ring = RingLog::default();
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let console = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_filter(level);
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(ring.clone())
        .with_ansi(false)
        .with_filter(LevelFilter::DEBUG);
    // A second start (tests, or a caller with a subscriber of its own) keeps the first.
    let _ = tracing_subscriber::registry().with(console).with(kept).try_init();
    ring
}
