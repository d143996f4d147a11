//! Sets of processors, as sysfs writes them: `0-3,8-11`, or a mask in hexadecimal.

use crate::{limits, reader::Reader};

/// In which of the two ways a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    List,
    Mask,
}

/// A file, below some directory, that holds a set.
pub(crate) type Source = (&'static str, Form);

/// The first of `sources` that a directory of `dirs` has. Kernels differ in what
/// they write, the processors of one machine do not.
pub(crate) fn source(
    reader: &Reader<'_>,
    mut dirs: impl Iterator<Item = String>,
    sources: &[Source],
) -> Option<Source> {
    dirs.find_map(|dir| {
        let there = |(name, _): &&Source| reader.text(format!("{dir}/{name}")).is_some();
        sources.iter().find(there).copied()
    })
}

/// The set in `dir`; one that is malformed is a warning.
pub(crate) fn read(reader: &Reader<'_>, dir: &str, source: Source) -> Option<Vec<u32>> {
    let path = format!("{dir}/{}", source.0);
    let set = parse(&reader.text(&path)?, source.1);
    if set.is_none() {
        reader.warn(&path, "is not a set of processors");
    }
    set
}

/// The lowest number of the set in `dir`. Two sockets, cores or caches never share
/// a processor, so it is their name; and reading it costs the same however large
/// the set is.
pub(crate) fn read_first(reader: &Reader<'_>, dir: &str, source: Source) -> Option<u32> {
    first(&reader.text(format!("{dir}/{}", source.0))?, source.1)
}

fn parse(text: &str, form: Form) -> Option<Vec<u32>> {
    match form {
        Form::List => parse_list(text),
        Form::Mask => parse_mask(text),
    }
}

fn first(text: &str, form: Form) -> Option<u32> {
    match form {
        Form::List => text.split([',', '-']).next()?.parse().ok(),
        Form::Mask => {
            let (nth, digit) = digits(text).enumerate().find(|(_, digit)| *digit != Some(0))?;
            Some(u32::try_from(nth).ok()? * 4 + digit?.trailing_zeros()).filter(|cpu| *cpu < limits::CPUS)
        }
    }
}

/// `0-3,8-11`.
pub(crate) fn parse_list(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= limits::CPUS || cpus.len() > limits::CPUS as usize {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// `00000000,0000ff0f`, the highest number first.
fn parse_mask(mask: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for (digit, start) in digits(mask).zip((0..).step_by(4)) {
        let digit = digit?;
        if digit != 0 && start >= limits::CPUS {
            return None;
        }
        cpus.extend((start..start + 4).filter(|cpu| digit & (1 << (cpu - start)) != 0));
    }
    Some(cpus)
}

/// The digits of a mask, the lowest first; `None` for what is none.
fn digits(mask: &str) -> impl Iterator<Item = Option<u32>> {
    mask.chars().rev().filter(|c| *c != ',').map(|c| c.to_digit(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_processors_are_read_and_bounded() {
        assert_eq!(parse_list("0"), Some(vec![0]));
        assert_eq!(parse_list("0-2,8-9"), Some(vec![0, 1, 2, 8, 9]));
        for bad in ["", "a", "0-", "0-4294967295", "-1", "5-99999999999"] {
            assert_eq!(parse_list(bad), None, "{bad}");
        }
    }

    #[test]
    fn masks_are_read_and_bounded() {
        for (mask, cpus) in [
            ("1", vec![0]),
            ("00000000,0000ff0f", vec![0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15]),
            ("00000001,00000000", vec![32]),
            ("00000000", vec![]),
        ] {
            assert_eq!(parse_mask(mask), Some(cpus), "{mask}");
        }
        for bad in ["g", "0x1", "-1", &format!("1{}", "0".repeat(limits::CPUS as usize / 4))] {
            assert_eq!(parse_mask(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_of_a_set_is_found_without_the_others() {
        for (text, form, want) in [
            ("6-7,9", Form::List, Some(6)),
            ("12", Form::List, Some(12)),
            ("x", Form::List, None),
            ("00000001,00000000", Form::Mask, Some(32)),
            ("f0", Form::Mask, Some(4)),
            ("0", Form::Mask, None),
            ("xyz", Form::Mask, None),
        ] {
            assert_eq!(first(text, form), want, "{text}");
        }
    }
}
