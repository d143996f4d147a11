//! Disks an image may be written to: which block devices count, and what each is.

mod duplicates;
mod namespace;
mod partitions;
mod place;
mod queue;
mod transport;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use disk::Facts;
use model::inventory::{Disk, DiskKind};

pub(crate) use self::transport::ScsiAddress;
use crate::{
    Depth, Options, by_path,
    drive::{Drive, Kind, Patience},
    identity,
    reader::Reader,
};

const BLOCK: &str = "sys/block";

/// Kernel names that never are an installable disk: floppies, RAM, optical
/// drives, network block devices without a server, MTD.
const NEVER: [&str; 6] = ["fd", "ram", "zram", "sr", "mtdblock", "loop"];

/// What is read once for all disks.
struct Machine<'a> {
    reader: &'a Reader<'a>,
    depth: Depth,
    patience: Patience,
    /// Every block device, partitions included.
    devices: Vec<String>,
    slots: place::Slots,
}

/// All disks by device number (as `lsblk` lists them, so that "the first that
/// matches" is the same disk), or exactly those that `options` name.
pub(crate) fn read(reader: &Reader<'_>, options: &Options) -> Vec<Disk> {
    let machine = Machine {
        reader,
        depth: options.depth,
        patience: Patience::new(options.held),
        devices: reader.list("sys/class/block"),
        slots: place::Slots::read(reader),
    };
    let only = &options.only_disks;
    let disks: Vec<_> = if only.is_empty() {
        let names = reader.list(BLOCK);
        let members = multipath_members(reader, &names);
        names
            .iter()
            .filter(|name| !members.contains(*name))
            .filter_map(|name| Some((name, kind(reader, name)?)))
            .filter_map(|(name, kind)| describe(&machine, name, kind))
            .collect()
    } else {
        only.iter().filter_map(|path| describe_only(&machine, path)).collect()
    };
    // Read for one disk too: what a recording lacks, nobody can plan an erase by.
    let place = |disk: Disk| ((number(reader, &disk.name), disk.name.clone()), disk);
    let mut placed: Vec<_> = disks.into_iter().map(place).collect();
    placed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut disks: Vec<Disk> = placed.into_iter().map(|(_, disk)| disk).collect();
    disks.dedup_by(|a, b| a.name == b.name);
    duplicates::warn(reader, &disks);
    disks
}

/// What counts as a disk and is not among `described`: broken, locked, or not
/// understood. An empty slot for removable media is no disk, nor is a device of
/// no size that no hardware stands behind.
pub(crate) fn left_out(reader: &Reader<'_>, only: &[PathBuf], described: &[Disk]) -> Vec<String> {
    let known = |name: &str| described.iter().any(|disk| disk.name == name);
    if !only.is_empty() {
        let lacking = only.iter().filter(|path| !known(&name_of(reader, path)));
        return lacking.map(|path| path.display().to_string()).collect();
    }
    let names = reader.list(BLOCK);
    let members = multipath_members(reader, &names);
    let counts = |name: &&String| !members.contains(*name) && kind(reader, name).is_some();
    let lacking = names.iter().filter(counts).filter(|name| !known(name) && !is_empty_slot(reader, name));
    lacking.map(|name| format!("/dev/{name}")).collect()
}

fn is_empty_slot(reader: &Reader<'_>, name: &str) -> bool {
    let of = |attribute: &str| reader.text(format!("{BLOCK}/{name}/{attribute}"));
    let removable = of("removable").as_deref() == Some("1");
    of("size").as_deref() == Some("0") && (removable || !reader.exists(format!("{BLOCK}/{name}/device")))
}

/// What sort of disk `name` is, if it is one that counts.
fn kind(reader: &Reader<'_>, name: &str) -> Option<DiskKind> {
    let of = |attribute: &str| reader.text(format!("{BLOCK}/{name}/{attribute}"));
    if NEVER.iter().any(|prefix| is_numbered(name, prefix)) || of("hidden").as_deref() == Some("1") {
        return None;
    }
    if name.starts_with("dm-") {
        return of("dm/uuid").filter(|uuid| uuid.starts_with("mpath-")).map(|_| DiskKind::Multipath);
    }
    if is_numbered(name, "md") || name.starts_with("md_d") {
        return of("md/level").filter(|level| level.starts_with("raid")).map(|_| DiskKind::Raid);
    }
    Some(DiskKind::Disk)
}

/// `prefix` and a number; `fd0` is a floppy and `fdisk` would not be.
fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Disks that a multipath map stands for.
fn multipath_members(reader: &Reader<'_>, names: &[String]) -> BTreeSet<String> {
    let is_map = |name: &&String| name.starts_with("dm-") && kind(reader, name) == Some(DiskKind::Multipath);
    let slaves = |map: &String| reader.list(format!("{BLOCK}/{map}/slaves"));
    model::order::set(names.iter().filter(is_map).flat_map(slaves))
}

/// A disk the caller named, whatever it is.
fn describe_only(machine: &Machine<'_>, path: &Path) -> Option<Disk> {
    let reader = machine.reader;
    let name = name_of(reader, path);
    let name = name.as_str();
    if name.is_empty() || !reader.exists(format!("{BLOCK}/{name}")) {
        reader.warn(path, "is not a whole disk of this machine");
        return None;
    }
    let kind =
        if is_numbered(name, "loop") { DiskKind::Loop } else { kind(reader, name).unwrap_or(DiskKind::Disk) };
    describe(machine, name, kind)
}

/// The kernel's name for the device at `path`, links followed; may be empty.
fn name_of(reader: &Reader<'_>, path: &Path) -> String {
    let node = fs::canonicalize(path).ok().filter(|_| reader.is_live()).unwrap_or_else(|| path.to_owned());
    node.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

/// Everything about one disk. A disk whose size or block size is not known
/// cannot be used, so it is left out, with a warning; one of size zero has no
/// medium.
fn describe(machine: &Machine<'_>, name: &str, kind: DiskKind) -> Option<Disk> {
    let reader = machine.reader;
    let dir = reader.real(format!("{BLOCK}/{name}"))?;
    let attribute = |path: &Path| reader.text(path).ok_or_else(|| io::ErrorKind::NotFound.into());
    let facts = match Facts::parse(name, &dir, attribute) {
        Ok(facts) => facts,
        Err(err) => {
            reader.warn(format!("{BLOCK}/{name}"), format_args!("left out: {err}"));
            return None;
        }
    };
    if facts.size.0 == 0 {
        return None;
    }
    let mut paths = by_path::links(reader, &dir).into_iter();
    let mut disk = Disk {
        kind,
        size: facts.size,
        logical_block: facts.block,
        physical_block: facts.physical_block,
        rotational: facts.rotational,
        read_only: facts.read_only,
        removable: reader.text(dir.join("removable")).as_deref() == Some("1"),
        hctl: reader.list(dir.join("device/scsi_device")).into_iter().next(),
        by_path: paths.next(),
        by_path_aliases: paths.collect(),
        transport: transport::read(reader, &dir, name),
        namespace: namespace::read(reader, &dir, name),
        members: reader.list(dir.join("slaves")),
        holders: reader.list(dir.join("holders")),
        partitions: partitions::read(reader, &dir, name, &machine.devices),
        name: facts.name,
        ..Disk::default()
    };
    place::fill(reader, &dir, &machine.slots, &mut disk);
    queue::fill(reader, &dir, &mut disk);
    introduce(machine, &dir, &mut disk);
    Some(disk)
}

/// What the disk says of itself.
fn introduce(machine: &Machine<'_>, dir: &Path, disk: &mut Disk) {
    let name = disk.name.clone();
    let drive = Drive::new(machine.reader, &name, &machine.patience);
    let identity = identity::read(&drive, dir, &name);
    disk.model = identity.model;
    disk.vendor = identity.vendor;
    disk.serial = identity.serial;
    disk.serial_aliases = identity.serial_aliases;
    disk.wwn = identity.wwn;
    disk.firmware = identity.firmware;
    if machine.depth == Depth::Whole {
        let told = drive.ask_all(identity.kind.unwrap_or(Kind::Other));
        disk.health = told.health;
        disk.erase = told.erase;
        disk.security = told.security;
    }
}

/// Major and minor number; a device without one comes last.
fn number(reader: &Reader<'_>, name: &str) -> (u32, u32) {
    let text = reader.text(format!("{BLOCK}/{name}/dev")).unwrap_or_default();
    let parse = || {
        let (major, minor) = text.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    parse().unwrap_or((u32::MAX, u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;

    #[test]
    fn the_number_of_a_disk_is_read_where_it_is_the_only_one_too() {
        let device = "sys/devices/virtual/block/sda";
        let listing = format!(
            "sys/block/sda -> ../devices/virtual/block/sda\n{device}/dev = 8:0\n{device}/size = 8\n{device}/ro = 0\n\
             {device}/queue/logical_block_size = 512\n{device}/queue/physical_block_size = 512\n\
             {device}/queue/rotational = 0\n"
        );
        let root: Root = listing.parse().expect("a listing");
        let reader = Reader::new(&root);
        assert_eq!(read(&reader, &Options::default()).len(), 1);
        let seen = reader.into_seen();
        let number =
            seen.read(&Path::new(device).join("dev"), 9).expect("what a recording needs to plan an erase");
        assert_eq!(number, b"8:0");
    }
}
