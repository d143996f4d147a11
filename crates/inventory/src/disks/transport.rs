//! How a disk is attached.

use std::{path::Path, str::FromStr};

use model::inventory::Transport;

use super::is_numbered;
use crate::reader::Reader;

/// How a disk is attached, told by what stands above it in the device tree.
pub(super) fn read(reader: &Reader<'_>, dir: &Path, name: &str) -> Option<Transport> {
    if name.starts_with("nvme") {
        return Some(Transport::Nvme);
    }
    if name.starts_with("vd") {
        return Some(Transport::Virtio);
    }
    if name.starts_with("mmcblk") {
        return Some(Transport::Mmc);
    }
    let above = |prefix| dir.iter().filter_map(|part| part.to_str()).find(|part| is_numbered(part, prefix));
    let host = above("host")?;
    let driver = || reader.text(format!("sys/class/scsi_host/{host}/proc_name")).unwrap_or_default();
    if above("session").is_some() {
        Some(Transport::Iscsi)
    } else if above("rport-").is_some() {
        Some(Transport::Fc)
    } else if above("end_device-").is_some() {
        Some(Transport::Sas)
    } else if above("usb").is_some() {
        Some(Transport::Usb)
    } else if above("ata").is_some() {
        let parallel = driver().starts_with("pata") || driver() == "ata_piix" || driver() == "ata_generic";
        Some(if parallel { Transport::Ata } else { Transport::Sata })
    } else {
        reader.exists(format!("sys/class/spi_host/{host}")).then_some(Transport::Spi)
    }
}

/// Host, channel, target and logical unit: `0:0:0:0`.
pub(crate) struct ScsiAddress {
    pub(crate) host: u32,
    pub(crate) channel: u32,
    pub(crate) target: u32,
    pub(crate) lun: u64,
}

impl FromStr for ScsiAddress {
    type Err = NotAScsiAddress;

    fn from_str(text: &str) -> Result<Self, NotAScsiAddress> {
        let parts: Vec<&str> = text.split(':').collect();
        let [host, channel, target, lun] = parts[..] else { return Err(NotAScsiAddress) };
        let number = |text: &str| text.parse().map_err(|_| NotAScsiAddress);
        Ok(Self {
            host: number(host)?,
            channel: number(channel)?,
            target: number(target)?,
            lun: lun.parse().map_err(|_| NotAScsiAddress)?,
        })
    }
}

/// A name in the SCSI part of the device tree is not a logical unit's.
pub(crate) struct NotAScsiAddress;
