//! A recorded tree as text: one line an entry, so that it can be read, searched
//! and compared, and needs no file system that knows colons and links.
//!
//! ```text
//! # A comment.
//! sys/block/sda -> ../devices/pci0000:00/0000:00:17.0/…/block/sda
//! sys/devices/…/block/sda/size = 976773168
//! sys/devices/…/0:0:0:0/vpd_pg80 = \x00\x80\x00\x07S5STNF0
//! sys/firmware/efi/
//! sys/devices/…/block/sdb/size ! 5
//! ```
//! In content `\n`, `\\` and `\xNN` stand for what they stand for everywhere; a
//! number behind `!` is the error reading gives (`EIO` is 5).

pub(crate) mod archive;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::limits;

/// The file of a recording that holds this.
pub(crate) const LISTING: &str = "sysfs.txt";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Vec<u8>),
    Link(PathBuf),
    Directory,
    /// A file that cannot be read: the error number.
    Broken(i32),
}

/// A recorded tree, by path from its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
    /// Names in each directory.
    names: BTreeMap<PathBuf, BTreeSet<String>>,
}

/// Why a text is not a recording.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: want `path = content`, `path -> target`, `path ! errno` or `path/`, have {text:?}")]
pub struct ParseRecordingError {
    /// Counted from one.
    pub line: usize,
    /// As it stands.
    pub text: String,
}

impl Tree {
    pub(crate) fn insert(&mut self, path: PathBuf, entry: Entry) {
        let mut child = path.as_path();
        while let (Some(dir), Some(name)) = (child.parent(), child.file_name()) {
            self.names.entry(dir.to_owned()).or_default().insert(name.to_string_lossy().into_owned());
            child = dir;
        }
        self.entries.insert(path, entry);
    }

    pub(crate) fn insert_if_new(&mut self, path: PathBuf, entry: Entry) {
        if !self.entries.contains_key(&path) {
            self.insert(path, entry);
        }
    }

    pub(crate) fn link(&self, path: &Path) -> Option<PathBuf> {
        match self.entries.get(path)? {
            Entry::Link(target) => Some(target.clone()),
            Entry::File(_) | Entry::Directory | Entry::Broken(_) => None,
        }
    }

    pub(crate) fn is_dir(&self, path: &Path) -> io::Result<bool> {
        match self.entries.get(path) {
            Some(Entry::Directory) => Ok(true),
            Some(Entry::File(_) | Entry::Link(_) | Entry::Broken(_)) => Ok(false),
            None if self.names.contains_key(path) => Ok(true),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        match self.entries.get(path) {
            Some(Entry::File(content)) => Ok(content[..content.len().min(limit)].to_vec()),
            Some(Entry::Broken(errno)) => Err(io::Error::from_raw_os_error(*errno)),
            Some(Entry::Link(_) | Entry::Directory) => Err(io::Error::other("is not a file")),
            None if self.names.contains_key(path) => Err(io::Error::other("is not a file")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn names(&self, path: &Path, limit: usize) -> io::Result<Vec<String>> {
        match self.names.get(path) {
            Some(names) => Ok(names.iter().take(limit).cloned().collect()),
            None if self.is_dir(path)? => Ok(Vec::new()),
            None => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    /// Every entry, by path.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&PathBuf, &Entry)> {
        self.entries.iter()
    }
}

impl FromIterator<(PathBuf, Entry)> for Tree {
    fn from_iter<I: IntoIterator<Item = (PathBuf, Entry)>>(entries: I) -> Self {
        let mut tree = Self::default();
        entries.into_iter().for_each(|(path, entry)| tree.insert(path, entry));
        tree
    }
}

impl FromStr for Tree {
    type Err = ParseRecordingError;

    fn from_str(text: &str) -> Result<Self, ParseRecordingError> {
        let mut tree = Self::default();
        for (nth, line) in
            text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let refused = |text: String| ParseRecordingError { line: nth + 1, text };
            let (path, entry) = parse_line(line)
                .filter(|(path, entry)| fits(Path::new(path), entry))
                .ok_or_else(|| refused(line.chars().take(SHOWN).collect()))?;
            tree.insert(path.into(), entry);
            if tree.names.len() > limits::RECORDING_FOLDERS {
                return Err(refused(format!("more than {} folders", limits::RECORDING_FOLDERS)));
            }
        }
        Ok(tree)
    }
}

/// Letters of a line that an error shows.
const SHOWN: usize = 160;

/// Every folder of a path is kept by its whole name, and following a path goes as deep.
pub(crate) fn is_reasonable(path: &Path) -> bool {
    path.as_os_str().len() <= limits::PATH_BYTES && path.components().count() <= limits::PATH_DEPTH
}

fn fits(path: &Path, entry: &Entry) -> bool {
    is_reasonable(path)
        && match entry {
            Entry::Link(target) => is_reasonable(target),
            Entry::File(_) | Entry::Directory | Entry::Broken(_) => true,
        }
}

fn parse_line(line: &str) -> Option<(&str, Entry)> {
    // Content may hold any of the other marks, so it is looked for first.
    if let Some((path, content)) = line.split_once(" =") {
        return Some((path, Entry::File(unescape(content.strip_prefix(' ').unwrap_or(content))?)));
    }
    if let Some((path, target)) = line.split_once(" -> ") {
        return Some((path, Entry::Link(target.into())));
    }
    if let Some((path, errno)) = line.split_once(" ! ") {
        return Some((path, Entry::Broken(errno.parse().ok()?)));
    }
    line.strip_suffix('/').map(|path| (path, Entry::Directory))
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (path, entry) in &self.entries {
            let shown = path.display();
            match entry {
                Entry::File(content) if content.is_empty() => writeln!(f, "{shown} =")?,
                Entry::File(content) => writeln!(f, "{shown} = {}", escape(content))?,
                Entry::Link(target) => writeln!(f, "{shown} -> {}", target.display())?,
                Entry::Broken(errno) => writeln!(f, "{shown} ! {errno}")?,
                Entry::Directory if self.names.contains_key(path) => {} // its entries say so
                Entry::Directory => writeln!(f, "{shown}/")?,
            }
        }
        Ok(())
    }
}

/// The newline that ends most attributes is left out; readers trim it anyway. What holds
/// other than text keeps it: there it is a number, the last byte of 10.0.0.10.
fn escape(content: &[u8]) -> String {
    let mut text = String::new();
    let trimmed = if content.contains(&0) { None } else { content.strip_suffix(b"\n") };
    for byte in trimmed.unwrap_or(content) {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a String takes everything"),
        }
    }
    text
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('\\') {
        content.extend_from_slice(before.as_bytes());
        let mark = escaped.chars().next()?;
        rest = escaped.get(mark.len_utf8()..)?;
        match mark {
            '\\' => content.push(b'\\'),
            'n' => content.push(b'\n'),
            'x' => {
                content.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            }
            _ => return None,
        }
    }
    content.extend_from_slice(rest.as_bytes());
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_file_holds_comes_back(content: Vec<u8>) {
            let shown = escape(&content);
            let trimmed = content.strip_suffix(b"\n").filter(|_| !content.contains(&0)).unwrap_or(&content);
            prop_assert_eq!(unescape(&shown).expect("own output"), trimmed);
            prop_assert!(!shown.contains('\n'));
        }
    }

    #[test]
    fn every_kind_of_line_comes_back() {
        let text = "a/b -> ../c\nc/d = 1 -> 2 ! 3\nc/e =\nc/f ! 5\nc/g/\n";
        let tree: Tree = text.parse().expect("a recording");
        assert_eq!(tree.to_string(), text);
        assert_eq!(tree.names(Path::new("c"), 9).expect("a directory"), ["d", "e", "f", "g"]);
        assert_eq!(tree.link(Path::new("a/b")), Some("../c".into()));
        assert_eq!(tree.read(Path::new("c/f"), 9).expect_err("EIO").raw_os_error(), Some(5));
    }

    #[test]
    fn a_path_that_no_kernel_has_is_refused_before_it_takes_room() {
        let (deep, long) = ("a/".repeat(500), "a".repeat(5000));
        for bad in [
            format!("{deep}b = 1"),
            format!("{deep} "),
            format!("{long} = 1"),
            format!("b -> {deep}"),
            format!("b -> {long}"),
        ] {
            let refused = bad.parse::<Tree>().map(drop);
            assert!(refused.is_err_and(|err| err.to_string().len() < 500), "{:.40}", bad);
        }
        let many: String = (0..=limits::RECORDING_FOLDERS).map(|nth| format!("{nth}/x =\n")).collect();
        assert!(many.parse::<Tree>().is_err_and(|err| err.to_string().contains("folders")));
        let fine = format!("{}b -> {}c\n", "a/".repeat(30), "../".repeat(30));
        assert_eq!(fine.parse::<Tree>().expect("a recording").to_string(), fine);
    }

    #[test]
    fn a_line_that_says_nothing_is_named() {
        for bad in ["nonsense", "a = \\q", "a = \\xg0", "a ! EIO", "a = \\"] {
            let err = format!("# first\n{bad}").parse::<Tree>().expect_err("malformed");
            assert_eq!((err.line, err.text.as_str()), (2, bad));
        }
    }
}
