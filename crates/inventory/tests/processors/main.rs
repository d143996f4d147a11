//! Processors and memory against machines that other projects recorded, and what
//! they make of them. They are run against, never kept here: without
//! `BILLET_CORPUS` (default `../shared/data`) this says so, loudly, and passes.
//!
//! What comes out is the table in `docs/figures.md`: `BLESS=1 cargo test -p
//! inventory --test processors` writes it anew.

mod lscpu;
mod own;
mod table;
mod topology;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use inventory::{Options, Root, scan};
use model::inventory::Inventory;

fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from);
    if corpus.join("util-linux").is_dir() && corpus.join("hwloc").is_dir() && corpus.join("ghw").is_dir() {
        return Some(corpus);
    }
    eprintln!("SKIPPED: no recorded machines at {}; set BILLET_CORPUS", corpus.display());
    None
}

/// One recorded machine, unpacked.
struct Tree {
    /// As the archive is called, without its endings.
    name: String,
    dir: tempfile::TempDir,
}

impl Tree {
    /// Where its `sys` and `proc` are: at the top, or in the one folder there.
    fn root(&self) -> PathBuf {
        let top = self.dir.path();
        if top.join("sys").is_dir() || top.join("proc").is_dir() {
            return top.to_owned();
        }
        let inner = fs::read_dir(top).expect("unpacked").flatten().next().expect("something");
        inner.path()
    }

    fn scan(&self) -> Inventory {
        scan(&Root::at(self.root()), &Options::default())
    }

    /// A file's text, or nothing.
    fn text(&self, path: &str) -> String {
        fs::read(self.root().join(path))
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Every archive in a folder, unpacked, by name.
fn trees(folder: &Path) -> Vec<Tree> {
    let mut archives: Vec<PathBuf> =
        fs::read_dir(folder).expect("the corpus").flatten().map(|entry| entry.path()).collect();
    archives.retain(|path| path.to_string_lossy().contains(".tar."));
    archives.sort();
    archives.iter().map(|archive| unpack(archive)).collect()
}

/// Thousands of small files: in memory, where there is a place for that.
fn unpack(archive: &Path) -> Tree {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("temporary directory");
    let done = Command::new("tar").arg("xf").arg(archive).arg("-C").arg(dir.path()).status();
    assert!(done.expect("tar runs").success(), "{}", archive.display());
    let name = archive.file_name().expect("a name").to_string_lossy();
    let name = name.split(".tar.").next().expect("the first part").to_owned();
    Tree { name, dir }
}

/// `0-2,8`, and with steps as lscpu writes it: `0-62:2`.
fn numbers(list: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (range, step) = range.split_once(':').unwrap_or((range, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u32>().expect("a number");
        numbers.extend((number(first)..=number(last)).step_by(number(step) as usize));
    }
    numbers
}
