//! The disks that are written: loop devices over a file on tmpfs and on the
//! machine's own disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::program::run;

/// What the file of a loop device is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Memory: the disk is not the bottleneck.
    Tmpfs,
    /// The file system that `target/` is on.
    Disk,
}

impl Kind {
    /// As in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Tmpfs => "tmpfs",
            Kind::Disk => "disk",
        }
    }
}

/// A tmpfs for the disk in memory and for what peers stage there.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Mount it at `path`; what an interrupted benchmark left there goes first.
    ///
    /// # Errors
    /// When it cannot be mounted: not root.
    pub(crate) fn mount(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)?;
        let path = path.canonicalize()?;
        for file in fs::read_dir(&path)? {
            detach(&file?.path())?;
        }
        while run(Command::new("umount").arg(&path)).is_ok() {}
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=12g", "billet-bench"]).arg(&path))
            .context("root is needed")?;
        Ok(Self { path })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}

/// A loop device, detached when dropped, its file removed.
pub(crate) struct Disk {
    /// `/dev/loopN`.
    pub(crate) device: PathBuf,
    file: PathBuf,
    mib: u64,
}

impl Disk {
    /// A disk of `mib` MiB over `file`.
    ///
    /// # Errors
    /// When losetup fails.
    pub(crate) fn attach(file: &Path, mib: u64) -> Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        detach(file)?;
        fs::File::create(file)?.set_len(mib << 20)?;
        let file = file.canonicalize()?;
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(&file))?;
        Ok(Self { device: device.into(), file, mib })
    }

    /// The same state for everybody: every block of the file has its place, and
    /// nothing waits to be written. Holes that one way leaves would cost the
    /// next one time.
    ///
    /// # Errors
    /// When the file system is full.
    pub(crate) fn reset(&self) -> Result<()> {
        run(Command::new("blockdev").arg("--flushbufs").arg(&self.device))?;
        run(Command::new("fallocate").args(["--length", &format!("{}MiB", self.mib)]).arg(&self.file))?;
        run(Command::new("sync").arg(&self.file)).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
        let _ = fs::remove_file(&self.file);
    }
}

/// Detach what an interrupted benchmark left attached to `file`.
fn detach(file: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let devices =
        run(Command::new("losetup").args(["--noheadings", "--output", "NAME", "--associated"]).arg(file))?;
    for device in devices.lines() {
        run(Command::new("losetup").arg("--detach").arg(device.trim()))?;
    }
    Ok(())
}
