//! `image.install_bootloader`: an entry in UEFI's boot menu for what was
//! written. Under BIOS the image's own boot sector does it all.

use std::error::Error;

use disk::Target;
use efi::HardDrive;
use model::inventory::BootMode;
use serde_json::Value;
use wire::ipa::ErrorClass;

use super::{Machine, volume::Volume};
use crate::command::{Failure, Outcome, Params, Reporter, chain};

/// What the menu shows when the image names nothing. Always the same, so that
/// the entry of the previous deployment goes.
const LABEL: &str = "billet";

/// Do what the firmware of this machine needs.
pub(super) fn install(machine: &mut Machine, params: &Params, _: &Reporter) -> Result<Outcome, Failure> {
    let result = match machine.inventory().boot.mode {
        BootMode::Uefi => add_entry(machine),
        BootMode::Bios => nothing_to_do(params),
    };
    match result {
        Err(failure) if params.get("ignore_bootloader_failure").and_then(Value::as_bool) == Some(true) => {
            tracing::warn!("ignored, as told: {}", failure.details);
            Ok(Outcome::Nothing)
        }
        result => result.map(|()| Outcome::Nothing),
    }
}

/// A whole-disk image brings its own boot sector. For others Ironic's agent
/// would run grub-install out of the image; this agent runs no tenant's code.
fn nothing_to_do(params: &Params) -> Result<(), Failure> {
    match params.get("root_uuid").and_then(Value::as_str) {
        None | Some("" | "0x00000000") => Ok(()),
        Some(root_uuid) => {
            let text = format!(
                "installing a boot loader for root file system {root_uuid} would run the image's own programs, \
                 which this agent never does; use a whole-disk image"
            );
            Err(Failure::new(ErrorClass::InvalidImage, text))
        }
    }
}

/// Find the loader on the disk that was written and put it first in the menu.
fn add_entry(machine: &Machine) -> Result<(), Failure> {
    let Some(prepared) = &machine.prepared else {
        let text = "no image was written since this agent started; run write_image first";
        return Err(Failure::new(ErrorClass::DeviceNotFound, text));
    };
    let path = prepared.device.display().to_string();
    let on_disk = |class, err: &dyn Error| Failure::new(class, format!("{path}: {}", chain(err)));
    let mut device =
        disk::Device::open(&prepared.device).map_err(|err| on_disk(ErrorClass::BlockDevice, &err))?;
    let esp = disk::gpt::esp(&mut device)
        .map_err(|err| on_disk(ErrorClass::DeviceNotFound, &err))?
        .ok_or_else(|| {
            let text = format!("No EFI partition could be detected on {path}; use an image made for UEFI");
            Failure::new(ErrorClass::DeviceNotFound, text)
        })?;
    let block = device.block().get();
    let drive = HardDrive {
        partition: esp.number,
        start_blocks: esp.start.0 / block,
        length_blocks: esp.length.0 / block,
        id: esp.id.0,
    };
    let volume = Volume::new(device, esp.start, esp.length);
    let loader = efi::find_loader(volume).map_err(|err| on_disk(ErrorClass::DeviceNotFound, &err))?;
    let label = loader.label.as_deref().unwrap_or(LABEL);
    let number = efi::add_boot_entry(&machine.efivars, label, &drive, &loader.path)
        .map_err(|err| on_disk(ErrorClass::CommandExecution, &err))?;
    tracing::info!(number, label, loader = loader.path, disk = path, "boot entry");
    Ok(())
}
