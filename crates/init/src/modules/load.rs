//! Giving modules to the kernel.

use std::io::{self, Read, Seek};

use nix::errno::Errno;

use super::{OpenError, Pack};

/// What takes a module: the kernel, or a test.
pub trait Loader: Sync {
    /// Load the module `name` from the ELF file `bytes`.
    ///
    /// # Errors
    /// What the kernel says; `EEXIST` means that it is loaded already.
    fn load(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
}

/// What became of loading modules. A module that fails stops no other: a
/// machine with one dead NIC still boots from the other.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Loaded now, in order.
    pub loaded: Vec<String>,
    /// Not loaded, and why.
    pub failed: Vec<LoadError>,
}

/// Why one module is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The pack could not give its bytes.
    #[error("module {name} could not be unpacked")]
    Unpack {
        /// The module.
        name: String,
        /// Why.
        #[source]
        err: OpenError,
    },
    /// The module itself says that this machine has nothing for it (`ENODEV`): usual
    /// for modules that are loaded on suspicion.
    #[error("module {name} found nothing to drive")]
    NoDevice {
        /// The module.
        name: String,
    },
    /// The kernel refused it.
    #[error("the kernel refused module {name}; is it built for this kernel?")]
    Refused {
        /// The module.
        name: String,
        /// Why.
        #[source]
        err: io::Error,
    },
}

impl<S: Read + Seek> Pack<S> {
    /// Load `names` with everything they need, one after the other. The unpacked
    /// block is given back at the end.
    pub fn load(&mut self, names: &[&str], loader: &impl Loader) -> Loaded {
        let plan: Vec<String> = self.plan(names).map(str::to_owned).collect();
        let mut outcome = Loaded::default();
        for name in plan {
            match self.load_one(&name, loader) {
                Ok(()) => outcome.loaded.push(name),
                Err(err) => outcome.failed.push(err),
            }
        }
        self.forget();
        outcome
    }

    /// Load the module `name` and nothing else.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub(crate) fn load_one(&mut self, name: &str, loader: &impl Loader) -> Result<(), LoadError> {
        match self.bytes(name) {
            Ok(Some(bytes)) => give(name, bytes, loader),
            Ok(None) => Ok(()), // plans name only modules of the pack
            Err(err) => Err(LoadError::Unpack { name: name.to_owned(), err }),
        }
    }
}

/// Give one module to the kernel. One that is there already is fine.
pub(crate) fn give(name: &str, bytes: &[u8], loader: &impl Loader) -> Result<(), LoadError> {
    match loader.load(name, bytes) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) if err.raw_os_error() == Some(Errno::ENODEV as i32) => {
            Err(LoadError::NoDevice { name: name.to_owned() })
        }
        result => result.map_err(|err| LoadError::Refused { name: name.to_owned(), err }),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io::Cursor, sync::Mutex};

    use super::*;
    use crate::modules::pack::{Contents, ModuleFile, write};

    /// A kernel that has every symbol only after the module that owns it.
    #[derive(Default)]
    struct Kernel {
        loaded: Mutex<BTreeSet<String>>,
        broken: &'static str,
    }

    impl Loader for Kernel {
        fn load(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            let text = std::str::from_utf8(bytes).expect("the sample is text");
            let mut loaded = self.loaded.lock().expect("no test panics with it");
            if name == self.broken || !text.split_whitespace().all(|need| loaded.contains(need)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            if loaded.insert(name.to_owned()) { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
        }
    }

    /// A chain of modules a ← b ← c …, each naming its need in its bytes.
    fn chain() -> Pack<Cursor<Vec<u8>>> {
        let module = |name: char| {
            let depends: Vec<String> =
                (name > 'a').then(|| char::from(name as u8 - 1).to_string()).into_iter().collect();
            ModuleFile {
                name: name.to_string(),
                bytes: depends.concat().into_bytes(),
                depends,
                ..ModuleFile::default()
            }
        };
        let mut out = Vec::new();
        write(
            Contents { modules: ('a'..='f').rev().map(module).collect(), ..Contents::default() },
            &mut out,
            1,
        )
        .expect("a pack");
        Pack::open(Cursor::new(out)).expect("a pack")
    }

    #[test]
    fn needs_are_loaded_first_and_modules_that_are_there_are_no_error() {
        let kernel = Kernel::default();
        let outcome = chain().load(&["d", "b"], &kernel);
        assert_eq!(outcome.loaded, ["a", "b", "c", "d"]);
        let outcome = chain().load(&["e"], &kernel); // the kernel says EEXIST to all but e
        assert_eq!(outcome.loaded, ["a", "b", "c", "d", "e"]);
        assert!(outcome.failed.is_empty());
    }

    #[test]
    fn a_module_that_fails_stops_only_those_that_need_it() {
        let kernel = Kernel { broken: "c", ..Kernel::default() };
        let outcome = chain().load(&["d"], &kernel);
        assert_eq!(outcome.loaded, ["a", "b"]);
        assert_eq!(outcome.failed.len(), 2);
    }
}
