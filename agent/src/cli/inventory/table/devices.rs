//! Accelerators and what is plugged in; and what a person would want to be told.

use model::inventory::{Accelerator, Inventory};

use super::{Rows, counted, joined, more, times};

/// Lines shown.
const LINES: usize = 8;

/// Accelerators and USB devices.
pub(super) fn rows(found: &Inventory) -> Rows {
    let mut rows: Rows = Vec::new();
    let mut kinds: Vec<(&Accelerator, usize)> = Vec::new();
    for device in &found.accelerators {
        match kinds.iter_mut().find(|(kind, _)| kind.ids == device.ids) {
            Some((_, number)) => *number += 1,
            None => kinds.push((device, 1)),
        }
    }
    for (device, number) in kinds {
        let ids = format!("{}:{}", device.ids.vendor, device.ids.product);
        let name = joined([device.vendor_name.clone(), Some(ids)], " ");
        rows.push(vec![device.kind.as_str().to_owned(), times(number, &name), device.pci_address.clone()]);
    }
    for device in &found.usb {
        let name = joined([device.manufacturer.clone(), device.product_name.clone()], " ");
        let ids = format!("{}:{}", device.vendor, device.product);
        rows.push(vec!["usb".to_owned(), if name.is_empty() { ids } else { name }, device.name.clone()]);
    }
    limited(rows)
}

/// What is not as it could be.
pub(super) fn notices(found: &Inventory) -> Rows {
    let mut rows: Rows = Vec::new();
    let mut say = |subject: &str, what: String| rows.push(vec![subject.to_owned(), what]);
    for disk in &found.disks {
        if let Some(health) = disk.health.as_ref().filter(|health| health.passed == Some(false)) {
            say(
                &disk.name,
                joined([Some("expects to fail".to_owned()), Some(health.complaints.join(", "))], ": "),
            );
        }
    }
    // A device of the root complex has no slot, whatever its registers say.
    for device in found.pci.iter().filter(|device| device.is_narrowed() && device.upstream.is_some()) {
        if let (Some(now), Some(best)) = (&device.link, &device.best_link) {
            say(
                &device.address,
                format!("uses {} of {}: is it seated well?", now.width, counted(best.width as usize, "lane")),
            );
        }
    }
    let weak = found.cpu.vulnerabilities.iter().filter(|each| each.status.starts_with("Vulnerable"));
    let weak: Vec<_> = weak.map(|each| each.name.as_str()).collect();
    if !weak.is_empty() {
        say("cpu", format!("vulnerable: {}", weak.join(" ")));
    }
    if found.bmc.as_ref().is_some_and(|bmc| bmc.watchdog_active == Some(true)) {
        say("bmc", "its watchdog counts, and will reset the machine unless it is fed".to_owned());
    }
    limited(rows)
}

fn limited(mut rows: Rows) -> Rows {
    let all = rows.len();
    rows.truncate(LINES);
    more(&mut rows, all, LINES);
    rows
}
