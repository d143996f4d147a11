//! The part of a drive that knows its owner: TCG Opal, as far as taking ownership
//! and reverting go. TCG Core 2.01 (tokens: 3.2.2; packets: 3.2.3), Opal SSC 2.02.

use crate::command::Failure;

/// The owner's password that the factory set (MSID), which anybody may read.
pub const FACTORY: &str = "MSID-OF-THE-FACTORY";
const MSID: &[u8] = FACTORY.as_bytes();
/// What the label says.
pub const LABEL: &str = "PSID0123456789ABCDEFPSID01234567";

/// Our only way to be talked to, and the protocol of all but the ComID's own affairs.
const COM_ID: u16 = 0x07fe;
const PROTOCOL: u8 = 1;
const DISCOVERY: u16 = 1;
/// ComPacket, packet and subpacket before the tokens.
const HEADERS: usize = 20 + 24 + 12;

const CALL: u8 = 0xf8;
const END_OF_DATA: u8 = 0xf9;
const END_OF_SESSION: u8 = 0xfa;
const LIST: u8 = 0xf0;
const END_OF_LIST: u8 = 0xf1;
const NAME: u8 = 0xf2;
const END_OF_NAME: u8 = 0xf3;

const SESSIONS: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0xff];
const START_SESSION: &[u8] = &[0, 0, 0, 0, 0, 0, 0xff, 2];
const SYNC_SESSION: &[u8] = &[0, 0, 0, 0, 0, 0, 0xff, 3];
const ADMIN_SP: &[u8] = &[0, 0, 2, 5, 0, 0, 0, 1];
const SID: &[u8] = &[0, 0, 0, 9, 0, 0, 0, 6];
const PSID: &[u8] = &[0, 0, 0, 9, 0, 1, 0xff, 1];
const PIN_OF_MSID: &[u8] = &[0, 0, 0, 0xb, 0, 0, 0x84, 2];
const PIN_OF_SID: &[u8] = &[0, 0, 0, 0xb, 0, 0, 0, 1];
const GET: &[u8] = &[0, 0, 0, 6, 0, 0, 0, 0x16];
const SET: &[u8] = &[0, 0, 0, 6, 0, 0, 0, 0x17];
const REVERT: &[u8] = &[0, 0, 0, 6, 0, 0, 2, 2];

const SUCCESS: u8 = 0;
const NOT_AUTHORIZED: u8 = 1;
const INVALID_PARAMETER: u8 = 0x0c;
const SESSION: u8 = 0x20;

/// Who speaks in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Anybody,
    Owner,
    Label,
}

/// What comes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The media keys are new.
    Reverted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Number(u64),
    Bytes(Vec<u8>),
    Mark(u8),
}

/// The trusted peripheral.
#[derive(Debug)]
pub(crate) struct Tper {
    owner: Vec<u8>,
    enabled: bool,
    pub(crate) locked: bool,
    session: Option<Speaker>,
    answer: Vec<u8>,
}

impl Tper {
    pub(crate) fn owned(owner: &str, locked: bool) -> Self {
        Self { owner: owner.into(), enabled: true, locked, session: None, answer: Vec::new() }
    }

    pub(crate) fn is_owned(&self) -> bool {
        self.enabled
    }

    /// Security Receive.
    pub(crate) fn receive(&mut self, protocol: u8, com_id: u16) -> Result<Vec<u8>, Failure> {
        match (protocol, com_id) {
            (PROTOCOL, DISCOVERY) => Ok(self.discovery()),
            (PROTOCOL, COM_ID) => Ok(packet(&std::mem::take(&mut self.answer))),
            _ => Err(Failure::INVALID_FIELD),
        }
    }

    /// Security Send.
    pub(crate) fn send(&mut self, protocol: u8, com_id: u16, data: &[u8]) -> Result<Effect, Failure> {
        if (protocol, com_id) != (PROTOCOL, COM_ID) {
            return Err(Failure::INVALID_FIELD);
        }
        let tokens = data.get(HEADERS..).and_then(tokens).ok_or(Failure::INVALID_FIELD)?;
        let (answer, effect) = self.run(&tokens);
        self.answer = answer;
        Ok(effect)
    }

    /// TPer, Locking, Opal 2 and Block SID.
    fn discovery(&self) -> Vec<u8> {
        let bits = [true, self.enabled, self.locked, true];
        let locking = bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        let mut opal = vec![0x02, 0x03, 0x20, 16];
        opal.extend(COM_ID.to_be_bytes());
        opal.extend([0, 1]);
        opal.resize(20, 0);
        let mut all = vec![0; 48];
        all.extend([0, 1, 0x10, 12, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        all.extend([0, 2, 0x10, 12, locking, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        all.extend(opal);
        all.extend([4, 2, 0x10, 12, u8::from(self.owner != MSID), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let length = u32::try_from(all.len() - 4).expect("short");
        all[..4].copy_from_slice(&length.to_be_bytes());
        all
    }

    fn run(&mut self, tokens: &[Token]) -> (Vec<u8>, Effect) {
        use Token::{Bytes, Mark};
        match tokens {
            [Mark(END_OF_SESSION), ..] => {
                self.session = None;
                (vec![END_OF_SESSION], Effect::Nothing)
            }
            [Mark(CALL), Bytes(on), Bytes(method), rest @ ..] => match (on.as_slice(), method.as_slice()) {
                (SESSIONS, START_SESSION) => (self.start(rest), Effect::Nothing),
                (PIN_OF_MSID, GET) if self.session.is_some() => {
                    let mut told = vec![LIST, LIST, NAME, 3];
                    bytes(MSID, &mut told);
                    told.extend([END_OF_NAME, END_OF_LIST, END_OF_LIST]);
                    (ended(told, SUCCESS), Effect::Nothing)
                }
                (PIN_OF_SID, SET) => (self.set_owner(rest), Effect::Nothing),
                (ADMIN_SP, REVERT) => self.revert(),
                _ => (ended(vec![LIST, END_OF_LIST], NOT_AUTHORIZED), Effect::Nothing),
            },
            _ => (ended(vec![LIST, END_OF_LIST], INVALID_PARAMETER), Effect::Nothing),
        }
    }

    fn start(&mut self, rest: &[Token]) -> Vec<u8> {
        let given: Vec<&[u8]> = rest
            .iter()
            .filter_map(|token| match token {
                Token::Bytes(bytes) => Some(bytes.as_slice()),
                Token::Number(_) | Token::Mark(_) => None,
            })
            .collect();
        let speaker = match given[..] {
            [ADMIN_SP] => Some(Speaker::Anybody),
            [ADMIN_SP, password, SID] if password == self.owner => Some(Speaker::Owner),
            [ADMIN_SP, password, PSID] if password == LABEL.as_bytes() => Some(Speaker::Label),
            _ => None,
        };
        self.session = speaker;
        let host = match rest.get(1) {
            Some(Token::Number(host)) => u8::try_from(*host).unwrap_or(0),
            _ => 0,
        };
        let mut answer = vec![CALL];
        bytes(SESSIONS, &mut answer);
        bytes(SYNC_SESSION, &mut answer);
        // Ours are numbers from 4096 on; the host's is 0x41.
        answer.extend([LIST, 0x81, host, 0x82, 0x10, SESSION, END_OF_LIST]);
        ended(answer, if speaker.is_some() { SUCCESS } else { NOT_AUTHORIZED })
    }

    fn set_owner(&mut self, rest: &[Token]) -> Vec<u8> {
        let new = rest.iter().find_map(|token| match token {
            Token::Bytes(new) => Some(new.clone()),
            Token::Number(_) | Token::Mark(_) => None,
        });
        let status = match (self.session, new) {
            (Some(Speaker::Owner), Some(new)) => {
                self.owner = new;
                SUCCESS
            }
            (Some(Speaker::Owner), None) => INVALID_PARAMETER,
            (Some(Speaker::Anybody | Speaker::Label) | None, _) => NOT_AUTHORIZED,
        };
        ended(vec![LIST, END_OF_LIST], status)
    }

    fn revert(&mut self) -> (Vec<u8>, Effect) {
        match self.session.take() {
            Some(Speaker::Owner | Speaker::Label) => {
                *self = Self { enabled: false, locked: false, owner: MSID.into(), ..Self::owned("", false) };
                (ended(vec![LIST, END_OF_LIST], SUCCESS), Effect::Reverted)
            }
            Some(Speaker::Anybody) | None => {
                (ended(vec![LIST, END_OF_LIST], NOT_AUTHORIZED), Effect::Nothing)
            }
        }
    }
}

/// `tokens` with the end of a method: its status and two reserved numbers.
fn ended(mut tokens: Vec<u8>, status: u8) -> Vec<u8> {
    tokens.extend([END_OF_DATA, LIST, status, 0, 0, END_OF_LIST]);
    tokens
}

/// A short or medium atom of bytes.
fn bytes(content: &[u8], out: &mut Vec<u8>) {
    match content.len() {
        length @ 0..16 => out.push(0xa0 | u8::try_from(length).expect("below 16")),
        length => out.extend(u16::try_from(0xd000 | length).expect("below 2048").to_be_bytes()),
    }
    out.extend(content);
}

/// In its three envelopes, padded to four bytes.
fn packet(tokens: &[u8]) -> Vec<u8> {
    let length = |of: usize| u32::try_from(of).expect("short").to_be_bytes();
    let padded = tokens.len().next_multiple_of(4);
    let mut all = vec![0; HEADERS];
    all[4..6].copy_from_slice(&COM_ID.to_be_bytes());
    all[16..20].copy_from_slice(&length(24 + 12 + padded));
    all[20..24].copy_from_slice(&[0, 0, 0x10, SESSION]);
    all[24..28].copy_from_slice(&length(0x41));
    all[40..44].copy_from_slice(&length(12 + padded));
    all[52..56].copy_from_slice(&length(tokens.len()));
    all.extend(tokens);
    all.resize(HEADERS + padded, 0);
    all
}

/// Up to the end of the call; `None` when it is cut off.
fn tokens(mut rest: &[u8]) -> Option<Vec<Token>> {
    let mut all = Vec::new();
    loop {
        let (&first, tail) = rest.split_first()?;
        let (length, is_bytes, tail) = match first {
            0x00..0x40 => {
                all.push(Token::Number(first.into()));
                rest = tail;
                continue;
            }
            0x80..0xc0 => (usize::from(first & 0xf), first & 0x20 != 0, tail),
            0xd0..0xe0 => {
                let (&low, tail) = tail.split_first()?;
                (usize::from(first & 0x7) << 8 | usize::from(low), true, tail)
            }
            mark => {
                all.push(Token::Mark(mark));
                if [END_OF_DATA, END_OF_SESSION].contains(&mark) {
                    return Some(all);
                }
                rest = tail;
                continue;
            }
        };
        let (content, tail) = tail.split_at_checked(length)?;
        all.push(match is_bytes {
            true => Token::Bytes(content.to_vec()),
            false => Token::Number(content.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
        });
        rest = tail;
    }
}
