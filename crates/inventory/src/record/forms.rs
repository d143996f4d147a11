//! Every way in which an identifier may be written, so that it is found wherever it
//! stands: as text, in hex with and without marks, in bytes from either end.

use std::net::IpAddr;

use super::identifier::Identifier;

/// One way to write an identifier, and its stand-in in the same way.
struct Form {
    from: Vec<u8>,
    to: Vec<u8>,
    /// Found only where no letter and no digit stands beside it.
    alone: bool,
}

/// Shorter texts are not rare enough to be looked for in every file.
const RARE_TEXT: usize = 6;
/// As long as this, a text needs no gap around it to be no chance.
const LONG_TEXT: usize = 10;
/// Fewer bytes are not rare enough.
const RARE_BYTES: usize = 6;

/// Forms by their first byte, the longest first: a serial number may be part of a longer name.
pub(super) struct Forms(Vec<Vec<Form>>);

/// All forms of these.
pub(super) fn of<'a>(pairs: impl Iterator<Item = (&'a Identifier, &'a Identifier)>) -> Forms {
    let mut forms = Vec::new();
    for (from, to) in pairs {
        match (from, to) {
            (Identifier::Text(from), Identifier::Text(to)) => text_forms(from, to, &mut forms),
            (Identifier::Bytes(from), Identifier::Bytes(to)) => byte_forms(from, to, &mut forms),
            (Identifier::Address(from), Identifier::Address(to)) => address_forms(*from, *to, &mut forms),
            // An identifier and its stand-in are of one kind.
            (Identifier::Text(_) | Identifier::Bytes(_) | Identifier::Address(_), _) => {}
        }
    }
    model::order::sort_by_key(&mut forms, |form: &Form| std::cmp::Reverse(form.from.len()));
    let mut by_byte: Vec<Vec<Form>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
    for form in forms {
        by_byte[usize::from(form.from[0])].push(form);
    }
    Forms(by_byte)
}

fn text_forms(from: &str, to: &str, forms: &mut Vec<Form>) {
    if from.len() < RARE_TEXT {
        return;
    }
    let alone = from.len() < LONG_TEXT || from.bytes().all(|byte| byte.is_ascii_digit());
    let underscored = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("_").into_bytes();
    let ways: [fn(&str) -> Vec<u8>; 4] =
        [|text| text.into(), |text| text.to_ascii_lowercase().into(), wide, swapped];
    for way in ways {
        push(forms, way(from), way(to), alone);
    }
    push(forms, underscored(from), underscored(to), alone);
}

/// As UEFI writes text.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// As ATA writes text: the two letters of each word the other way round.
pub(super) fn swapped(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(b' ');
    }
    bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
    bytes
}

fn byte_forms(from: &[u8], to: &[u8], forms: &mut Vec<Form>) {
    if from.len() < RARE_BYTES || from.iter().filter(|byte| ![0, 0xff].contains(*byte)).count() < 3 {
        return;
    }
    push(forms, from.into(), to.into(), false);
    push(forms, from.iter().rev().copied().collect(), to.iter().rev().copied().collect(), false);
    let (from, to) = (Written::of(from), Written::of(to));
    for (from, to) in from.ways().into_iter().zip(to.ways()) {
        push(forms, wide(&from), wide(&to), false);
        push(forms, wide(&from.to_uppercase()), wide(&to.to_uppercase()), false);
        push(forms, from.to_uppercase().into(), to.to_uppercase().into(), false);
        push(forms, from.into(), to.into(), false);
    }
    if let (Some(from), Some(to)) = (from.mixed(), to.mixed()) {
        let (from, to) = (Written::of(&from), Written::of(&to));
        push(forms, from.0.clone(), to.0.clone(), false);
        for (from, to) in from.ways().into_iter().zip(to.ways()) {
            push(forms, from.to_uppercase().into(), to.to_uppercase().into(), false);
            push(forms, from.into(), to.into(), false);
        }
    }
}

/// Bytes that are written in hex.
struct Written(Vec<u8>);

impl Written {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Plain, with colons, with dashes, with dots (switches), as a UUID, as a GUID of InfiniBand.
    fn ways(&self) -> Vec<String> {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let groups = |sizes: &[usize], mark: &str| {
            let mut rest = pairs.as_slice();
            let group = |size: &usize| {
                let (group, next) = rest.split_at(*size);
                rest = next;
                group.concat()
            };
            sizes.iter().map(group).collect::<Vec<_>>().join(mark)
        };
        let mut ways = vec![pairs.concat(), pairs.join(":"), pairs.join("-")];
        match self.0.len() {
            6 => ways.push(groups(&[2, 2, 2], ".")),
            8 => ways.push(groups(&[2, 2, 2, 2], ":")),
            16 => {
                ways.push(groups(&[4, 2, 2, 2, 6], "-"));
                ways.push(groups(&[2, 2, 2, 2, 2, 2, 2, 2], ":"));
            }
            _ => {}
        }
        ways
    }

    /// A UUID as SMBIOS and GPT store it: the first three fields from their low end.
    fn mixed(&self) -> Option<Vec<u8>> {
        let mut bytes = self.0.clone();
        (bytes.len() == 16).then(|| {
            bytes[..4].reverse();
            bytes[4..6].reverse();
            bytes[6..8].reverse();
            bytes
        })
    }
}

fn address_forms(from: IpAddr, to: IpAddr, forms: &mut Vec<Form>) {
    push(forms, from.to_string().into(), to.to_string().into(), true);
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) {
        push(forms, from.octets().into(), to.octets().into(), false);
    }
}

fn push(forms: &mut Vec<Form>, from: Vec<u8>, to: Vec<u8>, alone: bool) {
    if from != to && forms.iter().all(|form| form.from != from) {
        forms.push(Form { from, to, alone });
    }
}

/// `content` with every form replaced.
pub(super) fn replace(content: &[u8], forms: &Forms) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(content.len());
    let mut at = 0;
    while let Some(byte) = content.get(at) {
        match forms.0[usize::from(*byte)].iter().find(|form| form.stands_at(content, at)) {
            Some(form) => {
                replaced.extend_from_slice(&form.to);
                at += form.from.len();
            }
            None => {
                replaced.push(*byte);
                at += 1;
            }
        }
    }
    replaced
}

impl Form {
    fn stands_at(&self, content: &[u8], at: usize) -> bool {
        if !content[at..].starts_with(&self.from) {
            return false;
        }
        let part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|at| content.get(at));
        !self.alone || !(part(before) || part(content.get(at + self.from.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(from: &Identifier, to: &Identifier, content: &[u8]) -> Vec<u8> {
        replace(content, &of([(from, to)].into_iter()))
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let from = Identifier::Bytes(vec![0x52, 0x54, 0, 0xaa, 0xbb, 1]);
        let to = Identifier::Bytes(vec![0x52, 0x54, 0, 0x11, 0x22, 3]);
        for (content, want) in [
            ("52:54:00:aa:bb:01", "52:54:00:11:22:03"),
            ("01-52-54-00-AA-BB-01", "01-52-54-00-11-22-03"),
            ("MAC:525400AABB01)", "MAC:525400112203)"),
            ("5254.00aa.bb01", "5254.0011.2203"),
            ("\x01\u{bb}", "\x01\u{bb}"),
        ] {
            assert_eq!(String::from_utf8_lossy(&replaced(&from, &to, content.as_bytes())), want);
        }
        let wide_name = wide("MAC:525400AABB01");
        assert_eq!(replaced(&from, &to, &wide_name), wide("MAC:525400112203"));
    }

    #[test]
    fn a_number_that_is_only_a_part_of_another_stays() {
        let (from, to) = (Identifier::Text("123456".into()), Identifier::Text("998877".into()));
        assert_eq!(replaced(&from, &to, b"1234567 0123456 x123456"), b"1234567 0123456 x123456");
        assert_eq!(replaced(&from, &to, b"ID_123456 123456"), b"ID_998877 998877");
        let address = |text: &str| Identifier::Address(text.parse().expect("an address"));
        let (from, to) = (address("10.0.0.1"), address("192.0.2.1"));
        assert_eq!(replaced(&from, &to, b"10.0.0.1 10.0.0.12 110.0.0.1"), b"192.0.2.1 10.0.0.12 110.0.0.1");
    }

    #[test]
    fn a_uuid_is_found_as_smbios_stores_it() {
        let bytes = |first: u8| Identifier::Bytes((first..first + 16).collect());
        let stored = [4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16];
        let found = replaced(&bytes(1), &bytes(0x41), &stored);
        assert_eq!(found[..4], [0x44, 0x43, 0x42, 0x41]);
        let text = b"04030201-0605-0807-090a-0b0c0d0e0f10";
        assert_eq!(replaced(&bytes(1), &bytes(0x41), text), b"44434241-4645-4847-494a-4b4c4d4e4f50");
    }
}
