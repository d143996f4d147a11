//! `standby.*` but for the image: what was written, and the way out.

use serde_json::json;
use wire::ipa::ErrorClass;

use super::{Ending, Machine};
use crate::command::{Failure, Outcome, Params, Reporter};

type Done = Result<Outcome, Failure>;

/// The identifier of what `write_image` wrote; `{}` when it wrote nothing.
pub(super) fn get_partition_uuids(machine: &mut Machine, _: &Params, _: &Reporter) -> Done {
    Ok(Outcome::Data(match &machine.prepared {
        Some(prepared) => json!({ "root uuid": prepared.root_uuid }),
        None => json!({}),
    }))
}

/// Return when everything is on the disks.
pub(super) fn sync(machine: &mut Machine, _: &Params, _: &Reporter) -> Done {
    flush(machine)?;
    Ok(Outcome::Nothing)
}

pub(super) fn power_off(machine: &mut Machine, _: &Params, _: &Reporter) -> Done {
    end(machine, Ending::PowerOff)
}

pub(super) fn run_image(machine: &mut Machine, _: &Params, _: &Reporter) -> Done {
    end(machine, Ending::Reboot)
}

fn end(machine: &mut Machine, ending: Ending) -> Done {
    machine.end.send(ending).map_err(|_| {
        Failure::new(ErrorClass::SystemReboot, "this agent is ending already; power-cycle the node")
    })?;
    Ok(Outcome::Nothing)
}

/// Writers of ours are synchronous and prove themselves; this is for what the
/// kernel may still hold for others.
fn flush(machine: &Machine) -> Result<(), Failure> {
    for disk in machine.disks()? {
        let path = disk.path();
        let fail = |err: std::io::Error| {
            Failure::new(ErrorClass::BlockDevice, format!("cannot flush {path}: {err}; check the disk"))
        };
        match std::fs::File::open(&path) {
            Ok(file) => file.sync_all().map_err(fail)?,
            Err(err) => return Err(fail(err)),
        }
    }
    Ok(())
}
