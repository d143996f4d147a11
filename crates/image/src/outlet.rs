//! Where decoders send what they find.

use std::sync::{
    Arc,
    mpsc::{SendError, SyncSender, TrySendError},
};

use disk::Pool;

use crate::{
    decode::Decoded,
    meter::{Meter, Meters, Part},
};

/// The decoder's end of the channel to the writer, with what decoders need on
/// the way. Clones, for threads of a decoder, lead to the same writer.
#[derive(Clone)]
pub(crate) struct Outlet {
    to: SyncSender<Decoded>,
    meters: Arc<Meters>,
    pool: Pool,
}

impl Outlet {
    pub(crate) fn new(to: SyncSender<Decoded>, meters: Arc<Meters>, pool: Pool) -> Self {
        Self { to, meters, pool }
    }

    /// Hand `decoded` to the writer, when it has room.
    ///
    /// # Errors
    /// When the writer has stopped; it says why.
    pub(crate) fn send(&self, decoded: Decoded) -> Result<(), SendError<Decoded>> {
        match self.to.try_send(decoded) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(decoded)) => self.meter().waiting(|| self.to.send(decoded)),
            Err(TrySendError::Disconnected(decoded)) => Err(SendError(decoded)),
        }
    }

    /// Counts what decoding takes. The thread of the decoder is counted
    /// already; threads of its own wrap their work in
    /// [`busy`](Meter::busy) and announce themselves with
    /// [`add_threads`](Meter::add_threads).
    pub(crate) fn meter(&self) -> &Meter {
        self.meters.of(Part::Decode)
    }

    /// Buffers of [`CHUNK`](crate::extent::CHUNK) bytes to decode into. They
    /// hold leftovers, and go back by themselves.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }
}
