//! NVMe: what the controller can do, and its log of health.

use std::{fs::File, io};

use disk::drive::nvme::{Format, Sanitizes, erases};
use model::{Bytes, inventory::Health};
use sys::nvme::AdminError;

use super::{Drive, TIMEOUT_MS, Told, has_opal, is_absent};

pub(super) fn ask(drive: &Drive<'_>) -> Told {
    let controller = drive.ask("identify_controller", &|node: &File| {
        sys::nvme::identify_controller_within(node, TIMEOUT_MS).map_err(failure)
    });
    let Some(controller) = controller else { return Told::default() };
    let log =
        drive.ask("health_log", &|node: &File| sys::nvme::health_log(node, TIMEOUT_MS).map_err(failure));
    let offered = erases(Sanitizes::of_identify(&controller), Format::of_identify(&controller));
    let mut erase: Vec<String> = offered.iter().map(|erase| erase.name().to_owned()).collect();
    if has_security(&controller) && has_opal(drive) {
        erase.push(disk::drive::SelfErase::OpalRevert.name().to_owned());
    }
    Told { health: log.and_then(|log| health(&log)), erase, security: None }
}

/// Security Send and Receive (OACS bit 0).
fn has_security(controller: &[u8]) -> bool {
    controller.get(256).is_some_and(|oacs| oacs & 1 != 0)
}

/// Statuses that say the drive has no such thing: Invalid Command Opcode, Invalid
/// Field in Command, Invalid Log Page (type 1).
const NOT_THERE: [u16; 3] = [0x001, 0x002, 0x109];

/// Without do-not-retry and the like.
const STATUS_AND_TYPE: u16 = 0x7ff;

/// Any other status is a drive that could not answer: an error, which a recording
/// keeps by its number.
fn failure(error: AdminError) -> io::Error {
    match error {
        AdminError::Kernel(err) if err.raw_os_error() == Some(4 /* EINTR: timed out */) => {
            super::scsi::timed_out()
        }
        AdminError::Kernel(err) => is_absent(err),
        AdminError::Status(status) if NOT_THERE.contains(&(status & STATUS_AND_TYPE)) => {
            io::ErrorKind::NotFound.into()
        }
        AdminError::Status(_) => io::Error::from_raw_os_error(5 /* EIO */),
    }
}

/// What the bits of "Critical Warning" mean.
const WARNINGS: [&str; 6] = [
    "available spare below threshold",
    "temperature outside its thresholds",
    "reliability degraded",
    "media read-only",
    "volatile memory backup failed",
    "persistent memory region read-only or unreliable",
];

/// The SMART / Health Information log page (02h): NVM Express Base Specification
/// 2.0, figure 207. `None` for a page cut off.
pub(super) fn health(log: &[u8]) -> Option<Health> {
    let log: &[u8; 512] = log.first_chunk()?;
    // 128 bits, of which no drive fills 64.
    let count = |at: usize| log[at..].first_chunk().map(|low| u64::from_le_bytes(*low));
    let kelvin = u16::from_le_bytes([log[1], log[2]]);
    let complaints: Vec<_> = WARNINGS.iter().enumerate().filter(|(bit, _)| log[0] >> bit & 1 != 0).collect();
    Some(Health {
        passed: Some(log[0] == 0),
        complaints: complaints.into_iter().map(|(_, words)| (*words).to_owned()).collect(),
        temperature: (kelvin != 0).then(|| i32::from(kelvin) - 273),
        percentage_used: Some(u32::from(log[5])),
        available_spare: Some(u32::from(log[3])),
        power_on_hours: count(128),
        power_cycles: count(112),
        unsafe_shutdowns: count(144),
        media_errors: count(160),
        reallocated_sectors: None,
        // Thousands of units of 512 bytes.
        written: count(48).map(|units| Bytes(units.saturating_mul(512_000))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_that_could_not_answer_is_not_one_without_health() {
        for status in [0x001, 0x4002, 0x4109] {
            assert_eq!(failure(AdminError::Status(status)).kind(), io::ErrorKind::NotFound, "{status:#x}");
        }
        for status in [0x006, 0x281] {
            assert_eq!(failure(AdminError::Status(status)).raw_os_error(), Some(5), "{status:#x}");
        }
    }

    #[test]
    fn a_log_page_is_read_where_the_standard_puts_things() {
        let mut log = [0; 512];
        (log[0], log[1], log[2], log[3], log[5]) = (0b1001, 0x36, 0x01, 100, 105);
        for (at, value) in [(48, 2_u64), (112, 7), (128, 1234), (144, 3), (160, 9)] {
            log[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let health = health(&log).expect("whole");
        assert_eq!(health.complaints, ["available spare below threshold", "media read-only"]);
        assert_eq!((health.passed, health.temperature), (Some(false), Some(0x136 - 273)));
        assert_eq!((health.percentage_used, health.available_spare), (Some(105), Some(100)));
        assert_eq!((health.power_on_hours, health.power_cycles), (Some(1234), Some(7)));
        assert_eq!((health.unsafe_shutdowns, health.media_errors), (Some(3), Some(9)));
        assert_eq!(health.written, Some(Bytes(1_024_000)));
        assert_eq!(super::health(&log[..511]), None);
    }

    #[test]
    fn security_commands_are_the_first_bit_of_oacs() {
        let mut controller = vec![0; 4096];
        assert!(!has_security(&controller) && !has_security(&[]));
        controller[256] = 0b11;
        assert!(has_security(&controller));
    }
}
