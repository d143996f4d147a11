//! The folders and nodes of the ramdisk, from the list in `initramfs/skeleton`.

use std::str::FromStr;

use crate::archive::{Entries, Entry};

/// A parsed skeleton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skeleton(pub Entries);

/// A line that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of the skeleton means nothing: {text:?}; want `folder PATH` or `device PATH MAJOR MINOR`"
)]
pub struct SkeletonError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl FromStr for Skeleton {
    type Err = SkeletonError;

    fn from_str(text: &str) -> Result<Self, SkeletonError> {
        let mut entries = Entries::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let (path, entry) =
                entry(line).ok_or(SkeletonError { line: index + 1, text: line.to_owned() })?;
            entries.insert(path, entry);
        }
        Ok(Self(entries))
    }
}

fn entry(line: &str) -> Option<(String, Entry)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["folder", path] => Some((path.to_owned(), Entry::Folder)),
        ["device", path, major, minor] => {
            Some((path.to_owned(), Entry::Device { major: major.parse().ok()?, minor: minor.parse().ok()? }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skeleton_has_what_the_kernel_opens_first() {
        let Skeleton(entries) = include_str!("../../initramfs/skeleton").parse().expect("a skeleton");
        assert_eq!(entries.get("dev/console"), Some(&Entry::Device { major: 5, minor: 1 }));
        crate::archive::archive(&entries).expect("every folder is there");
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for text in ["folder", "device dev/null 1", "device dev/null one 3", "file a"] {
            assert_eq!(text.parse::<Skeleton>().map_err(|err| err.line), Err(1), "{text}");
        }
    }
}
