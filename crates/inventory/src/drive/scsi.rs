//! SCSI: commands that only ask, and the log pages of health (SPC-5, 7.3; SBC-4, 6.4).

use std::{fs::File, io};

use disk::drive::{
    Sanitize, SelfErase,
    scsi::{ANSWER, ask_for, has},
};
use model::inventory::Health;
use sys::sg::{Reply, Transfer};

use super::{Drive, TIMEOUT_MS, Told, is_absent, log};

/// A drive tells of a reset or so before it answers; a few times at most.
const ATTENTIONS_LIMIT: usize = 4;
/// More than any page of health has.
const PAGE: u16 = 512;
const CHECK: u8 = 2;

/// Log pages that are looked at, where the drive lists them.
const ERRORS_WHILE_WRITING: u8 = 0x02;
const ERRORS_WHILE_READING: u8 = 0x03;
const TEMPERATURE: u8 = 0x0d;
const SOLID_STATE: u8 = 0x11;
const BACKGROUND_SCAN: u8 = 0x15;
const INFORMATIONAL_EXCEPTIONS: u8 = 0x2f;
const PAGES: [u8; 6] = [
    ERRORS_WHILE_WRITING,
    ERRORS_WHILE_READING,
    TEMPERATURE,
    SOLID_STATE,
    BACKGROUND_SCAN,
    INFORMATIONAL_EXCEPTIONS,
];

pub(super) fn ask(drive: &Drive<'_>) -> Told {
    let health = health(&|page| log_page(drive, page));
    let has = |how: &Sanitize| {
        drive.ask(&format!("sanitize_{}", word(*how)), &|node: &File| run(node, &ask_for(*how), ANSWER))
    };
    let offered = [Sanitize::Crypto, Sanitize::Block, Sanitize::Overwrite];
    let offered = offered.into_iter().filter(|how| has(how).is_some_and(|answer| self::has(&answer)));
    Told {
        health,
        erase: offered.map(|how| SelfErase::ScsiSanitize(how).name().to_owned()).collect(),
        security: None,
    }
}

fn word(how: Sanitize) -> &'static str {
    match how {
        Sanitize::Crypto => "crypto",
        Sanitize::Block => "block",
        Sanitize::Overwrite => "overwrite",
    }
}

/// LOG SENSE, present values.
fn log_page(drive: &Drive<'_>, page: u8) -> Option<Vec<u8>> {
    let [high, low] = PAGE.to_be_bytes();
    let cdb = [0x4d, 0, 0x40 | page, 0, 0, 0, 0, high, low, 0];
    drive.ask(&format!("log_{page:02x}"), &|node: &File| run(node, &cdb, PAGE.into()))
}

/// Vital product data where sysfs has none.
pub(crate) fn vital_product_data(drive: &Drive<'_>, page: u8) -> Option<Vec<u8>> {
    const LENGTH: u8 = 252;
    let cdb = [0x12, 1, page, 0, LENGTH, 0];
    drive.ask(&format!("vpd_pg{page:02x}"), &|node: &File| run(node, &cdb, LENGTH.into()))
}

/// From the pages that the drive lists; `None` when it tells nothing.
fn health(read: &dyn Fn(u8) -> Option<Vec<u8>>) -> Option<Health> {
    let listed = read(0)?;
    let listed = listed.get(4..).unwrap_or_default();
    let mut health = Health::default();
    for page in PAGES.into_iter().filter(|page| listed.contains(page)) {
        let Some(bytes) = read(page) else { continue };
        for (code, value) in log::parameters(&bytes, page) {
            take(&mut health, page, code, value);
        }
    }
    (health != Health::default()).then_some(health)
}

/// What parameter `code` of `page` says.
fn take(health: &mut Health, page: u8, code: u16, value: &[u8]) {
    let celsius =
        |byte: Option<&u8>| byte.filter(|byte| ![0, 0xff].contains(*byte)).map(|byte| i32::from(*byte));
    match (page, code) {
        (ERRORS_WHILE_WRITING | ERRORS_WHILE_READING, 0x0006) => {
            if let Some(errors) = log::big_endian(value) {
                health.media_errors = Some(health.media_errors.unwrap_or(0).saturating_add(errors));
            }
        }
        (TEMPERATURE, 0x0000) => health.temperature = celsius(value.get(1)),
        (SOLID_STATE, 0x0001) => health.percentage_used = value.get(3).map(|used| u32::from(*used)),
        (BACKGROUND_SCAN, 0x0000) => {
            health.power_on_hours = value.get(..4).and_then(log::big_endian).map(|minutes| minutes / 60);
        }
        (INFORMATIONAL_EXCEPTIONS, 0x0000) => {
            if let [code, qualifier, ..] = value {
                // Warnings, and a failure that is predicted.
                let complains = [0x0b, 0x5d].contains(code);
                health.passed = (complains || *code == 0).then_some(!complains);
                if complains {
                    health.complaints.push(format!("additional sense code {code:02x}h/{qualifier:02x}h"));
                }
                health.temperature = health.temperature.or(celsius(value.get(2)));
            }
        }
        _ => {}
    }
}

/// Send a command for up to `length` bytes. What the drive refuses, it does not
/// have; only silence and broken hardware are errors.
pub(super) fn run(node: &File, cdb: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    let reply = send(node, cdb, &mut data)?;
    match (reply.status, sense_key(&reply.sense)) {
        // A recovered error is none.
        (0, _) | (CHECK, Some(1)) => {}
        // The medium, the hardware.
        (CHECK, Some(3 | 4)) => return Err(io::Error::from_raw_os_error(5 /* EIO */)),
        (_, _) => return Err(io::ErrorKind::NotFound.into()),
    }
    data.truncate(length.saturating_sub(usize::try_from(reply.residue).unwrap_or(length)));
    Ok(data)
}

/// Send a command, again after a unit attention.
pub(super) fn send(node: &File, cdb: &[u8], data: &mut [u8]) -> io::Result<Reply> {
    let mut reply = Reply::default();
    for _ in 0..ATTENTIONS_LIMIT {
        let transfer = if data.is_empty() { Transfer::None } else { Transfer::In(data) };
        reply = sys::sg::run(node, cdb, transfer, TIMEOUT_MS).map_err(is_absent)?;
        delivered(reply.host)?;
        if (reply.status, sense_key(&reply.sense)) != (CHECK, Some(6)) {
            break;
        }
    }
    Ok(reply)
}

/// What the adapter's driver says became of the command (`DID_*`).
fn delivered(host: u16) -> io::Result<()> {
    match host {
        0 => Ok(()),
        // DID_NO_CONNECT: the drive is gone, which is no answer of one that has no such thing.
        0x01 => Err(io::Error::from_raw_os_error(super::ENOLINK)),
        0x03 => Err(timed_out()),
        // The adapter has no way to this drive for such commands.
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

pub(super) fn timed_out() -> io::Error {
    io::Error::from_raw_os_error(110 /* ETIMEDOUT */)
}

/// In either format of sense data.
fn sense_key(sense: &[u8]) -> Option<u8> {
    let at = match sense.first()? & 0x7f {
        0x70 | 0x71 => 2,
        0x72 | 0x73 => 1,
        _ => return None,
    };
    sense.get(at).map(|key| key & 0xf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(code: u8, parameters: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (parameter, value) in parameters {
            body.extend(parameter.to_be_bytes());
            body.extend([3, u8::try_from(value.len()).expect("short")]);
            body.extend(*value);
        }
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&[code, 0, length[0], length[1]], body.as_slice()].concat()
    }

    #[test]
    fn health_is_what_the_listed_pages_say() {
        let pages = [
            vec![0, 0, 0, 7, 0, 2, 3, 0x0d, 0x11, 0x15, 0x2f],
            page(2, &[(6, &[0, 0, 0, 2])]),
            page(3, &[(5, &[9; 8]), (6, &[3])]),
            page(0x0d, &[(0, &[0, 31]), (1, &[0, 65])]),
            page(0x11, &[(1, &[0, 0, 0, 12])]),
            page(0x15, &[(0, &[0, 0, 0x27, 0x10, 0, 0, 0, 0])]),
            page(0x2f, &[(0, &[0x5d, 0x10, 40])]),
        ];
        let read = |code: u8| pages.iter().find(|page| page[0] == code).cloned();
        let found = health(&read).expect("told");
        assert_eq!((found.temperature, found.percentage_used), (Some(31), Some(12)));
        assert_eq!((found.power_on_hours, found.media_errors), (Some(166), Some(5)));
        assert_eq!(
            (found.passed, found.complaints.as_slice()),
            (Some(false), &["additional sense code 5dh/10h".to_owned()][..])
        );
        // Pages that are not listed are not asked for.
        let unlisted =
            |code: u8| if code == 0 { Some(vec![0, 0, 0, 1, 0]) } else { panic!("asked for {code:#x}") };
        assert_eq!(health(&unlisted), None);
        assert_eq!(health(&|_| None), None);
    }

    #[test]
    fn the_sense_key_stands_in_one_of_two_places() {
        assert_eq!(sense_key(&[0x70, 0, 0x65]), Some(5));
        assert_eq!(sense_key(&[0x72, 0x06]), Some(6));
        assert_eq!((sense_key(&[]), sense_key(&[0x70]), sense_key(&[0])), (None, None, None));
    }

    #[test]
    fn a_drive_that_is_gone_is_an_error_and_a_way_that_is_not_there_is_none() {
        let errno = |host| delivered(host).map_err(|err| err.raw_os_error());
        assert_eq!((errno(0), errno(1), errno(3)), (Ok(()), Err(Some(67)), Err(Some(110))));
        assert_eq!(errno(4), Err(None), "DID_BAD_TARGET of a RAID adapter: absence, and no warning");
    }

    #[test]
    fn a_file_is_no_drive() {
        let file = File::open("/proc/self/exe").expect("the test binary");
        let err = run(&file, &[0; 6], 8).expect_err("no drive");
        assert_eq!(err.kind(), io::ErrorKind::NotFound);
    }
}
