//! What is between the kernel and a drive. SECURITY ERASE UNIT is one command of
//! hours: bridges reset the drive meanwhile, and some never unlock again (the
//! kernel's ATA wiki knows of drives lost behind USB).

use std::{fs, io, os::fd::AsFd, path::Path};

use super::sysfs::folder;

/// Drivers of SAS adapters that hand ATA commands to the drive and wait.
const ADAPTERS: [&str; 9] = [
    "mpt3sas",
    "mpt2sas",
    "mpi3mr",
    "pm80xx",
    "isci",
    "aic94xx",
    "mvsas",
    "hisi_sas",
    // The kernel's own loopback, with a drive in user space: tests.
    "tcm_loopback",
];

/// The way to the drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bridge {
    /// None, or one that is known to wait.
    None,
    /// USB.
    Usb,
    /// Another one, by the name of its driver.
    Unknown(String),
}

impl Bridge {
    /// Of the block device that is open as `node`, from sysfs.
    pub(crate) fn of(node: impl AsFd) -> io::Result<Self> {
        let path = folder(node)?.to_string_lossy().into_owned();
        let host = path.split('/').find(|part| is_numbered(part, "host")).unwrap_or_default();
        let driver = fs::read_to_string(Path::new("/sys/class/scsi_host").join(host).join("proc_name"));
        Ok(Self::at(&path, driver.unwrap_or_default().trim()))
    }

    /// From the device's path in sysfs and the name of its SCSI host's driver.
    fn at(path: &str, driver: &str) -> Self {
        if path.split('/').any(|part| is_numbered(part, "usb")) {
            Self::Usb
        } else if path.split('/').any(|part| is_numbered(part, "ata")) || ADAPTERS.contains(&driver) {
            Self::None
        } else {
            Self::Unknown(driver.to_owned())
        }
    }

    /// Why it is in the way; `None` when it is not.
    pub(crate) fn objection(&self) -> Option<String> {
        match self {
            Bridge::None => None,
            Bridge::Usb => Some("it is behind USB".to_owned()),
            Bridge::Unknown(driver) if driver.is_empty() => Some("its adapter is not known".to_owned()),
            Bridge::Unknown(driver) => {
                Some(format!("its adapter ({driver}) may be a RAID controller or a bridge"))
            }
        }
    }
}

/// `ata3` with the prefix `ata`.
fn is_numbered(part: &str, prefix: &str) -> bool {
    part.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ways_that_are_known_to_wait_are_no_bridge() {
        let pci = "/sys/devices/pci0000:00/0000:00:1f.2";
        for (path, driver, want) in [
            (format!("{pci}/ata3/host2/target2:0:0/2:0:0:0/block/sda"), "ahci", Bridge::None),
            (
                format!("{pci}/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda"),
                "mpt3sas",
                Bridge::None,
            ),
            (format!("{pci}/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb"), "uas", Bridge::Usb),
            (
                format!("{pci}/host0/target0:2:0/0:2:0:0/block/sda"),
                "megaraid_sas",
                Bridge::Unknown("megaraid_sas".into()),
            ),
            ("/sys/devices/virtual/block/loop0".to_owned(), "", Bridge::Unknown(String::new())),
        ] {
            assert_eq!(Bridge::at(&path, driver), want, "{path}");
        }
    }
}
