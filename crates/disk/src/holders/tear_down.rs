//! Stopping what stands on a disk. Nothing on the medium changes.

use std::{
    fs::{File, OpenOptions},
    io,
    path::PathBuf,
    thread,
    time::Duration,
};

use super::tree::{Layer, Tree};

/// How often a busy device is asked, a tenth of a second apart: another disk's
/// tear-down may be stopping the same array, or udev be reading it.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Why a disk could not be freed.
#[derive(Debug, thiserror::Error)]
pub enum TearDownError {
    /// Somebody uses it.
    #[error("{name} is in use by {}; unmount or stop that first", users.join(", "))]
    InUse {
        /// The disk.
        name: String,
        /// Mounts, swaps and layers that cannot be stopped here.
        users: Vec<String>,
    },
    /// A device that has to be spoken to did not open.
    #[error("cannot open {} to stop {name}; stop it by hand", path.display())]
    Open {
        /// The array or volume.
        name: String,
        /// What was to be opened.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// The kernel did not stop it.
    #[error("{name} cannot be stopped; see what has it open, and stop that first")]
    Stop {
        /// The array or volume.
        name: String,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
}

/// Stop every array and volume of `tree`, what stands on top first. Returns the
/// names of what was stopped. Refuses, and stops nothing, while any part of the
/// tree is mounted or swapped to; what is opened meanwhile the kernel refuses.
///
/// # Errors
/// [`TearDownError`] naming what could not be stopped; what stood on it is stopped already.
pub fn tear_down(tree: &Tree) -> Result<Vec<String>, TearDownError> {
    let users = tree.in_use();
    if !users.is_empty() {
        return Err(TearDownError::InUse { name: tree.name.clone(), users });
    }
    let mut stopped = Vec::new();
    for layer in tree.stacked() {
        stop(layer)?;
        tracing::info!(device = layer.name, disk = tree.name, "stopped, so that the disk is free");
        stopped.push(layer.name.clone());
    }
    Ok(stopped)
}

fn stop(tree: &Tree) -> Result<(), TearDownError> {
    let mut tries = 1;
    loop {
        match stop_once(tree) {
            Err(TearDownError::Stop { err, .. })
                if err.kind() == io::ErrorKind::ResourceBusy && tries < TRIES =>
            {
                tries += 1;
                thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// Stops what stands on a disk, through the node it is spoken to by.
type Command = fn(File, &Tree) -> io::Result<()>;

fn stop_once(tree: &Tree) -> Result<(), TearDownError> {
    let (path, command): (String, Command) = match tree.layer {
        Layer::Array => (format!("/dev/{}", tree.name), |array, _| sys::md::stop(array)),
        Layer::Mapped | Layer::Multipath => (sys::dm::CONTROL.to_owned(), |control, tree| {
            sys::dm::remove(control, tree.number.0, tree.number.1)
        }),
        Layer::Disk | Layer::Partition | Layer::Other => return Ok(()),
    };
    let name = || tree.name.clone();
    let node = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(node) => node,
        // An array spans disks: another disk's tear-down was faster.
        Err(err) if tree.layer == Layer::Array && is_gone(&err) => return Ok(()),
        Err(err) => return Err(TearDownError::Open { name: name(), path: path.into(), err }),
    };
    match command(node, tree) {
        Err(err) if is_gone(&err) => Ok(()),
        outcome => outcome.map_err(|err| TearDownError::Stop { name: name(), err }),
    }
}

fn is_gone(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(2 /* ENOENT */ | 6 /* ENXIO */ | 19 /* ENODEV */))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, layer: Layer, users: &[&str], above: Vec<Tree>) -> Tree {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        Tree { name: name.to_owned(), number: (8, 0), layer, users, above }
    }

    #[test]
    fn nothing_is_stopped_below_a_mount_or_a_layer_that_nobody_knows() {
        let gone = || tree("md-that-is-not-there", Layer::Array, &[], vec![]);
        let mounted = tree("sda1", Layer::Partition, &["the mount /srv"], vec![]);
        let foreign = tree("bcache0", Layer::Other, &[], vec![]);
        for (above, want) in [(mounted, "the mount /srv"), (foreign, "bcache0")] {
            let disk = tree("sda", Layer::Disk, &[], vec![gone(), above]);
            let error = tear_down(&disk).expect_err("in use");
            assert_eq!(error.to_string(), format!("sda is in use by {want}; unmount or stop that first"));
        }
        let disk = tree("sda", Layer::Disk, &[], vec![gone()]);
        assert_eq!(tear_down(&disk).expect("gone is as good as stopped"), ["md-that-is-not-there"]);
        assert!(tear_down(&tree("sda", Layer::Disk, &[], vec![])).expect("free").is_empty());
    }
}
