//! Devices of the device mapper, for drives that fail, lie, or are in use.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use model::inventory::Disk;

use crate::{bench::Bench, modules, programs};

/// A device of the device mapper, until dropped.
pub(super) struct Mapped(&'static str);

impl Mapped {
    pub(super) fn new(name: &'static str, table: &str) -> Self {
        modules::load("dm_mod", "");
        programs::run("dmsetup", &["create", name, "--table", table]);
        Self(name)
    }

    /// As LVM makes them: known by its UUID.
    pub(super) fn volume(name: &'static str, table: &str) -> Self {
        Self::known_as("LVM-0123456789abcdefghijklmnopqrstuv0123456789abcdefghijklmnopqrstuv", name, table)
    }

    /// As multipath-tools make them, with one path.
    pub(super) fn multipath(name: &'static str, table: &str) -> Self {
        Self::known_as("mpath-360000000000000001", name, table)
    }

    fn known_as(uuid: &str, name: &'static str, table: &str) -> Self {
        modules::load("dm_mod", "");
        programs::run("dmsetup", &["create", name, "--uuid", uuid, "--table", table]);
        Self(name)
    }

    /// True until somebody removed it.
    pub(super) fn exists(&self) -> bool {
        self.folder().is_some()
    }

    pub(super) fn disk(&self, bench: &Bench) -> Disk {
        let folder = self.folder().expect("a mapped device");
        bench.disk_at(&Path::new("/dev").join(folder.file_name().expect("a name")))
    }

    /// Found by its name in sysfs: nobody makes links below `/dev` here.
    fn folder(&self) -> Option<PathBuf> {
        let is_this = |folder: &PathBuf| {
            fs::read_to_string(folder.join("dm/name")).is_ok_and(|name| name.trim() == self.0)
        };
        fs::read_dir("/sys/block").expect("sysfs").flatten().map(|entry| entry.path()).find(is_this)
    }

    /// Have it do what `table` says from now on.
    pub(super) fn change(&self, table: &str) {
        programs::run("dmsetup", &["suspend", self.0]);
        programs::run("dmsetup", &["load", self.0, "--table", table]);
        programs::run("dmsetup", &["resume", self.0]);
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.exists() && !thread::panicking() {
            programs::run("dmsetup", &["remove", self.0]);
        }
    }
}
