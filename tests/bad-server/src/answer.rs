//! Writing one answer, as an act says.

use std::io::{self, Write};

use crate::{Act, Content, File, Head, Length, Ranges, Seen, Validator, server::Shared};

/// How much of endless headers is sent to a client that never has enough.
pub(crate) const ENDLESS: usize = 64 << 20;
/// Bytes of a body that are written at once.
const PIECE: u64 = 64 << 10;
/// The boundary of a multipart answer.
const BOUNDARY: &str = "billet-part";

/// Bytes of the file: where they begin and how many there are.
#[derive(Clone, Copy)]
struct Part {
    at: u64,
    length: u64,
}

/// Answer `request` as `act` says.
pub(crate) fn answer(
    to: &mut dyn Write,
    file: Option<&File>,
    request: &Seen,
    act: &Act,
    shared: &Shared,
    number: usize,
) -> io::Result<()> {
    match (&act.head, file) {
        (Head::Silence, _) => Ok(()),
        (Head::Garbage, _) => to.write_all(&[0xff; 4096]),
        (Head::Endless, _) => endless(to),
        (Head::Status(status), _) => page(to, *status, act),
        (Head::Redirect(location), _) => page(to, 302, &act.clone().with("Location", location)),
        (_, None) => page(to, 404, act),
        (Head::Good | Head::Drip(_), Some(file)) => {
            let content = file.content(act);
            let (head, part) = plan(content, request, act);
            write_head(to, &head, act, shared)?;
            if request.method == "HEAD" {
                return Ok(());
            }
            Sender { to, content, act, shared, number, sent: 0 }.send(part)
        }
    }
}

fn endless(to: &mut dyn Write) -> io::Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\n")?;
    let line = format!("X-More: {}\r\n", "x".repeat(1000));
    for _ in 0..ENDLESS / line.len() {
        to.write_all(line.as_bytes())?;
    }
    Ok(())
}

fn page(to: &mut dyn Write, status: u16, act: &Act) -> io::Result<()> {
    let html = format!("<!DOCTYPE html><html><body>{status}</body></html>\n");
    let mut head = format!("HTTP/1.1 {status} Told\r\nContent-Type: text/html\r\nConnection: close\r\n");
    for (name, value) in &act.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{html}", html.len()));
    to.write_all(head.as_bytes())
}

fn write_head(to: &mut dyn Write, head: &str, act: &Act, shared: &Shared) -> io::Result<()> {
    let Head::Drip(pause) = act.head else { return to.write_all(head.as_bytes()) };
    for byte in head.as_bytes() {
        to.write_all(&[*byte])?;
        if shared.latch.closes_within(pause) {
            return Ok(());
        }
    }
    Ok(())
}

/// The head of the answer, and the part of the file that follows it.
fn plan(content: &Content, request: &Seen, act: &Act) -> (String, Part) {
    let total = content.length();
    let (status, part, mut headers) = match asked(request, act, total) {
        Asked::Everything => ("200 OK", Part { at: 0, length: total }, Vec::new()),
        Asked::Nothing => (
            "416 Range Not Satisfiable",
            Part { at: 0, length: 0 },
            vec![format!("Content-Range: bytes */{total}")],
        ),
        Asked::Part(part) => {
            let (part, headers) = partial(part, total, act);
            ("206 Partial Content", part, headers)
        }
    };
    if act.ranges != Ranges::Ignored {
        headers.push("Accept-Ranges: bytes".to_owned());
    }
    headers.extend(validators(act));
    headers.extend(length(part.length, act.length));
    headers.extend(act.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{}\r\n\r\n", headers.join("\r\n"));
    (head, part)
}

enum Asked {
    Everything,
    Part(Part),
    Nothing,
}

/// What the client gets of the file.
fn asked(request: &Seen, act: &Act, total: u64) -> Asked {
    let Some((first, last)) = request.range() else { return Asked::Everything };
    match act.ranges {
        Ranges::Ignored | Ranges::Forgotten => return Asked::Everything,
        Ranges::Unsatisfiable => return Asked::Nothing,
        Ranges::Good
        | Ranges::Other(_)
        | Ranges::Mislabelled(_)
        | Ranges::WrongTotal(_)
        | Ranges::Unlabelled
        | Ranges::Multipart
        | Ranges::IfRangeIgnored => {}
    }
    let if_range = request.header("if-range").filter(|_| act.ranges != Ranges::IfRangeIgnored);
    // A weak validator never matches here, RFC 9110 §13.1.5.
    let matches = |wanted: &str| strong(act).iter().any(|known| known == wanted);
    if if_range.is_some_and(|wanted| !matches(wanted)) {
        return Asked::Everything;
    }
    if first >= total || last.is_some_and(|last| last < first) {
        return Asked::Nothing;
    }
    let last = last.unwrap_or(u64::MAX).min(total - 1);
    Asked::Part(Part { at: first, length: last + 1 - first })
}

/// The part that is sent instead of `part`, and how it is labelled.
fn partial(part: Part, total: u64, act: &Act) -> (Part, Vec<String>) {
    let moved = |by: u64| {
        let at = (part.at + by).min(total - 1);
        Part { at, length: part.length.min(total - at) }
    };
    let label = |part: Part, total: u64| {
        vec![format!("Content-Range: bytes {}-{}/{total}", part.at, part.at + part.length - 1)]
    };
    match act.ranges {
        Ranges::Other(by) => (moved(by), label(moved(by), total)),
        Ranges::Mislabelled(by) => {
            let fits = part.at + by + part.length <= total;
            let at = if fits { part.at + by } else { part.at.saturating_sub(by) };
            (Part { at, ..part }, label(part, total))
        }
        Ranges::WrongTotal(by) => (part, label(part, total + by)),
        Ranges::Unlabelled => (part, Vec::new()),
        Ranges::Multipart => (part, vec![format!("Content-Type: multipart/byteranges; boundary={BOUNDARY}")]),
        Ranges::Good
        | Ranges::Ignored
        | Ranges::Forgotten
        | Ranges::Unsatisfiable
        | Ranges::IfRangeIgnored => (part, label(part, total)),
    }
}

/// What `If-Range` may name.
fn strong(act: &Act) -> Vec<String> {
    let date = format!("Sun, 22 Nov 2026 10:00:{:02} GMT", act.version);
    match act.validator {
        Validator::Strong => vec![format!("\"v{}\"", act.version), date],
        Validator::Same => vec!["\"v0\"".to_owned()],
        Validator::Date => vec![date],
        Validator::Weak | Validator::Nothing => Vec::new(),
    }
}

fn validators(act: &Act) -> Vec<String> {
    let mut headers: Vec<String> = strong(act)
        .into_iter()
        .map(|value| {
            if value.starts_with('"') { format!("ETag: {value}") } else { format!("Last-Modified: {value}") }
        })
        .collect();
    if act.validator == Validator::Weak {
        headers.push(format!("ETag: W/\"v{}\"", act.version));
    }
    headers
}

/// What is said of a body of `true_length`.
fn length(true_length: u64, length: Length) -> Vec<String> {
    let is = |length: u64| format!("Content-Length: {length}");
    match length {
        Length::True => vec![is(true_length)],
        Length::Longer(by) => vec![is(true_length + by)],
        Length::Shorter(by) => vec![is(true_length.saturating_sub(by))],
        Length::Unsaid => Vec::new(),
        Length::Twice => vec![is(true_length), is(true_length + 1)],
        Length::NoNumber => vec!["Content-Length: many".to_owned()],
        Length::Chunked | Length::ChunkedOpen | Length::ChunkedGarbage(_) => {
            vec!["Transfer-Encoding: chunked".to_owned()]
        }
    }
}

/// A body on its way.
struct Sender<'a> {
    to: &'a mut dyn Write,
    content: &'a Content,
    act: &'a Act,
    shared: &'a Shared,
    number: usize,
    sent: u64,
}

impl Sender<'_> {
    fn send(&mut self, part: Part) -> io::Result<()> {
        let multipart = self.act.ranges == Ranges::Multipart && part.length != self.content.length();
        if multipart {
            write!(self.to, "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\n\r\n")?;
        }
        let length = part.length.min(self.act.body.cut.unwrap_or(u64::MAX));
        while self.sent < length {
            self.wait();
            if self.shared.latch.is_closed() {
                return Ok(());
            }
            let piece = self.piece(part.at + self.sent, (length - self.sent).min(self.step()))?;
            self.frame(&piece)?;
            self.sent += piece.len() as u64;
            self.shared.sent(self.number, piece.len());
        }
        self.wait();
        if multipart {
            write!(self.to, "\r\n--{BOUNDARY}--\r\n")?;
        }
        if self.act.length == Length::Chunked && self.act.body.cut.is_none() {
            self.to.write_all(b"0\r\n\r\n")?;
        }
        Ok(())
    }

    /// Stall or drip, when it is time.
    fn wait(&self) {
        if self.act.body.stall == Some(self.sent) {
            self.shared.stall(self.number);
        }
        if let Some((after, pause)) = self.act.body.drip
            && self.sent >= after
        {
            self.shared.latch.closes_within(pause);
        }
    }

    /// How many bytes may be sent before something is to happen.
    fn step(&self) -> u64 {
        let body = self.act.body;
        if body.drip.is_some_and(|(after, _)| self.sent >= after) {
            return 1;
        }
        let events = [body.stall, body.drip.map(|(after, _)| after)];
        let next = events.into_iter().flatten().filter(|&at| at > self.sent).map(|at| at - self.sent).min();
        PIECE.min(next.unwrap_or(PIECE))
    }

    fn piece(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.content.read_at(at, &mut piece)?;
        if let Some(flip) = self.act.body.flip.and_then(|flip| flip.checked_sub(at)) {
            let flipped = usize::try_from(flip).ok().and_then(|flip| piece.get_mut(flip));
            flipped.into_iter().for_each(|byte| *byte ^= 1);
        }
        Ok(piece)
    }

    fn frame(&mut self, piece: &[u8]) -> io::Result<()> {
        match self.act.length {
            Length::Chunked | Length::ChunkedOpen => write!(self.to, "{:x}\r\n", piece.len())?,
            Length::ChunkedGarbage(after) if self.sent >= after => self.to.write_all(b"zz\r\n")?,
            Length::ChunkedGarbage(_) => write!(self.to, "{:x}\r\n", piece.len())?,
            Length::True
            | Length::Longer(_)
            | Length::Shorter(_)
            | Length::Unsaid
            | Length::Twice
            | Length::NoNumber => return self.to.write_all(piece),
        }
        self.to.write_all(piece)?;
        self.to.write_all(b"\r\n")
    }
}
