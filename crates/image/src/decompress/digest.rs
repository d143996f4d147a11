//! The digest of an image's content, made on a thread of its own.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

use disk::Buffer;
use model::{Algorithm, Digest};

use crate::{
    budget::DECODED,
    meter::{Meters, Part},
    tap,
};

/// A digest in the making. It ends with what it belongs to.
pub(super) struct Making {
    to: Option<SyncSender<Arc<Buffer>>>,
    thread: Option<JoinHandle<Vec<Digest>>>,
}

impl Making {
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(algorithm: Algorithm, meters: Arc<Meters>) -> io::Result<Self> {
        let (to, chunks) = sync_channel(DECODED);
        meters.of(Part::Hash).add_threads(1);
        let hash = move || tap::hash(&chunks, &[algorithm], meters.of(Part::Hash));
        Ok(Self { to: Some(to), thread: Some(Builder::new().name("content".into()).spawn(hash)?) })
    }

    /// What comes next in the content.
    pub(super) fn add(&self, chunk: &Arc<Buffer>) {
        // A thread that does not listen has panicked, which `finish` tells.
        self.to.iter().for_each(|to| drop(to.send(Arc::clone(chunk))));
    }

    /// There is no more.
    ///
    /// # Errors
    /// When the thread panicked.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        let digests = self.end().and_then(|thread| thread.join().ok());
        digests.and_then(|mut digests| digests.pop()).ok_or_else(|| io::Error::other("the hasher panicked"))
    }

    fn end(&mut self) -> Option<JoinHandle<Vec<Digest>>> {
        self.to = None;
        self.thread.take()
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.end().map(JoinHandle::join);
    }
}
