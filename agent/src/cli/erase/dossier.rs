//! The folder of the documents: nothing in it is ever overwritten.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// So many documents of disks of one name are kept beside each other.
const MOST_OF_A_NAME: u32 = 10_000;

/// A folder that takes documents.
pub(super) struct Dossier(PathBuf);

impl Dossier {
    /// The folder at `path`, made if it is not there.
    pub(super) fn open(path: &PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("the evidence cannot go to {}; name a directory", path.display()))?;
        Ok(Self(path.clone()))
    }

    /// Keep the document of the disk at `device` as `sda.json`, or `sda.2.json`
    /// beside an earlier one, and see that it is on the medium.
    pub(super) fn keep(&self, device: &str, document: &Value) -> anyhow::Result<()> {
        let name = device.rsplit('/').next().unwrap_or(device);
        let (path, mut file) = self.create(name)?;
        let text = format!("{document}\n");
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(&self.0)?.sync_all())
            .with_context(|| {
                format!("{device} was dealt with, and its evidence is not in {}", path.display())
            })
    }

    fn create(&self, name: &str) -> anyhow::Result<(PathBuf, File)> {
        for number in 1..=MOST_OF_A_NAME {
            let file = if number == 1 { format!("{name}.json") } else { format!("{name}.{number}.json") };
            let path = self.0.join(file);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return opened.map(|file| (path.clone(), file)).with_context(|| cannot(&path)),
            }
        }
        bail!("{} has {MOST_OF_A_NAME} documents of {name}; name another directory", self.0.display())
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write the evidence {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_never_replaces_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let dossier = Dossier::open(&dir.path().join("new/folder")).unwrap();
        for said in ["first", "second"] {
            dossier.keep("/dev/sda", &said.into()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join("new/folder").join(name)).unwrap();
        assert_eq!((read("sda.json").as_str(), read("sda.2.json").as_str()), ("\"first\"\n", "\"second\"\n"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(Dossier::open(&dir.path().join("file")).is_err());
    }
}
