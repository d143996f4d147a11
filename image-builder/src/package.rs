//! Debian packages without root: resolve, download, unpack, all kept in a cache.
//!
//! ```text
//! name ──apt-cache show──▶ Package ──apt-get download──▶ .deb ──dpkg-deb -x──▶ folder
//! ```
//!
//! apt checks the archive's signatures and the file's digest; the digest also names
//! the cached folder, so a cache is never stale.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    place,
    program::{self, ProgramError},
};

/// Meta packages that may stand between a name and the package with the files.
const META_LIMIT: usize = 4;

/// One package of this machine's Debian sources, as apt would install it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name: `linux-image-6.1.0-56-amd64`.
    pub name: String,
    /// Its version: `6.1.192-2`.
    pub version: String,
    /// Hex digits of the SHA-256 of its `.deb`.
    pub sha256: String,
    /// Names it depends on, first alternatives only.
    pub depends: Vec<String>,
}

/// Why there is no folder with a package's files.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// apt does not know it.
    #[error("apt knows no package {name}; run `apt-get update`, or see apt-cache search")]
    Unknown {
        /// The name asked for.
        name: String,
        /// What apt-cache says.
        #[source]
        err: ProgramError,
    },
    /// apt-cache's answer lacks a field.
    #[error("apt-cache show {name} has no {field}; run `apt-get update`")]
    Incomplete {
        /// The package.
        name: String,
        /// The absent field.
        field: &'static str,
    },
    /// A chain of meta packages without an end.
    #[error("{name} leads to no package with a kernel; name the versioned package")]
    NoKernel {
        /// The name asked for.
        name: String,
    },
    /// The download failed.
    #[error("{name} {version} was not downloaded; run `apt-get update` and check the network")]
    Download {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// What apt-get says.
        #[source]
        err: ProgramError,
    },
    /// The file could not be unpacked.
    #[error("{package} was not unpacked; delete it and try again")]
    Unpack {
        /// The `.deb`.
        package: PathBuf,
        /// What dpkg-deb says.
        #[source]
        err: ProgramError,
    },
    /// The cache failed.
    #[error("the cache folder {path} failed; is it writable, is the disk full?")]
    Cache {
        /// Where.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// Ask apt for `name`.
///
/// # Errors
/// When apt does not know it.
pub fn find(name: &str) -> Result<Package, PackageError> {
    let mut show = program::command("apt-cache");
    let answer = program::output(show.args(["show", "--no-all-versions", "--", name]))
        .map_err(|err| PackageError::Unknown { name: name.to_owned(), err })?;
    parse(name, &String::from_utf8_lossy(&answer))
}

/// Ask apt for the kernel package that `name` stands for: itself, or what the meta
/// package (`linux-image-amd64`) depends on today.
///
/// # Errors
/// When apt does not know it, or it leads to no versioned kernel.
pub fn find_kernel(name: &str) -> Result<Package, PackageError> {
    let mut package = find(name)?;
    for _ in 0..META_LIMIT {
        if package.name.contains(|letter: char| letter.is_ascii_digit() && package.name.contains('.')) {
            return Ok(package);
        }
        let next = package.depends.iter().find(|depend| depend.starts_with("linux-image-"));
        let Some(next) = next else { break };
        package = find(&next.clone())?;
    }
    Err(PackageError::NoKernel { name: name.to_owned() })
}

/// The folder in `cache` that holds the files of `package`, downloaded and unpacked
/// on first use.
///
/// # Errors
/// When the download, the unpacking or the cache fails.
pub fn unpacked(package: &Package, cache: &Path) -> Result<PathBuf, PackageError> {
    let failed = |path: &Path, err| PackageError::Cache { path: path.to_owned(), err };
    let folder = cache.join("packages").join(format!("{}-{}", package.name, &package.sha256[..16]));
    if folder.is_dir() {
        return Ok(folder);
    }
    let parent = cache.join("packages");
    fs::create_dir_all(&parent).map_err(|err| failed(&parent, err))?;
    let work = place::Scratch::new(&parent).map_err(|err| failed(&parent, err))?;
    let deb = download(package, work.path())?;
    let files = work.path().join("files");
    program::output(program::command("dpkg-deb").arg("-x").arg(&deb).arg(&files))
        .map_err(|err| PackageError::Unpack { package: deb, err })?;
    match fs::rename(&files, &folder) {
        Ok(()) => Ok(folder),
        // Another builder was faster; the digest in the name says that its files are these.
        Err(_) if folder.is_dir() => Ok(folder),
        Err(err) => Err(failed(&folder, err)),
    }
}

fn download(package: &Package, into: &Path) -> Result<PathBuf, PackageError> {
    let Package { name, version, .. } = package;
    let mut get = program::command("apt-get");
    get.current_dir(into).args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
    program::output(get.arg(format!("{name}={version}"))).map_err(|err| PackageError::Download {
        name: name.clone(),
        version: version.clone(),
        err,
    })?;
    let failed = |err| PackageError::Cache { path: into.to_owned(), err };
    for entry in fs::read_dir(into).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    Err(failed(io::ErrorKind::NotFound.into()))
}

/// The first stanza of `apt-cache show`.
fn parse(name: &str, answer: &str) -> Result<Package, PackageError> {
    let stanza = answer.split("\n\n").next().unwrap_or("");
    let field = |field: &'static str| {
        let line = stanza.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        line.ok_or(PackageError::Incomplete { name: name.to_owned(), field })
    };
    let sha256 = field("SHA256")?;
    if sha256.len() != 64 {
        return Err(PackageError::Incomplete { name: name.to_owned(), field: "SHA256" });
    }
    let depends = field("Depends").unwrap_or("");
    Ok(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        sha256: sha256.to_owned(),
        depends: depends
            .split(',')
            .filter_map(|depend| depend.split_whitespace().next())
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = "Package: linux-image-amd64\nVersion: 6.1.192-2\n\
        Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2), kmod | busybox\n\
        SHA256: 45457bcfc86c87585800b5656bdf2773b063a3bb95486b0e820d51e870491f8d\n\nPackage: other\n";

    #[test]
    fn a_stanza_of_apt_is_a_package() {
        let package = parse("linux-image-amd64", META).expect("a package");
        assert_eq!((&package.name[..], &package.version[..]), ("linux-image-amd64", "6.1.192-2"));
        assert_eq!(package.depends, ["linux-image-6.1.0-56-amd64", "kmod"]);
    }

    #[test]
    fn an_answer_without_a_digest_is_refused() {
        for answer in ["", "Package: a\nVersion: 1\n", "Package: a\nVersion: 1\nSHA256: beef\n"] {
            assert!(matches!(parse("a", answer), Err(PackageError::Incomplete { .. })), "{answer:?}");
        }
    }
}
