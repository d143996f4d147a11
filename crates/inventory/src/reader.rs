//! The one door to the tree: bounded, confined below the root, and it remembers
//! what went through it, so that a recording holds exactly what a scan reads.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use model::inventory::Warning;

use crate::{
    Root, limits,
    recording::{Entry, Tree, is_reasonable},
};

/// Reads below one root. Paths are relative to it: `sys/block/sda/size`.
pub(crate) struct Reader<'a> {
    root: &'a Root,
    warnings: RefCell<BTreeSet<Warning>>,
    seen: RefCell<Tree>,
    answers: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
    resolved: RefCell<HashMap<PathBuf, PathBuf>>,
}

/// What to do when a file is longer than its limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overlong {
    Refuse,
    Cut,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: &'a Root) -> Self {
        Self {
            root,
            warnings: RefCell::default(),
            seen: RefCell::default(),
            answers: RefCell::default(),
            resolved: RefCell::default(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.root.is_live()
    }

    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.warnings.borrow().iter().cloned().collect()
    }

    /// Everything that was looked at so far.
    pub(crate) fn into_seen(self) -> Tree {
        self.seen.into_inner()
    }

    pub(crate) fn warn(&self, path: impl AsRef<Path>, reason: impl ToString) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < limits::WARNINGS {
            let path = path.as_ref().display().to_string();
            warnings.insert(Warning { path, reason: reason.to_string() });
        }
    }

    /// Let an answer of the kernel be read like a file, here and in a recording.
    pub(crate) fn answer(&self, path: &str, content: impl Into<Vec<u8>>) {
        let content = content.into();
        self.seen.borrow_mut().insert(path.into(), Entry::File(content.clone()));
        self.answers.borrow_mut().insert(path.into(), content);
    }

    /// What only a system call or a device tells: asked on the running machine,
    /// where the answer (or its error) is kept as `kernel/…` for a recording; in
    /// a recorded tree that file. Errors that mean absence are silent, others a
    /// warning.
    pub(crate) fn ask(&self, path: &str, question: &dyn Fn() -> io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        if !self.is_live() {
            return self.bytes(Path::new(path), limits::FILE_BYTES);
        }
        let answer = question();
        match &answer {
            Ok(answer) => self.answer(path, answer.as_slice()),
            Err(err) => {
                if let Some(errno) = err.raw_os_error().filter(|_| !means_absent(err)) {
                    self.seen.borrow_mut().insert(path.into(), Entry::Broken(errno));
                }
            }
        }
        self.checked(Path::new(path), answer)
    }

    /// A file's text, trimmed. Absent or empty is `None`; unreadable or not
    /// UTF-8 is `None` and a warning.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        self.decode(path.as_ref(), self.bytes(path.as_ref(), limits::FILE_BYTES)?)
    }

    /// The same, and absence is worth a warning.
    pub(crate) fn required_text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.text(&path);
        if text.is_none() {
            self.warn_if_new(path.as_ref(), "missing or empty");
        }
        text
    }

    /// The beginning of a text that may be long and of which the beginning is
    /// enough (`/proc/cpuinfo`: the first processor).
    pub(crate) fn head(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = path.as_ref();
        let bytes = self.checked(path, self.read(path, limits::FILE_BYTES, Overlong::Cut))?;
        self.decode(path, bytes)
    }

    /// A number in a file; anything else there is a warning.
    pub(crate) fn number<T: FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        let text = self.text(&path)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.warn(&path, format_args!("holds {:?}, want a number", shortened(&text)));
        }
        number
    }

    /// A file's bytes, at most `limit`.
    pub(crate) fn bytes(&self, path: &Path, limit: usize) -> Option<Vec<u8>> {
        self.checked(path, self.read(path, limit, Overlong::Refuse))
    }

    /// True when `path` leads to something.
    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        let Ok(real) = self.resolve(path.as_ref()) else { return false };
        let Ok(is_dir) = self.root.is_dir(&real) else { return false };
        let entry = if is_dir { Entry::Directory } else { Entry::File(Vec::new()) };
        self.seen.borrow_mut().insert_if_new(real, entry);
        true
    }

    /// Names in a directory, sorted; none when it is absent.
    pub(crate) fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        self.checked(path.as_ref(), self.names(path.as_ref())).unwrap_or_default()
    }

    /// Where `path` really is below the root, all links followed.
    pub(crate) fn real(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        self.checked(path.as_ref(), self.resolve(path.as_ref()))
    }

    /// The last name that the link at `path` points to: `../../bus/pci` is `pci`.
    pub(crate) fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = path.as_ref();
        let real = self.resolve(path.parent()?).ok()?.join(path.file_name()?);
        let target = self.root.link(&real)?;
        let name = target.file_name()?.to_str()?.to_owned();
        self.seen.borrow_mut().insert(real, Entry::Link(target));
        Some(name)
    }

    fn decode(&self, path: &Path, bytes: Vec<u8>) -> Option<String> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
                .filter(|text| !text.is_empty()),
            Err(_) => {
                self.warn(path, "is not UTF-8");
                None
            }
        }
    }

    fn checked<T>(&self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(err) if means_absent(&err) => None,
            Err(err) => {
                self.warn(path, err);
                None
            }
        }
    }

    fn warn_if_new(&self, path: &Path, reason: &str) {
        let name = path.display().to_string();
        if !self.warnings.borrow().iter().any(|warning| warning.path == name) {
            self.warn(path, reason);
        }
    }

    fn read(&self, path: &Path, limit: usize, overlong: Overlong) -> io::Result<Vec<u8>> {
        if let Some(answer) = self.answers.borrow().get(path) {
            return Ok(answer.clone());
        }
        let real = self.resolve(path)?;
        let mut bytes = match self.root.read(&real, limit + 1) {
            Ok(bytes) => bytes,
            Err(err) => {
                if let Some(errno) = err.raw_os_error().filter(|_| err.kind() != io::ErrorKind::NotFound) {
                    self.seen.borrow_mut().insert(real, Entry::Broken(errno));
                }
                return Err(err);
            }
        };
        if bytes.len() > limit {
            if overlong == Overlong::Refuse {
                return Err(io::Error::other(format!("is longer than {limit} bytes")));
            }
            cut_to_last_line(&mut bytes, limit);
        }
        self.seen.borrow_mut().insert(real, Entry::File(bytes.clone()));
        Ok(bytes)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let real = self.resolve(path)?;
        let mut names = self.root.names(&real, limits::DIRECTORY_ENTRIES + 1)?;
        model::order::sort(&mut names);
        if names.len() > limits::DIRECTORY_ENTRIES {
            self.warn(path, format_args!("has more than {} entries", limits::DIRECTORY_ENTRIES));
            names.truncate(limits::DIRECTORY_ENTRIES);
        }
        let mut seen = self.seen.borrow_mut();
        seen.insert_if_new(real.clone(), Entry::Directory);
        for name in &names {
            let child = real.join(name);
            let entry = self.look(&child);
            seen.insert_if_new(child, entry);
        }
        Ok(names)
    }

    /// What a recording holds of a name that was listed and nothing more.
    fn look(&self, path: &Path) -> Entry {
        match self.root.link(path) {
            Some(target) => Entry::Link(target),
            None if self.root.is_dir(path).unwrap_or(false) => Entry::Directory,
            None => Entry::File(Vec::new()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.follow(path, &mut 0)
    }

    /// Follow every link of `path`, never above the root: a recorded tree may
    /// hold any link. `links` counts them, so a loop ends.
    fn follow(&self, path: &Path, links: &mut usize) -> io::Result<PathBuf> {
        let path = without_dots(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(PathBuf::new());
        };
        if let Some(real) = self.resolved.borrow().get(&path) {
            return Ok(real.clone());
        }
        let real = self.follow(parent, links)?.join(name);
        let real = match self.root.link(&real) {
            Some(target) => {
                *links += 1;
                if *links > limits::LINKS {
                    return Err(io::Error::other("symbolic links go in a circle"));
                }
                if !is_reasonable(&target) {
                    return Err(io::Error::other("a symbolic link leads too deep"));
                }
                let from = real.parent().unwrap_or(Path::new("")).join(&target);
                self.seen.borrow_mut().insert(real, Entry::Link(target));
                self.follow(&from, links)?
            }
            None => real,
        };
        self.resolved.borrow_mut().insert(path, real.clone());
        Ok(real)
    }
}

/// `a/b/../c` is `a/c`; an absolute path starts at the root; nothing climbs above it.
fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir => clean.clear(),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// sysfs answers EINVAL, ENODEV and ENXIO where there is no value just now
/// (the speed of a NIC that is down).
fn means_absent(err: &io::Error) -> bool {
    const ENXIO: i32 = 6;
    const ENODEV: i32 = 19;
    const ENOTDIR: i32 = 20;
    const EINVAL: i32 = 22;
    const EOPNOTSUPP: i32 = 95;
    const ENOTSUPP: i32 = 524; // the kernel's own, which some drivers let out
    err.kind() == io::ErrorKind::NotFound
        || err
            .raw_os_error()
            .is_some_and(|code| [ENXIO, ENODEV, ENOTDIR, EINVAL, EOPNOTSUPP, ENOTSUPP].contains(&code))
}

fn cut_to_last_line(bytes: &mut Vec<u8>, limit: usize) {
    bytes.truncate(limit);
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        bytes.truncate(end + 1);
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
