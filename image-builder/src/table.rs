//! The report on a ramdisk as a table for people.

use std::fmt::{self, Display};

use crate::ramdisk::Report;

/// The report of a ramdisk, to be shown to a person.
pub struct Table<'a>(pub &'a Report);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table(report) = self;
        let drivers = &report.drivers;
        let row = |f: &mut fmt::Formatter<'_>, what: &str, packed: u64, raw: Option<u64>, note: &str| {
            let raw = raw.map(mib).unwrap_or_default();
            writeln!(f, "{}", format!("{what:<44} {:>9} {raw:>9}  {note}", mib(packed)).trim_end())
        };
        writeln!(f, "{:<44} {:>9} {:>9}", "MiB", "download", "unpacked")?;
        row(f, "kernel", report.kernel.bytes, None, &report.kernel.release)?;
        row(f, "agent", report.agent.packed_bytes, Some(report.agent.bytes), "")?;
        let note = format!("{} modules", drivers.modules);
        row(f, "drivers", drivers.bytes, Some(drivers.raw_bytes), &note)?;
        for section in &drivers.sections {
            let note = section.modules.to_string();
            row(f, &format!("  {}", section.section), section.about_bytes, Some(section.raw_bytes), &note)?;
        }
        let firmware = &report.firmware;
        let note =
            format!("{} files; {} that drivers may ask for are not here", firmware.files, firmware.absent);
        row(f, "firmware", firmware.bytes, Some(firmware.bytes), &note)?;
        row(f, "initramfs", report.initramfs.bytes, Some(report.initramfs.raw_bytes), "")?;
        row(f, "kernel + initramfs", report.total_bytes, None, "")?;
        write!(f, "heaviest modules, unpacked:")?;
        for module in &drivers.heaviest {
            write!(f, " {} {}", module.module, mib(module.raw_bytes))?;
        }
        writeln!(f)?;
        if !drivers.absent.is_empty() {
            writeln!(f, "on the list but not in this kernel: {}", drivers.absent.join(", "))?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people, not for arithmetic")]
fn mib(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 20))
}
