//! The line to the controller: a request, its answer, and not for longer than it takes.
//!
//! A controller may be slow, hang, or answer what nobody asked. Each request has a
//! time, all together have one, and one that stays silent twice is left alone.

use std::{
    cell::Cell,
    fs::File,
    io,
    time::{Duration, Instant},
};

use sys::ipmi::{self, Message};

/// What one request may take. Controllers answer within some 10 ms, the slowest within one second.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// What all of them may take.
const TOTAL_TIME: Duration = Duration::from_secs(15);
/// Silences after which no more is asked.
const PATIENCE: u32 = 2;
/// Messages passed over while waiting for an answer: late ones, and events.
const STRAY_MESSAGES: u32 = 16;
/// Requests repeated to a controller that is busy.
const REPEATS: u32 = 3;
/// Between them.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Completion code "node busy" (table 5-2).
const BUSY: u8 = 0xc0;

const ETIMEDOUT: i32 = 110;
const ENODATA: i32 = 61;
const ENXIO: i32 = 6;

/// Where requests go.
pub(super) trait Port {
    /// See [`ipmi::send`].
    fn send(&self, id: i32, netfn: u8, command: u8, data: &[u8]) -> io::Result<()>;
    /// The next message, if one comes within `limit`.
    fn receive(&self, limit: Duration) -> io::Result<Option<Message>>;
}

impl Port for File {
    fn send(&self, id: i32, netfn: u8, command: u8, data: &[u8]) -> io::Result<()> {
        ipmi::send(self, id.into(), netfn, command, data)
    }

    fn receive(&self, limit: Duration) -> io::Result<Option<Message>> {
        if ipmi::wait(self, limit)? { ipmi::receive(self) } else { Ok(None) }
    }
}

/// The line to one controller.
pub(super) struct Line {
    port: Box<dyn Port>,
    end: Instant,
    request_time: Duration,
    sent: Cell<i32>,
    silences: Cell<u32>,
    ended: Cell<bool>,
}

impl Line {
    pub(super) fn new(port: Box<dyn Port>) -> Self {
        Self {
            port,
            end: Instant::now() + TOTAL_TIME,
            request_time: REQUEST_TIME,
            sent: Cell::new(0),
            silences: Cell::new(0),
            ended: Cell::new(false),
        }
    }

    /// Ask, and repeat it while the controller is busy. The answer begins with its completion code.
    ///
    /// # Errors
    /// `ETIMEDOUT` when no answer came; `ENXIO`, which is silent, once it is not worth asking.
    pub(super) fn ask(&self, netfn: u8, command: u8, data: &[u8]) -> io::Result<Vec<u8>> {
        let mut repeats = 0;
        loop {
            let answer = self.ask_once(netfn, command, data)?;
            if answer.first() != Some(&BUSY) || repeats == REPEATS {
                return Ok(answer);
            }
            repeats += 1;
            std::thread::sleep(BUSY_PAUSE);
        }
    }

    fn ask_once(&self, netfn: u8, command: u8, data: &[u8]) -> io::Result<Vec<u8>> {
        if self.silences.get() >= PATIENCE {
            return Err(io::Error::from_raw_os_error(ENXIO));
        }
        if Instant::now() >= self.end {
            // Once it is worth a warning: what was not asked is not known.
            let errno = if self.ended.replace(true) { ENXIO } else { ETIMEDOUT };
            return Err(io::Error::from_raw_os_error(errno));
        }
        let id = self.sent.get() + 1;
        self.sent.set(id);
        self.port.send(id, netfn, command, data)?;
        let deadline = (Instant::now() + self.request_time).min(self.end);
        for _ in 0..STRAY_MESSAGES {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(message) = self.port.receive(left)? else { break };
            if answers(&message, id, netfn, command) {
                self.silences.set(0);
                // Not even a completion code: no answer of a controller.
                return Some(message.data)
                    .filter(|data| !data.is_empty())
                    .ok_or_else(|| io::Error::from_raw_os_error(ENODATA));
            }
        }
        self.silences.set(self.silences.get() + 1);
        Err(io::Error::from_raw_os_error(ETIMEDOUT))
    }
}

fn answers(message: &Message, id: i32, netfn: u8, command: u8) -> bool {
    message.is_answer && message.id == id.into() && message.netfn == netfn | 1 && message.command == command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, collections::VecDeque, rc::Rc};

    /// Says what it was told to; `None` is silence.
    #[derive(Clone, Default)]
    struct Script(Rc<RefCell<(VecDeque<Option<Message>>, u32)>>);

    impl Port for Script {
        fn send(&self, _: i32, _: u8, _: u8, _: &[u8]) -> io::Result<()> {
            self.0.borrow_mut().1 += 1;
            Ok(())
        }

        fn receive(&self, _: Duration) -> io::Result<Option<Message>> {
            Ok(self.0.borrow_mut().0.pop_front().flatten())
        }
    }

    fn line(messages: impl IntoIterator<Item = Option<Message>>) -> (Line, Script) {
        let script = Script::default();
        script.0.borrow_mut().0.extend(messages);
        (Line::new(Box::new(script.clone())), script)
    }

    fn message(id: i32, netfn: u8, command: u8, data: &[u8]) -> Option<Message> {
        Some(Message { is_answer: true, id: id.into(), netfn, command, data: data.to_vec() })
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let event = Some(Message { is_answer: false, ..message(1, 7, 1, b"event").expect("some") });
        let (line, _) = line([
            message(0, 7, 1, b"late"),
            message(1, 6, 1, b"wrong function"),
            message(1, 7, 2, b"wrong command"),
            event,
            message(1, 7, 1, b"\0right"),
        ]);
        assert_eq!(line.ask(6, 1, &[]).expect("answered"), b"\0right");
    }

    #[test]
    fn a_controller_that_stays_silent_is_asked_twice_and_no_more() {
        let (line, script) = line([]);
        let errors: Vec<_> =
            (0..5).map(|_| line.ask(6, 1, &[]).expect_err("silent").raw_os_error()).collect();
        assert_eq!(errors, [Some(ETIMEDOUT), Some(ETIMEDOUT), Some(ENXIO), Some(ENXIO), Some(ENXIO)]);
        assert_eq!(script.0.borrow().1, 2);
    }

    #[test]
    fn a_controller_that_only_babbles_is_silent() {
        let (line, _) = line((0..100).map(|_| message(77, 7, 1, b"?")));
        assert_eq!(line.ask(6, 1, &[]).expect_err("no answer").raw_os_error(), Some(ETIMEDOUT));
    }

    #[test]
    fn a_busy_controller_is_asked_again() {
        let (line, script) = line([message(1, 7, 1, &[BUSY]), message(2, 7, 1, &[0, 1])]);
        assert_eq!(line.ask(6, 1, &[]).expect("at last"), [0, 1]);
        assert_eq!(script.0.borrow().1, 2);
    }

    #[test]
    fn an_answer_of_nothing_is_an_error() {
        let (line, _) = line([message(1, 7, 1, &[])]);
        assert_eq!(line.ask(6, 1, &[]).expect_err("empty").raw_os_error(), Some(ENODATA));
    }

    #[test]
    fn when_the_time_is_up_nothing_is_asked() {
        let (mut line, script) = line([message(1, 7, 1, &[0])]);
        line.end = Instant::now();
        let late = || line.ask(6, 1, &[]).expect_err("late").raw_os_error();
        assert_eq!([late(), late()], [Some(ETIMEDOUT), Some(ENXIO)], "one warning is enough");
        assert_eq!(script.0.borrow().1, 0);
    }
}
