//! Erasing through the real kernel's drivers, in guests: each row's drive is read
//! whole from outside when the guest is off, for the secret that was on it.

mod broken;
mod nvme;
mod power_cut;
mod pulled;
mod qemu;
mod refused;
mod sas;

use std::{path::Path, sync::LazyLock};

use guest::boot::Boot;

/// Programs of this machine that rows run.
const PROGRAMS: [&str; 3] = ["/usr/sbin/dmsetup", "/usr/sbin/blkdiscard", "/usr/sbin/ip"];

static BOOT: LazyLock<Boot> =
    LazyLock::new(|| Boot::new(Path::new(env!("CARGO_BIN_EXE_erase-guest")), &PROGRAMS.map(Path::new)));
