//! Disks, one a line; of many that are alike and well, all in one line.

use model::inventory::{Disk, DiskKind, Health, Transport};

use super::{Rows, joined, more};

/// So many disks have a line each, whatever they are.
const FEW: usize = 10;

/// Lines shown.
const LINES: usize = 32;

/// Names of what stands on a disk.
const HOLDERS: usize = 4;

pub(super) fn rows(disks: &[Disk]) -> Rows {
    let mut groups: Vec<Vec<&Disk>> = Vec::new();
    for disk in disks {
        let alike = groups.iter_mut().find(|group| disks.len() > FEW && alike(group[0], disk));
        match alike {
            Some(group) => group.push(disk),
            None => groups.push(vec![disk]),
        }
    }
    let mut rows: Rows = groups.iter().take(LINES).map(|group| row(group)).collect();
    more(&mut rows, groups.len(), LINES);
    rows
}

/// Whether two may share a line: one that is not well has its own.
fn alike(one: &Disk, other: &Disk) -> bool {
    let well = |disk: &Disk| disk.health.as_ref().is_none_or(|health| health.passed != Some(false));
    (one.kind, one.size, one.rotational, one.read_only, one.transport)
        == (other.kind, other.size, other.rotational, other.read_only, other.transport)
        && (&one.vendor, &one.model) == (&other.vendor, &other.model)
        && well(one)
        && well(other)
}

fn row(group: &[&Disk]) -> Vec<String> {
    let (disk, several) = (group[0], group.len() > 1);
    let read_only = disk.read_only.then(|| "read-only".to_owned());
    let place = disk.hctl.clone().or_else(|| disk.pci_address.clone());
    vec![
        names(group),
        disk.size.to_string(),
        joined([Some(kind(disk).to_owned()), read_only], " "),
        disk.transport.map_or("-", Transport::as_str).to_owned(),
        joined([disk.vendor.clone(), disk.model.clone()], " "),
        if several { String::new() } else { disk.serial.clone().unwrap_or_default() },
        if several { String::new() } else { place.unwrap_or_default() },
        health(group),
        used(group),
    ]
}

/// `sda`, `2 × sda sdh`, `22 × sda…sdv`.
fn names(group: &[&Disk]) -> String {
    match group {
        [first, last] => format!("2 × {} {}", first.name, last.name),
        [first, .., last] => format!("{} × {}…{}", group.len(), first.name, last.name),
        [only] => only.name.clone(),
        [] => String::new(),
    }
}

fn kind(disk: &Disk) -> &'static str {
    match disk.kind {
        DiskKind::Disk if disk.rotational => "HDD",
        DiskKind::Disk => "SSD",
        DiskKind::Raid => "RAID",
        DiskKind::Multipath => "multipath",
        DiskKind::Loop => "loop",
    }
}

/// The worst of what the disks say of themselves: `well 31-36 °C 4 % used`.
fn health(group: &[&Disk]) -> String {
    let told = || group.iter().filter_map(|disk| disk.health.as_ref());
    let verdict = told()
        .filter_map(|health| health.passed)
        .min()
        .map(|passed| if passed { "well" } else { "FAILING" }.to_owned());
    let temperatures = || told().filter_map(|health| health.temperature);
    let range = temperatures().min().zip(temperatures().max()).map(|(low, high)| match high - low {
        0 => format!("{low} °C"),
        _ => format!("{low}-{high} °C"),
    });
    let worn = told().filter_map(|health: &Health| health.percentage_used).max();
    joined([verdict, range, worn.map(|percent| format!("{percent} % used"))], " ")
}

/// What is on the disks and what stands on it.
fn used(group: &[&Disk]) -> String {
    let mut holders: Vec<&String> = Vec::new();
    let mut written: Vec<&String> = Vec::new();
    for disk in group {
        let parts = &disk.partitions;
        holders.extend(disk.holders.iter().chain(parts.iter().flat_map(|part| &part.holders)));
        written.extend(disk.signatures.iter().chain(parts.iter().flat_map(|part| &part.signatures)));
    }
    let listed = |all: &mut Vec<&String>, before: &str| {
        model::order::sort(all);
        all.dedup();
        let few: Vec<_> = all.iter().take(HOLDERS).map(|name| name.as_str()).collect();
        let rest = if all.len() > HOLDERS { " …" } else { "" };
        (!few.is_empty()).then(|| format!("{before}{}{rest}", few.join(" ")))
    };
    let members = (group.len() == 1 && !group[0].members.is_empty())
        .then(|| format!("of {}", group[0].members.join(" ")));
    joined([members, listed(&mut written, "has "), listed(&mut holders, "under ")], ", ")
}

#[cfg(test)]
mod tests {
    use model::Bytes;

    use super::*;

    fn disk(number: u8, temperature: i32, passed: bool) -> Disk {
        Disk {
            name: format!("sd{}", char::from(b'a' + number)),
            size: Bytes(8 << 40),
            rotational: true,
            model: Some("ST8000NM".to_owned()),
            serial: Some(format!("Z{number}")),
            health: Some(Health {
                passed: Some(passed),
                temperature: Some(temperature),
                percentage_used: None,
                ..Health::default()
            }),
            ..Disk::default()
        }
    }

    #[test]
    fn many_disks_that_are_alike_and_well_share_a_line() {
        let mut disks: Vec<_> =
            (0..24).map(|number| disk(number, 30 + i32::from(number % 4), number != 7)).collect();
        disks[3].holders = vec!["md0".to_owned()];
        let rows = rows(&disks);
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows[0][0], "23 × sda…sdx");
        assert_eq!(rows[0][7..], ["well 30-33 °C", "under md0"]);
        assert_eq!((rows[1][0].as_str(), rows[1][7].as_str()), ("sdh", "FAILING 33 °C"));
        assert_eq!(super::rows(&disks[..FEW]).len(), FEW, "few are told one by one");
    }
}
