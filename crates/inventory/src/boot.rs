//! How the machine booted, and how it would.

use model::inventory::Boot;

use crate::{Options, machine, reader::Reader};

pub(crate) fn read(reader: &Reader<'_>, options: &Options) -> Boot {
    Boot {
        mode: machine::boot_mode(reader),
        interface: options.boot_interface.clone().or_else(|| machine::boot_interface(reader)),
        ..Boot::default()
    }
}
