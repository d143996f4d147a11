//! ATA, passed through by SCSI (SAT-4, 12.2): IDENTIFY DEVICE, SMART, and the
//! device statistics log (ACS-4, 9.5), which unlike SMART's attributes means the
//! same for every vendor.

use std::{fs::File, io, path::Path};

use disk::drive::{
    SecurityErase, SelfErase,
    ata::{Identify, LENGTH},
};
use model::{
    Bytes,
    inventory::{AtaSecurity, Health},
};

use super::{Drive, Told, has_opal, log, scsi};
use crate::{limits, reader::Reader};

/// What SMART commands want in the address, and a healthy drive leaves there.
const SMART: u32 = 0x00c2_4f00;
/// Pages of the statistics log: general, rotating media, errors, temperature, solid state.
const PAGES: [u8; 5] = [1, 3, 4, 5, 7];

/// One command, as far as those here differ.
struct Task {
    command: u8,
    feature: u8,
    lba: u32,
    extended: bool,
}

impl Task {
    /// ATA PASS-THROUGH (16); for one sector of data, or for the registers it leaves.
    fn cdb(&self, sector: bool) -> [u8; 16] {
        let [l0, l1, l2, _] = self.lba.to_le_bytes();
        let (protocol, flags) = if sector { (4 << 1, 0x0e) } else { (3 << 1, 0x20) };
        let protocol = protocol | u8::from(self.extended);
        [
            0x85,
            protocol,
            flags,
            0,
            self.feature,
            0,
            u8::from(sector),
            0,
            l0,
            0,
            l1,
            0,
            l2,
            0x40,
            self.command,
            0,
        ]
    }

    /// The sector that the drive sends.
    fn read(&self, drive: &Drive<'_>, label: &str) -> Option<Vec<u8>> {
        drive.ask(label, &|node: &File| scsi::run(node, &self.cdb(true), LENGTH))
    }
}

/// IDENTIFY DEVICE, asked now.
pub(crate) fn identify(drive: &Drive<'_>) -> Option<Identify> {
    let task = Task { command: 0xec, feature: 0, lba: 0, extended: false };
    Identify::parse(&task.read(drive, "identify_device")?)
}

/// IDENTIFY DEVICE as it was when the kernel found the drive: page 89h (SAT-4, 12.4.2).
pub(crate) fn identify_of_page(reader: &Reader<'_>, disk: &Path) -> Option<Identify> {
    let page = reader.bytes(&disk.join("device/vpd_pg89"), limits::FILE_BYTES)?;
    Identify::parse(page.get(60..60 + LENGTH)?)
}

pub(super) fn ask(drive: &Drive<'_>) -> Told {
    let Some(identify) = identify(drive) else { return Told::default() };
    let mut erase: Vec<String> = identify.erases().iter().map(|erase| erase.name().to_owned()).collect();
    if has_opal(drive) {
        erase.push(SelfErase::OpalRevert.name().to_owned());
    }
    Told { health: ask_health(drive, &identify), erase, security: security(&identify) }
}

fn security(identify: &Identify) -> Option<AtaSecurity> {
    let security = identify.security()?;
    let minutes = |how| identify.estimate(how).map(|estimate| estimate.as_secs() / 60);
    Some(AtaSecurity {
        enabled: security.enabled,
        locked: security.locked,
        frozen: security.frozen,
        erase_minutes: minutes(SecurityErase::Normal),
        enhanced_erase_minutes: security.enhanced.then(|| minutes(SecurityErase::Enhanced)).flatten(),
    })
}

fn ask_health(drive: &Drive<'_>, identify: &Identify) -> Option<Health> {
    let smart = |feature| Task { command: 0xb0, feature, lba: SMART, extended: false };
    let (mut verdict, mut attributes) = (None, None);
    if identify.smart_enabled() {
        verdict = drive.ask("smart_status", &|node: &File| registers(node, &smart(0xda).cdb(false)));
        attributes = smart(0xd0).read(drive, "smart_data");
    }
    let mut pages = Vec::new();
    if identify.has_logs() {
        let page = |page: u8| {
            let lba = u32::from(page) << 8 | 0x04;
            Task { command: 0x2f, feature: 0, lba, extended: true }.read(drive, &format!("statistics_{page}"))
        };
        let list = page(0).unwrap_or_default();
        let count = usize::from(list.get(8).copied().unwrap_or(0));
        let listed = list.get(9..).unwrap_or_default();
        let listed = &listed[..count.min(listed.len())];
        pages = PAGES.into_iter().filter(|code| listed.contains(code)).filter_map(page).collect();
    }
    health(verdict.as_deref(), attributes.as_deref(), &pages, identify.sector_length())
}

/// The sense data with the registers, which come as an error that is none.
fn registers(node: &File, cdb: &[u8]) -> io::Result<Vec<u8>> {
    let sense = scsi::send(node, cdb, &mut [])?.sense;
    if address_left(&sense).is_some() { Ok(sense) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The middle and the high byte of the address that the command left: in an ATA
/// Status Return descriptor, or since Linux 6.10 in fixed sense data.
fn address_left(sense: &[u8]) -> Option<[u8; 2]> {
    match (sense.first()? & 0x7f, sense.get(8..)?) {
        (0x72, [0x09, 0x0c, _, _, _, _, _, _, _, middle, _, high, ..]) => Some([*middle, *high]),
        // Additional sense code 00h/1Dh: ATA pass-through information available.
        (0x70, [_, _, middle, high, 0x00, 0x1d, ..]) => Some([*middle, *high]),
        _ => None,
    }
}

/// From the sense data after SMART RETURN STATUS, SMART READ DATA, and pages of
/// statistics, of a drive whose sectors have `sector` bytes; `None` when they tell nothing.
fn health(
    verdict: Option<&[u8]>,
    attributes: Option<&[u8]>,
    pages: &[Vec<u8>],
    sector: u64,
) -> Option<Health> {
    let passed = match verdict.and_then(address_left) {
        Some([0x4f, 0xc2]) => Some(true),
        Some([0xf4, 0x2c]) => Some(false),
        Some(_) | None => None,
    };
    let raw = |id: u8, bytes: usize| attributes.and_then(|data| attribute(data, id, bytes));
    let statistic = |page, at| pages.iter().find_map(|data| log::statistic(data, page, at));
    let byte = |value: Option<u64>| value.map(|value| value.to_le_bytes()[0]);
    let temperature = byte(statistic(5, 8)).or_else(|| byte(raw(194, 1).or_else(|| raw(190, 1))));
    let reallocated = statistic(3, 32).or_else(|| raw(5, 2));
    let health = Health {
        passed,
        complaints: if passed == Some(false) {
            vec!["SMART threshold exceeded".to_owned()]
        } else {
            Vec::new()
        },
        temperature: temperature.map(|celsius| i32::from(celsius.cast_signed())),
        percentage_used: byte(statistic(7, 8)).map(u32::from),
        available_spare: None,
        power_on_hours: statistic(1, 16).or_else(|| raw(9, 3)),
        power_cycles: statistic(1, 8).or_else(|| raw(12, 4)),
        unsafe_shutdowns: None,
        media_errors: statistic(4, 8).or_else(|| raw(187, 4)).or_else(|| raw(198, 4)),
        reallocated_sectors: reallocated.map(|taken| taken.saturating_add(raw(197, 4).unwrap_or(0))),
        written: statistic(1, 24).map(|sectors| Bytes(sectors.saturating_mul(sector))),
    };
    (health != Health::default()).then_some(health)
}

/// The lowest `bytes` of an attribute's raw value, as nearly every vendor uses it.
/// `None` for a drive without it, and for data with a wrong checksum.
fn attribute(data: &[u8], id: u8, bytes: usize) -> Option<u64> {
    const ENTRY: usize = 12;
    const ENTRIES: usize = 30;
    let data: &[u8; LENGTH] = data.try_into().ok()?;
    let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let entry = data[2..2 + ENTRIES * ENTRY].chunks_exact(ENTRY).find(|entry| entry[0] == id && id != 0)?;
    let raw = entry[5..5 + bytes].iter().rev().fold(0, |raw, byte| raw << 8 | u64::from(*byte));
    (sum == 0).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smart_data(attributes: &[(u8, u64)]) -> Vec<u8> {
        let mut data = vec![0; LENGTH];
        for (nth, (id, raw)) in attributes.iter().enumerate() {
            let at = 2 + nth * 12;
            data[at] = *id;
            data[at + 5..at + 11].copy_from_slice(&raw.to_le_bytes()[..6]);
        }
        let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        data[511] = 0_u8.wrapping_sub(sum);
        data
    }

    fn sense(middle: u8, high: u8) -> Vec<u8> {
        let mut sense = vec![0x72, 0x01, 0x00, 0x1d, 0, 0, 0, 14, 0x09, 0x0c, 0, 0, 0, 0, 0, 0, 0];
        sense.extend([middle, 0, high, 0, 0x50]);
        sense
    }

    fn health(verdict: Option<&[u8]>, attributes: Option<&[u8]>, pages: &[Vec<u8>]) -> Option<Health> {
        super::health(verdict, attributes, pages, 512)
    }

    fn statistics(page: u8, values: &[(usize, u64)]) -> Vec<u8> {
        let mut data = vec![0; LENGTH];
        data[2] = page;
        for (at, value) in values {
            data[*at..at + 8].copy_from_slice(&(value | 0xc0 << 56).to_le_bytes());
        }
        data
    }

    #[test]
    fn commands_are_passed_through_as_the_standard_lays_them_out() {
        let smart = Task { command: 0xb0, feature: 0xda, lba: SMART, extended: false };
        assert_eq!(smart.cdb(false), [0x85, 6, 0x20, 0, 0xda, 0, 0, 0, 0, 0, 0x4f, 0, 0xc2, 0x40, 0xb0, 0]);
        let log = Task { command: 0x2f, feature: 0, lba: 0x0504, extended: true };
        assert_eq!(log.cdb(true), [0x85, 9, 0x0e, 0, 0, 0, 1, 0, 4, 0, 5, 0, 0, 0x40, 0x2f, 0]);
    }

    #[test]
    fn a_drive_says_by_two_bytes_whether_it_expects_to_fail() {
        let passed = |sense: &[u8]| health(Some(sense), None, &[]).and_then(|health| health.passed);
        assert_eq!(passed(&sense(0x4f, 0xc2)), Some(true));
        assert_eq!(passed(&sense(0xf4, 0x2c)), Some(false));
        assert_eq!(passed(&sense(0, 0)), None);
        assert_eq!(passed(&sense(0x4f, 0xc2)[..19]), None, "cut off");
        let mut fixed = [0; 18];
        (fixed[0], fixed[10], fixed[11], fixed[13]) = (0x70, 0xf4, 0x2c, 0x1d);
        assert_eq!(passed(&fixed), Some(false));
        fixed[13] = 0;
        assert_eq!(passed(&fixed), None, "sense data of something else");
    }

    #[test]
    fn statistics_go_before_attributes() {
        let data = smart_data(&[
            (5, 7),
            (9, 0x0500_0000_03e8),
            (12, 77),
            (194, 0x0016_002d_001c),
            (197, 2),
            (198, 4),
        ]);
        let found = health(None, Some(&data), &[]).expect("told");
        assert_eq!(
            (found.temperature, found.power_on_hours, found.power_cycles),
            (Some(28), Some(1000), Some(77))
        );
        assert_eq!((found.reallocated_sectors, found.media_errors), (Some(9), Some(4)));
        let pages = [
            statistics(1, &[(8, 5), (16, 2000), (24, 4)]),
            statistics(5, &[(8, 0xfb)]),
            statistics(7, &[(8, 3)]),
        ];
        let found = health(None, Some(&data), &pages).expect("told");
        assert_eq!(
            (found.temperature, found.power_on_hours, found.power_cycles),
            (Some(-5), Some(2000), Some(5))
        );
        assert_eq!((found.percentage_used, found.written), (Some(3), Some(Bytes(2048))));
        assert_eq!(found.reallocated_sectors, Some(9), "no such page");
        let of_long_sectors = super::health(None, None, &pages, 4096).expect("told");
        assert_eq!(of_long_sectors.written, Some(Bytes(4 * 4096)));
    }

    #[test]
    fn data_with_a_wrong_sum_or_none_tells_nothing() {
        let mut data = smart_data(&[(194, 30)]);
        data[300] ^= 1;
        assert_eq!(health(None, Some(&data), &[]), None);
        assert_eq!(health(None, Some(&data[..100]), &[]), None);
        assert_eq!(health(None, None, &[]), None);
    }
}
