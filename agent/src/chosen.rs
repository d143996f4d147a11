//! Opening the disk that was chosen, and no other: a name such as `/dev/sdb` may
//! have passed to another disk since the inventory was taken.

use disk::{Device, OpenError};
use inventory::{Options, Root, scan};
use model::inventory::Disk;

/// Why the chosen disk is not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenChosenError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its name is another disk's now.
    #[error("{path} is now {now}, and {chosen} was chosen; nothing was written: look at the disks again")]
    Another {
        /// The device node.
        path: String,
        /// What was chosen.
        chosen: String,
        /// What is there.
        now: String,
    },
}

/// Open `chosen` for us alone, and see that it is the one that was described.
///
/// # Errors
/// [`OpenChosenError`]; nothing was written.
pub(crate) fn open(root: &Root, chosen: &Disk) -> Result<Device, OpenChosenError> {
    let path = chosen.path();
    let device = Device::open(&path)?;
    // The kernel gives no name away while it is held open: what is there now stays.
    let only = Options { only_disks: vec![path.clone().into()], held: true, ..Options::default() };
    let found = scan(root, &only).disks.into_iter().next();
    match found {
        Some(found) if is_same(&found, chosen) => Ok(device),
        other => {
            let now = other.map_or_else(|| "gone".to_owned(), |disk| describe(&disk));
            Err(OpenChosenError::Another { path, chosen: describe(chosen), now })
        }
    }
}

fn is_same(one: &Disk, other: &Disk) -> bool {
    let identity = |disk: &Disk| {
        let Disk { model, serial, serial_aliases, wwn, size, logical_block, .. } = disk.clone();
        (model, serial, serial_aliases, wwn, size, logical_block)
    };
    identity(one) == identity(other)
}

fn describe(disk: &Disk) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    format!("a disk of {}, model {}, serial {}", disk.size, known(&disk.model), known(&disk.serial))
}
