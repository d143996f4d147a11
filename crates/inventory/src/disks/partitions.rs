//! Partitions, as the kernel knows them.

use std::path::Path;

use model::{Bytes, inventory::Partition};

use crate::{limits, reader::Reader};

/// The unit of `start` and `size`, whatever the disk's own is.
const SECTOR: u64 = 512;

/// The partitions of the disk `name` at `dir`, by number, among `devices`.
pub(super) fn read(reader: &Reader<'_>, dir: &Path, name: &str, devices: &[String]) -> Vec<Partition> {
    let own = devices.iter().filter(|device| device.len() > name.len() && device.starts_with(name));
    let mut found: Vec<_> =
        own.filter_map(|device| partition(reader, dir, device)).take(limits::PARTITIONS).collect();
    model::order::sort_by_key(&mut found, |partition: &Partition| partition.number);
    found
}

/// `None` for another disk whose name begins alike: `sda` and `sdaa`.
fn partition(reader: &Reader<'_>, disk: &Path, name: &str) -> Option<Partition> {
    let dir = disk.join(name);
    if !reader.exists(dir.join("partition")) {
        return None;
    }
    let bytes = |attribute: &str| {
        let sectors: u64 = reader.number(dir.join(attribute))?;
        sectors.checked_mul(SECTOR).map(Bytes)
    };
    let event = reader.text(dir.join("uevent")).unwrap_or_default();
    let property = |key: &str| {
        let value = event.lines().find_map(|line| line.split_once('=').filter(|(name, _)| *name == key))?.1;
        Some(value.to_owned()).filter(|value| !value.is_empty())
    };
    Some(Partition {
        number: reader.number(dir.join("partition"))?,
        start: bytes("start")?,
        size: bytes("size")?,
        label: property("PARTNAME"),
        uuid: property("PARTUUID"),
        holders: reader.list(dir.join("holders")),
        name: name.to_owned(),
        ..Partition::default()
    })
}
