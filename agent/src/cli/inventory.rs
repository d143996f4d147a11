//! `billet-agent inventory`: what this machine is made of, or a recorded one.

mod explain;
mod metal3;
mod table;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use inventory::{Depth, Options, lldp::Patience, scan};
use model::inventory::{Disk, Inventory};

use crate::{inspection, json, steps::lent};

/// Arguments of `inventory`.
///
/// Nothing is changed. What could not be read is listed under `warnings`; the exit
/// status is 0 then too.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Read another machine: a recording made by `record`, or a directory that
    /// has its sys/ and proc/.
    #[arg(long, value_name = "DIR|FILE.tar.zst")]
    root: Option<PathBuf>,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Listen to switches (LLDP), for at most so long; they speak every 30 seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "root")]
    lldp: Option<u64>,
    /// Look at this disk only; may be given again, and may be a loop device.
    #[arg(long, value_name = "DEV")]
    only_disk: Vec<PathBuf>,
    #[command(flatten)]
    explain: explain::Wanted,
}

/// How an inventory is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// All that is known, with warnings.
    Json,
    /// One screen for a person.
    Table,
    /// As Ironic stores it.
    Ironic,
    /// What an inspection would post to Ironic, with every collector but `logs`.
    Inspection,
    /// `HardwareDetails`, for Metal3's annotation inspect.metal3.io/hardwaredetails.
    Metal3,
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let recorded = args.root.is_some();
    let root = super::record::open(args.root.as_deref())?;
    let depth = if args.explain.is_asked() { Depth::Quick } else { Depth::Whole };
    let lldp = args.lldp.map(|seconds| Patience::of(Duration::from_secs(seconds)));
    let options = Options { only_disks: args.only_disk, depth, lldp, ..Options::default() };
    let inventory = scan(&root, &options);
    // What the BMC lends now is no matter of a machine recorded elsewhere.
    let left_out = |disk: &Disk| if recorded { None } else { lent(disk) };
    if let Some((text, exit)) = args.explain.run(&inventory.disks, &left_out)? {
        io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(exit);
    }
    let text = written(&inventory, if args.json { Format::Json } else { args.format })?;
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn written(inventory: &Inventory, format: Format) -> serde_json::Result<String> {
    let text = match format {
        Format::Table => return Ok(table::draw(inventory)),
        Format::Json => json::pretty(inventory),
        Format::Ironic => json::pretty(&wire::ipa::Inventory::from(inventory)),
        Format::Inspection => json::pretty(&inspection::whole(inventory)),
        Format::Metal3 => json::pretty(&metal3::HardwareDetails::from(inventory)),
    };
    text.map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use inventory::Root;

    use super::*;

    #[test]
    fn every_recorded_machine_is_written_as_expected() {
        for machine in hardware_fixtures::machines() {
            let root = Root::open(machine.dir()).expect(&machine.name);
            let inventory = scan(&root, &Options { depth: Depth::Whole, ..Options::default() });
            for (format, file) in [(Format::Table, "table.txt"), (Format::Metal3, "metal3.json")] {
                machine.expect(file, &written(&inventory, format).expect("plain data"));
            }
        }
    }
}
