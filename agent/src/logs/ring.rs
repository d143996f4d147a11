//! The log as the agent remembers it: the newest lines, within a limit.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// How much is remembered. A guest may have 256 MiB in all.
const MAX_BYTES: usize = 1 << 20;

/// A log that forgets its oldest lines.
#[derive(Clone, Default)]
pub(crate) struct RingLog(Arc<Mutex<VecDeque<u8>>>);

impl RingLog {
    /// Everything remembered, oldest first, from the beginning of a line.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn push(&self, line: &[u8]) {
        let line = &line[..line.len().min(MAX_BYTES)];
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = (kept.len() + line.len()).saturating_sub(MAX_BYTES);
        if excess > 0 {
            let whole_lines = kept.iter().skip(excess - 1).position(|byte| *byte == b'\n');
            let cut = whole_lines.map_or(kept.len(), |rest| (excess + rest).min(kept.len()));
            kept.drain(..cut);
        }
        kept.extend(line);
    }
}

impl io::Write for &RingLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RingLog {
    type Writer = &'a RingLog;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_whole() {
        let ring = RingLog::default();
        for number in 0..200_000 {
            ring.push(format!("line {number}\n").as_bytes());
        }
        let text = ring.text();
        assert!(text.len() <= MAX_BYTES && text.len() > MAX_BYTES - 64, "{}", text.len());
        assert!(text.starts_with(b"line ") && text.ends_with(b"line 199999\n"));
        ring.push(&vec![b'x'; 2 * MAX_BYTES]);
        assert_eq!(ring.text().len(), MAX_BYTES);
    }
}
