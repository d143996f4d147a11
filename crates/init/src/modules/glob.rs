//! Alias patterns, as `fnmatch(3)` reads them without flags: `*`, `?`, `[…]`.

/// Does `text` match `pattern`?
///
/// Time is bounded by the product of the two lengths: on a mismatch only the
/// last `*` is tried again. An unclosed `[` matches itself.
pub fn glob_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None; // after the last `*`, and where its match ends
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if let Some(width) = step(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else if let Some((after_star, matched)) = retry {
            retry = Some((after_star, matched + 1));
            (p, t) = (after_star, matched + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// How many pattern bytes the one text byte `byte` uses up, if it matches.
fn step(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match bracket(pattern) {
            Some((members, width)) => in_set(members, byte).then_some(width),
            None => (byte == b'[').then_some(1),
        },
        literal => (literal == byte).then_some(1),
    }
}

/// The members between `[` and `]`, and the width with both brackets. A `]`
/// that comes first is a member.
fn bracket(pattern: &[u8]) -> Option<(&[u8], usize)> {
    let first = if matches!(pattern.get(1), Some(b'!' | b'^')) { 2 } else { 1 };
    let close = pattern.iter().skip(first + 1).position(|&byte| byte == b']')? + first + 1;
    Some((&pattern[1..close], close + 1))
}

fn in_set(members: &[u8], byte: u8) -> bool {
    let (negated, mut rest) = match members {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    while let Some((&low, tail)) = rest.split_first() {
        (found, rest) = match tail {
            [b'-', high, after @ ..] => (found || (low..=*high).contains(&byte), after),
            _ => (found || low == byte, tail),
        };
    }
    found != negated
}

/// The part of `pattern` before its first wildcard: every text that matches starts with it.
pub(crate) fn literal_prefix(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    &pattern[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let virtio = "virtio:d00000002v00001AF4";
        let table = [
            ("virtio:d00000002v*", virtio, true),
            ("virtio:d00000001v*", virtio, false),
            (
                "pci:v00008086d0000100Esv*sd*bc*sc*i*",
                "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00",
                true,
            ),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", true),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc06i01", false),
            ("usb:v0BDAp815[0-36]d*", "usb:v0BDAp8152d0000", true),
            ("usb:v0BDAp815[0-36]d*", "usb:v0BDAp8156d0000", true),
            ("usb:v0BDAp815[0-36]d*", "usb:v0BDAp8154d0000", false),
            ("a[!b]c", "axc", true),
            ("a[!b]c", "abc", false),
            ("a[]x]c", "a]c", true),
            ("a[b", "a[b", true),
            ("a[b", "ab", false),
            ("a[9-0]b", "a5b", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**?", "", false),
            ("a?c", "abc", true),
            ("*a*b", "xxaxxbxb", true),
            ("*a*b", "xxaxxbxc", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(glob_match(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!glob_match(&pattern, &"a".repeat(2000)));
    }

    #[test]
    fn literal_prefixes_stop_at_the_first_wildcard() {
        for (pattern, prefix) in [("pci:v1*", "pci:v1"), ("acpi*:X", "acpi"), ("abc", "abc"), ("[a]", "")] {
            assert_eq!(literal_prefix(pattern), prefix);
        }
    }
}
