//! Kernel modules that rows load with options of their own, and unload again.

use std::{ffi::CString, io, path::Path, thread};

use init::{
    drivers::PACK_PATH,
    modules::{Loader, Pack},
};
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, delete_module, init_module},
    mount::{MsFlags, mount},
};

/// The kernel, with `options` for the module `name` and none for others.
struct WithOptions<'a> {
    name: &'a str,
    options: &'a str,
}

impl Loader for WithOptions<'_> {
    fn load(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let options = if name == self.name { self.options } else { "" };
        Ok(init_module(bytes, &CString::new(options)?)?)
    }
}

/// Load the module `name`, with underscores, and what it needs.
///
/// # Panics
/// When the kernel refuses.
pub fn load(name: &str, options: &str) {
    let mut pack = Pack::open_path(Path::new(PACK_PATH)).expect("a pack of modules");
    let loaded = pack.load(&[name], &WithOptions { name, options });
    assert!(loaded.failed.is_empty(), "{name} {options}: {:?}", loaded.failed);
}

/// Unload the module `name`; its drives are gone then. In a row that failed
/// already, somebody may still use them.
///
/// # Panics
/// When the kernel refuses.
pub fn unload(name: &str) {
    let c_name = CString::new(name).expect("a name");
    let unloaded = delete_module(&c_name, DeleteModuleFlags::O_NONBLOCK);
    assert!(unloaded.is_ok() || thread::panicking(), "{name}: {unloaded:?}");
}

/// Mount the file system in which some modules are told what to make.
///
/// # Panics
/// When the kernel refuses.
pub fn mount_configfs() {
    load("configfs", "");
    let nothing: Option<&str> = None;
    match mount(Some("configfs"), "/sys/kernel/config", Some("configfs"), MsFlags::empty(), nothing) {
        Ok(()) | Err(Errno::EBUSY) => {} // mounted already
        Err(err) => panic!("configfs: {err}"),
    }
}
