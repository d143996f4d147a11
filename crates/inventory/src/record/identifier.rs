//! What identifies one machine among its like, and what stands for it.
//!
//! [`Ledger`] is filled while files are looked through once, then gives each
//! identifier its stand-in: of the same shape and length, and numbered, not computed
//! from the identifier, so that nobody can try all MACs and compare. Recording the
//! same machine again gives the same ones.

use std::{collections::BTreeMap, net::IpAddr};

use model::{Algorithm, Hasher};

/// Something only one machine, disk or card has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identifier {
    /// A serial number, an asset tag, a name.
    Text(String),
    /// A MAC, a world wide name, a UUID, a digest: bytes, however they are written.
    Bytes(Vec<u8>),
    /// An IP address.
    Address(IpAddr),
}

/// How a walk through a file tells of an identifier; what is returned takes its place.
pub(super) type Swap<'a> = &'a mut dyn FnMut(Identifier) -> Identifier;

/// Every identifier and its stand-in.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<Identifier, Identifier>);

impl Ledger {
    /// Remember `found`, unless it means nothing.
    pub(super) fn note(&mut self, found: Identifier) {
        let stand_in = found.clone();
        self.0.insert(found, stand_in);
    }

    /// Give each a stand-in that no other has.
    pub(super) fn settle(&mut self) {
        let mut taken: Vec<Identifier> = Vec::new();
        let mut nth = 0;
        let known: Vec<Identifier> = self.0.keys().cloned().collect();
        for (place, identifier) in known.iter().enumerate() {
            // One of four letters may meet another; one of one letter has too few to give.
            for _ in 0..TRIES {
                nth += 1;
                let stand_in = identifier.stand_in(nth, place);
                if !self.0.contains_key(&stand_in) && !taken.contains(&stand_in) {
                    taken.push(stand_in.clone());
                    self.0.insert(identifier.clone(), stand_in);
                    break;
                }
            }
        }
        // Those that found none are blotted: two of them may be the same now.
        for (identifier, stand_in) in &mut self.0 {
            if identifier == stand_in {
                *stand_in = identifier.blotted();
            }
        }
    }

    /// What stands for `identifier`.
    pub(super) fn of(&self, identifier: Identifier) -> Identifier {
        match self.0.get(&identifier) {
            Some(stand_in) => stand_in.clone(),
            None => identifier.blotted(),
        }
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Identifier, &Identifier)> {
        self.0.iter()
    }
}

/// How often a stand-in is looked for.
const TRIES: usize = 64;

impl Identifier {
    /// Numbered `nth`. Makers stay: of a MAC, a world wide name and an EUI.
    fn stand_in(&self, nth: usize, place: usize) -> Self {
        match self {
            Self::Text(text) => Self::Text(stand_in(text, kept_letters(text), nth)),
            Self::Bytes(bytes) => Self::Bytes(bytes_in_place(bytes, nth)),
            Self::Address(address) => Self::Address(address_in_place(*address, place)),
        }
    }

    /// The same shape and nothing in it.
    fn blotted(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text("*".repeat(text.len())),
            Self::Bytes(bytes) => Self::Bytes(vec![0xee; bytes.len()]),
            Self::Address(address) => Self::Address(address_in_place(*address, 253)),
        }
    }
}

/// Names of iSCSI and of NVMe over fabrics stay what they are.
fn kept_letters(text: &str) -> usize {
    if text.starts_with("iqn.") || text.starts_with("nqn.") { 4 } else { 0 }
}

fn bytes_in_place(bytes: &[u8], nth: usize) -> Vec<u8> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut put = stand_in(&digits, kept_digits(bytes), nth).into_bytes();
    if bytes.len() == 16 && !is_naa(bytes) {
        // A UUID of the same version and variant.
        (put[12], put[16]) = (digits.as_bytes()[12], digits.as_bytes()[16]);
    }
    from_hex(&put).unwrap_or_else(|| vec![0xee; bytes.len()])
}

fn is_naa(bytes: &[u8]) -> bool {
    bytes[0] >> 4 == 6
}

/// Hex digits that name a maker and not the thing.
fn kept_digits(bytes: &[u8]) -> usize {
    match bytes.len() {
        6 => 6,
        8 => 7,
        16 if is_naa(bytes) => 7,
        _ => 0,
    }
}

/// An address from the ranges for documentation (RFC 5737, RFC 3849), or link-local.
fn address_in_place(address: IpAddr, nth: usize) -> IpAddr {
    let nth = u16::try_from(nth % 0xfff0).unwrap_or(0) + 1;
    let text = match address {
        // Three networks of 254, and then what benchmarks use (RFC 2544).
        IpAddr::V4(_) if nth < 255 => format!("192.0.2.{nth}"),
        IpAddr::V4(_) => format!("198.18.{}.{}", nth >> 8, nth & 0xff),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => format!("fe80::b11e:{nth:x}"),
        IpAddr::V6(_) => format!("2001:db8::{nth:x}"),
    };
    text.parse().unwrap_or(address)
}

/// The stand-in numbered `nth` for `text`, of which the first `keep` letters
/// stay: digits for digits, hex for hex, letters for letters, marks as they are.
pub(super) fn stand_in(text: &str, keep: usize, nth: usize) -> String {
    let all_hex = text.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte.is_ascii_hexdigit());
    let letters = if all_hex { 6 } else { 26 };
    let mut source = numbers(nth, text.len());
    let mut put = |(at, letter): (usize, char)| match letter {
        _ if at < keep => letter,
        '0'..='9' => char::from(b'0' + source() % 10),
        'a'..='z' => char::from(b'a' + source() % letters),
        'A'..='Z' => char::from(b'A' + source() % letters),
        letter if letter.is_ascii() => letter,
        letter => "?".repeat(letter.len_utf8()).chars().next().unwrap_or('?'),
    };
    text.chars().enumerate().map(&mut put).collect()
}

/// Bytes that look like chance and are the same for the same `nth` of a length: a
/// stand-in that is the beginning of another would be taken for it.
fn numbers(nth: usize, length: usize) -> impl FnMut() -> u8 {
    let mut block = 0_u32;
    let mut digits = Vec::new();
    move || {
        if digits.is_empty() {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(format!("{nth} {length} {block}").as_bytes());
            digits = hasher.finish().hex().into_bytes();
            block += 1;
        }
        let pair = [digits.pop().unwrap_or(0), digits.pop().unwrap_or(0)];
        pair[0].wrapping_mul(16).wrapping_add(pair[1])
    }
}

/// Bytes of an even number of hex digits.
pub(super) fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        Some(digit(0)? << 4 | digit(1)?)
    };
    (digits.len() >= 2 && digits.len().is_multiple_of(2)).then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_shape_of_what_it_stands_for() {
        let of = stand_in("S5STNF0R-0042", 0, 7);
        assert_eq!(of, stand_in("S5STNF0R-0042", 0, 7), "the same each time");
        assert_ne!(of, "S5STNF0R-0042");
        assert_eq!((of.len(), &of[8..9]), (13, "-"));
        assert!(of[9..].bytes().all(|byte| byte.is_ascii_digit()), "{of}");
        assert!(stand_in("5002538e40b4d2f1", 7, 7).starts_with("5002538"));
        assert!(stand_in("deadbeef", 0, 1).bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn a_maker_stays_and_nothing_else() {
        let mac = bytes_in_place(&[0x52, 0x54, 0, 1, 2, 3], 1);
        assert!(mac.starts_with(&[0x52, 0x54, 0]) && mac[3..] != [1, 2, 3], "{mac:?}");
        let uuid = from_hex(b"0f1e2d3c4b5a49788796a5b4c3d2e1f0").expect("hex");
        let other = bytes_in_place(&uuid, 2);
        assert_eq!((other[6] >> 4, other[8] >> 4), (4, 8));
        assert_ne!(other[..6], uuid[..6]);
    }

    #[test]
    fn two_short_serials_stay_two_and_one_stays_one() {
        let mut ledger = Ledger::default();
        let all: Vec<Identifier> = (0..9).map(|n| Identifier::Text(n.to_string())).collect();
        all.iter().for_each(|one| ledger.note(one.clone()));
        ledger.settle();
        for one in &all {
            assert_ne!(&ledger.of(one.clone()), one);
            assert_eq!(ledger.of(one.clone()), ledger.of(one.clone()));
        }
        let mut ledger = Ledger::default();
        let all: Vec<Identifier> = (1000..1400).map(|n| Identifier::Text(n.to_string())).collect();
        all.iter().for_each(|one| ledger.note(one.clone()));
        ledger.settle();
        let stand_ins: std::collections::BTreeSet<_> = all.iter().map(|one| ledger.of(one.clone())).collect();
        assert_eq!(stand_ins.len(), all.len());
    }
}
