//! `image.install_bootloader`: an entry in UEFI's boot menu for what was written.

use wire::ipa::ErrorClass;

use super::Machine;
use crate::command::{Failure, Outcome, Params, Reporter};

pub(super) fn install(_: &mut Machine, _: &Params, _: &Reporter) -> Result<Outcome, Failure> {
    Err(Failure::new(ErrorClass::CommandExecution, "UEFI boot entries are not served yet"))
}
