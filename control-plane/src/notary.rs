//! billetd's own evidence key: made at its first start, kept beside the database.
//!
//! With it every certificate that comes is countersigned, whatever it says, and
//! chained to the one before; nobody but billetd can make a link.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use evidence::{
    Key, KeyError, SignError, Signed,
    chain::{self, Link},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What the key's file is called, after the database's name.
const SUFFIX: &str = ".evidence.pem";
/// Whoever reads it can make links.
const OWNER_ONLY: u32 = 0o600;
/// The longest file read, in bytes; ours is some 900.
const FILE_LIMIT: u64 = 64 << 10;

/// What to do when the database knows a key and it is not the one in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LostKey {
    /// Do not start.
    #[default]
    Refuse,
    /// Go on with the file's; the database keeps both certificates.
    Replace,
}

/// Signs what billetd keeps of erasures. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notary {
    key: Arc<Key>,
    file: PathBuf,
}

/// Why billetd has no evidence key.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// The file cannot be read or written.
    #[error("cannot use the evidence key {}; check that its folder is writable and the file is billetd's own", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        err: io::Error,
    },
    /// The file holds something else.
    #[error("{} is no evidence key: {reason}; restore it from a backup", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its key does not sign.
    #[error("the evidence key {} is not usable; restore it from a backup", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        err: KeyError,
    },
    /// No key could be made.
    #[error("cannot make an evidence key")]
    Make(#[source] rcgen::Error),
}

impl Notary {
    /// The key beside `database`, made when there is none.
    ///
    /// # Errors
    /// [`NotaryError`]; a file that is there is never overwritten.
    pub fn open(database: &Path) -> Result<Self, NotaryError> {
        let mut file = database.as_os_str().to_owned();
        file.push(SUFFIX);
        let file = PathBuf::from(file);
        if !file.try_exists().map_err(|err| failed(&file, err))? {
            let made = make()?;
            place(&file, &made).map_err(|err| failed(&file, err))?;
        }
        let text = read(&file).map_err(|err| failed(&file, err))?;
        let key = parse(&file, &text)?;
        Ok(Self { key: Arc::new(key), file })
    }

    /// The certificate that its signatures carry, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        self.key.certificate().as_str()
    }

    /// Where the key is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The link after `last` in the chain of `node`.
    ///
    /// # Errors
    /// [`SignError`], also when `content` has no canonical form.
    pub fn link(
        &self,
        node: Uuid,
        last: Option<&Link>,
        content: Map<String, Value>,
    ) -> Result<Signed, SignError> {
        evidence::sign(chain::link(&node.to_string(), last, content), &self.key)
    }

    /// The signed length of the chain of `node` that ends in `last`.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn head(&self, node: Uuid, last: Option<&Link>) -> Result<Signed, SignError> {
        let at = crate::clock::Time::now().to_string();
        evidence::sign(chain::head(&node.to_string(), last, &at), &self.key)
    }
}

fn failed(path: &Path, err: io::Error) -> NotaryError {
    NotaryError::File { path: path.to_owned(), err }
}

/// Private key and certificate, PEM. The certificate has no end: it is pinned, not trusted by date.
fn make() -> Result<String, NotaryError> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).map_err(NotaryError::Make)?;
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "billetd evidence");
    let certificate = parameters.self_signed(&pair).map_err(NotaryError::Make)?;
    Ok(pair.serialize_pem() + &certificate.pem())
}

/// Whole and durable, or not at all; another process may do the same right now,
/// and then its file stands.
fn place(file: &Path, content: &str) -> io::Result<()> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut open = fs::OpenOptions::new();
    let mut out = open.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&draft)?;
    io::Write::write_all(&mut out, content.as_bytes())?;
    out.sync_all()?;
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    match linked {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => Err(err),
        Ok(()) | Err(_) => fs::File::open(folder)?.sync_all(),
    }
}

/// The file's text; nobody else may read it from here on.
fn read(file: &Path) -> io::Result<String> {
    let opened = fs::File::open(file)?;
    let metadata = opened.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "the evidence key was readable by others; it is not any more");
        opened.set_permissions(fs::Permissions::from_mode(OWNER_ONLY))?;
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(opened, FILE_LIMIT), &mut text)?;
    Ok(text)
}

fn parse(file: &Path, text: &str) -> Result<Key, NotaryError> {
    let secret = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| NotaryError::Unreadable { path: file.to_owned(), reason: error.to_string() })?;
    let certificate = text.find("-----BEGIN CERTIFICATE").map_or("", |at| &text[at..]);
    Key::new(secret.secret_pkcs8_der(), certificate)
        .map_err(|err| NotaryError::Key { path: file.to_owned(), err })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_its_owners_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("billet.sqlite");
        let made = Notary::open(&database).expect("made");
        let mode = fs::metadata(made.file()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        fs::set_permissions(made.file(), fs::Permissions::from_mode(0o644)).expect("opened up");
        let found = Notary::open(&database).expect("found");
        assert_eq!(found.certificate(), made.certificate());
        assert_eq!(fs::metadata(made.file()).expect("there").permissions().mode() & 0o777, OWNER_ONLY);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("billet.sqlite");
        let mine = make().expect("a key");
        let (secret, _) = mine.split_at(mine.find("-----BEGIN CERT").expect("a certificate"));
        let other = make().expect("a key");
        let mixed = format!("{secret}{}", &other[other.find("-----BEGIN CERT").expect("a certificate")..]);
        for text in ["", "hello", secret, &mixed] {
            let file = folder.path().join("billet.sqlite.evidence.pem");
            fs::write(&file, text).expect("written");
            assert!(Notary::open(&database).is_err(), "{text:?}");
            assert_eq!(fs::read_to_string(&file).expect("still there"), text);
        }
    }
}
