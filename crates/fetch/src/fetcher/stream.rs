//! The bytes of one image, in order, however many tries they take; and parts
//! of it before that.

use std::{io, pin::pin, sync::mpsc::SyncSender, time::Instant};

use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{Either, select},
};
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc::Receiver;

use super::{Batch, Fetcher, Live};
use crate::{
    answer::{self, Opened},
    error::FetchError,
    http::Command,
    mirrors::Validator,
    prefix::{Prefix, Repetition},
};

/// Bytes that go to the reader at once, when so many have come: a wake-up of
/// another thread costs as much as copying some KiB.
const BATCH: usize = 256 << 10;
/// Pieces that go at once, however small they are.
const BATCH_PIECES: usize = 64;
/// How many bytes that are known may come again for a new one.
const WORTH: u64 = 64;

impl Fetcher {
    /// Do what the reading side asks: parts, then everything from `live` on.
    pub(crate) async fn serve(
        mut self,
        mut opened: Opened,
        live: Live,
        commands: &mut Receiver<Command>,
        to: &SyncSender<io::Result<Batch>>,
    ) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Range { at, length, answer } => {
                    let part = self.part(&opened, at, length).await;
                    answer.send(part).ok();
                }
                Command::Stream => {
                    // No command follows, so that one is the reader going away.
                    let stream = pin!(self.stream(&mut opened, live, to));
                    if let Either::Left((end, _)) = select(stream, pin!(commands.recv())).await {
                        // A reader that is gone has failed, and says so itself.
                        to.send(end.map(|()| Batch::new()).map_err(io::Error::other)).ok();
                    }
                    return;
                }
            }
        }
    }

    /// Everything, in order, however many tries it takes.
    async fn stream(
        &mut self,
        opened: &mut Opened,
        live: Live,
        to: &SyncSender<io::Result<Batch>>,
    ) -> Result<(), FetchError> {
        self.mirrors.begin();
        self.mirrors.back_to(live.place);
        let mut known = Prefix::new(self.mirrors.current().validator == Validator::Absent);
        let mut next = Some(live);
        loop {
            let from = known.length();
            let again = next.as_ref().map_or(0, |live| live.skip);
            let outcome = match next.take() {
                Some(live) => self.pump(opened, live, &mut known, to).await,
                None => match self.resume(opened, from).await {
                    Ok(live) => {
                        next = Some(live);
                        continue;
                    }
                    Err(err) => Err(err),
                },
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(err) => self.failed(err, progress(known.length() - from, again)).await?,
            }
        }
    }

    /// An answer that goes on at byte `at`.
    async fn resume(&mut self, opened: &mut Opened, at: u64) -> Result<Live, FetchError> {
        let mirror = self.mirrors.current();
        let known = mirror.validator.clone();
        let ranged = at > 0 && mirror.ranges && known != Validator::Absent;
        let response = self.get(ranged.then_some((at, None))).await?;
        let now = answer::validator(response.headers());
        match response.status() {
            StatusCode::PARTIAL_CONTENT if ranged => {
                let range = answer::range(response.headers());
                let Some(range) = range.filter(|range| range.first == at) else {
                    return Err(self.no_range(at));
                };
                self.agree(opened, range.total)?;
                if response.content_length().is_some_and(|length| length != range.length()) {
                    return Err(self.nonsense("its body is not of the range's length"));
                }
                if known.differs(&now) {
                    return Err(self.changed());
                }
                self.remember(now);
                // The middle of an image may look like anything, a page too.
                Ok(Live { response, head: None, skip: 0, place: self.mirrors.place() })
            }
            StatusCode::OK => {
                self.agree(opened, response.content_length())?;
                // What a server without ranges answers, and one whose file is another now.
                if at > 0 && known.differs(&now) {
                    return Err(self.changed());
                }
                let mirror = self.mirrors.current_mut();
                mirror.ranges &= !ranged;
                if at == 0 || mirror.validator == Validator::Unseen {
                    mirror.validator = now;
                }
                self.live(response, at).await
            }
            StatusCode::RANGE_NOT_SATISFIABLE if ranged => Err(self.no_range(at)),
            _ => Err(self.refused(&response)),
        }
    }

    /// The length is what it was, or is known at last.
    fn agree(&self, opened: &mut Opened, length: Option<u64>) -> Result<(), FetchError> {
        match (opened.length, length) {
            (Some(known), Some(now)) if known != now => Err(self.changed()),
            (None, Some(_)) => {
                opened.length = length;
                Ok(())
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// The version that is being fetched stays the one it is.
    fn remember(&mut self, validator: Validator) {
        if self.mirrors.current().validator == Validator::Unseen {
            self.mirrors.current_mut().validator = validator;
        }
    }

    /// Pass on what `live` brings, but what is known.
    async fn pump(
        &mut self,
        opened: &Opened,
        live: Live,
        known: &mut Prefix,
        to: &SyncSender<io::Result<Batch>>,
    ) -> Result<(), FetchError> {
        let Live { mut response, mut head, skip, .. } = live;
        let mut again = known.again(skip);
        loop {
            let before = Instant::now();
            let piece = match head.take() {
                Some(piece) => piece,
                None => match self.piece(&mut response).await? {
                    Some(piece) => piece,
                    None => break,
                },
            };
            let waited = before.elapsed();
            let (batch, end) = gather(piece, &mut response);
            let came = batch.iter().map(|piece| piece.len() as u64).sum();
            let batch = known.extend(self.without(batch, &mut again)?, opened.length);
            let complete =
                opened.length.is_some_and(|length| known.length() >= length) && !again.is_skipping();
            let gone = !batch.is_empty() && to.send(Ok(batch)).is_err();
            if complete || gone {
                return Ok(());
            }
            if let Some(err) = end {
                return Err(self.broken(err));
            }
            self.judge(came, waited)?;
        }
        match opened.length {
            _ if again.is_skipping() => Err(self.changed()),
            Some(length) if known.length() < length => {
                Err(FetchError::Short { url: self.mirrors.told(), got: known.length(), length })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `batch` without what is known already.
    fn without(&self, batch: Batch, known: &mut Repetition) -> Result<Batch, FetchError> {
        let batch = known.skip(batch, |bytes| self.counters.refetched(bytes));
        if known.differs() { Err(self.changed()) } else { Ok(batch) }
    }

    /// A part out of order. `Unsupported` when the server has no ranges after all.
    async fn part(&mut self, opened: &Opened, at: u64, length: u64) -> io::Result<Vec<u8>> {
        self.mirrors.begin();
        loop {
            match self.try_part(opened, at, length).await {
                Ok(part) => return Ok(part),
                Err(err @ (FetchError::Nonsense { .. } | FetchError::NoRange { .. })) => {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, err));
                }
                Err(err) => self.failed(err, 0).await.map_err(io::Error::other)?,
            }
        }
    }

    async fn try_part(&mut self, opened: &Opened, at: u64, length: u64) -> Result<Vec<u8>, FetchError> {
        // Where comes from the image's own tables.
        let Some(last) = length.saturating_sub(1).checked_add(at) else {
            return Err(self.nonsense("the part asked for lies beyond what any file has"));
        };
        let mut response = self.get(Some((at, Some(last)))).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => (),
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.no_range(at)),
            _ => return Err(self.refused(&response)),
        }
        let range = answer::range(response.headers());
        let right = range.is_some_and(|range| {
            (range.first, range.last) == (at, last) && (range.total.is_none() || range.total == opened.length)
        });
        if !right {
            return Err(self.nonsense("it does not give the range asked for"));
        }
        self.remember(answer::validator(response.headers()));
        self.collect(&mut response, length).await
    }

    /// A body of `length` bytes.
    async fn collect(&mut self, response: &mut Response, length: u64) -> Result<Vec<u8>, FetchError> {
        let mut part = Vec::new();
        loop {
            let before = Instant::now();
            let Some(piece) = self.piece(response).await? else { break };
            part.extend_from_slice(&piece);
            if part.len() as u64 > length {
                return Err(self.nonsense("it sends more than it was asked for"));
            }
            self.judge(piece.len() as u64, before.elapsed())?;
        }
        if (part.len() as u64) < length {
            return Err(FetchError::Short { url: self.mirrors.told(), got: part.len() as u64, length });
        }
        Ok(part)
    }
}

/// What a try is taken to have brought: nothing, when it repeated `again` bytes
/// for hardly any new ones. A server that gives one more each time never ends.
fn progress(new: u64, again: u64) -> u64 {
    if new < again / WORTH { 0 } else { new }
}

/// `first` and what else has come meanwhile; and the error that came after it.
fn gather(first: Bytes, response: &mut Response) -> (Batch, Option<reqwest::Error>) {
    let mut bytes = first.len();
    let mut batch = vec![first];
    while bytes < BATCH && batch.len() < BATCH_PIECES {
        match response.chunk().now_or_never() {
            Some(Ok(Some(piece))) => {
                bytes += piece.len();
                batch.push(piece);
            }
            Some(Err(err)) => return (batch, Some(err)),
            Some(Ok(None)) | None => break,
        }
    }
    (batch, None)
}
