//! The machine as the steps see it: its inventory, its node, its key, and the
//! way out.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use erase::Medium;
use inventory::{Options, Root};
use model::{
    hints::{self, RootDeviceHints},
    inventory::{Disk, Inventory},
};
use serde_json::Value;
use wire::{
    ipa::{ErrorClass, NodeView},
    ironic::{LookupConfig, LookupNode},
};

use crate::{
    chosen,
    command::{Board, Failure},
    logs::RingLog,
};
use fetch::{Pace, Trust};

/// Disks of which an error tells why they are not the root disk: it is stored with the node.
const DISKS_EXPLAINED: usize = 16;

/// How the agent leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Power off.
    PowerOff,
    /// Restart, into what was written.
    Reboot,
}

/// What the lookup settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Whether an MD5 is accepted as a checksum.
    pub(crate) md5: bool,
    /// Formats that may be written; empty: no restriction.
    pub(crate) formats: Vec<String>,
}

impl From<&LookupConfig> for Settings {
    fn from(config: &LookupConfig) -> Self {
        Self { md5: config.agent_md5_checksum_enable, formats: config.permitted_image_formats.clone() }
    }
}

/// What `write_image` left for the commands after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// The disk, `/dev/…`.
    pub(crate) device: PathBuf,
    /// The MBR's disk identifier, `0x…`, or empty when there is none.
    pub(crate) root_uuid: String,
}

/// Everything the steps work on.
pub(crate) struct Machine {
    /// Where facts are read.
    pub(crate) root: Root,
    /// Which facts.
    pub(crate) options: Options,
    /// The node as last told.
    pub(crate) node: NodeView,
    /// What the lookup settled.
    pub(crate) settings: Settings,
    /// Whose certificates image servers may show.
    pub(crate) trust: Trust,
    /// How patiently they are waited for.
    pub(crate) downloads: Pace,
    /// Signs evidence.
    pub(crate) key: Arc<evidence::Key>,
    /// The log so far.
    pub(crate) logs: RingLog,
    /// The commands so far.
    pub(crate) board: Arc<Board<Machine>>,
    /// The way out.
    pub(crate) end: tokio::sync::mpsc::UnboundedSender<Ending>,
    /// Where the time comes from: `rtc` or `ntp`.
    pub(crate) clock_source: &'static str,
    /// efivarfs, where UEFI keeps its boot entries.
    pub(crate) efivars: PathBuf,
    /// Where the kernel shows what crashed kernels left.
    pub(crate) pstore: PathBuf,
    /// What was written.
    pub(crate) prepared: Option<Prepared>,
}

impl Machine {
    /// Read the hardware as it is now.
    pub(super) fn inventory(&self) -> Inventory {
        inventory::scan(&self.root, &self.options)
    }

    /// Follow what a conductor says about the node.
    pub(super) fn learn(&mut self, node: NodeView) {
        self.node = node;
    }

    /// The disks that may be touched: all, but for those the node says to skip.
    pub(super) fn disks(&self) -> Result<Vec<Disk>, Failure> {
        let inventory = self.inventory();
        let skip = self.skipped()?;
        Ok(hints::without_skipped(&inventory.disks, &skip).into_iter().cloned().collect())
    }

    /// Every disk, those that are skipped included, for who must answer for each.
    ///
    /// # Errors
    /// When some disk cannot be described, or there is none at all: more likely a
    /// driver is missing than every disk.
    pub(super) fn every_disk(&self) -> Result<Vec<Disk>, Failure> {
        let fail = |text: String| Err(Failure::new(ErrorClass::BlockDevice, text));
        let inventory = self.inventory();
        let left_out = inventory::left_out(&self.root, &self.options, &inventory);
        if !left_out.is_empty() {
            return fail(format!(
                "{} does not say what it is, so nothing is known about its data; it may be broken or locked: \
                 replace it or take it out",
                left_out.join(", ")
            ));
        }
        if inventory.disks.is_empty() {
            return fail(
                "this machine shows no disk at all, so nothing was done; does the ramdisk have the driver of its \
                 controller? A node that has none needs no such step"
                    .to_owned(),
            );
        }
        Ok(inventory.disks)
    }

    /// Open `disk` for us alone, if it still is the one that was chosen.
    pub(super) fn open(&self, disk: &Disk) -> Result<disk::Device, Failure> {
        chosen::open(&self.root, disk).map_err(|err| Failure::of(ErrorClass::BlockDevice, &err))
    }

    /// `skip_block_devices`, of the node's properties.
    fn skipped(&self) -> Result<Vec<RootDeviceHints>, Failure> {
        match self.node.properties.get("skip_block_devices") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(list) => serde_json::from_value(list.clone()).map_err(|err| {
                let text = format!("properties/skip_block_devices of the node: {err}");
                Failure::new(ErrorClass::InvalidCommandParams, text)
            }),
        }
    }

    /// The disk that gets the image.
    pub(super) fn root_disk(&self) -> Result<Disk, Failure> {
        let (disks, hints, skip) = (self.inventory().disks, self.root_hints()?, self.skipped()?);
        let told = hints::explain(&disks, hints.as_ref(), &skip, &lent);
        told.chosen().cloned().map_err(|err| {
            let reason = err.to_string();
            let why = told.short(DISKS_EXPLAINED);
            Failure::new(ErrorClass::DeviceNotFound, format!("{}; {why}", reason.trim_end_matches('.')))
        })
    }

    /// `root_device` of the instance, else of the node.
    fn root_hints(&self) -> Result<Option<RootDeviceHints>, Failure> {
        let given =
            ["instance_info", "properties"].iter().zip([&self.node.instance_info, &self.node.properties]);
        for (place, map) in given {
            match map.get("root_device") {
                None | Some(Value::Null) => (),
                Some(hints) => {
                    return serde_json::from_value(hints.clone()).map(Some).map_err(|err| {
                        let text = format!("{place}/root_device of the node: {err}");
                        Failure::new(ErrorClass::DeviceNotFound, text)
                    });
                }
            }
        }
        Ok(None)
    }

    /// A flag or number of the node's `driver_internal_info`.
    pub(super) fn internal(&self, key: &str) -> Option<&Value> {
        self.node.driver_internal_info.get(key).filter(|value| !value.is_null())
    }
}

/// Why `disk` is the operator's, lent by the BMC for a moment: no tenant's system goes there.
pub(crate) fn lent(disk: &Disk) -> Option<String> {
    match Medium::read(Path::new("/"), disk) {
        Medium::Installed | Medium::BootDisk(_) => None,
        Medium::Virtual(why) | Medium::BootStick(why) => Some(why),
    }
}

/// The node as the lookup told it.
pub(crate) fn view(node: &LookupNode) -> NodeView {
    NodeView {
        uuid: node.uuid.clone(),
        properties: node.properties.clone(),
        instance_info: node.instance_info.clone(),
        driver_internal_info: node.driver_internal_info.clone(),
    }
}
