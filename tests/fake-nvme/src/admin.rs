//! Admin commands, keep-alive and events aside.

use crate::{
    Action, Status,
    command::{Answer, Command, Failure},
    drive::Inside,
    identify::{EVERY, identify},
    sanitize::Sanitize,
    tper::Effect,
};

const GET_LOG_PAGE: u8 = 0x02;
const IDENTIFY: u8 = 0x06;
const SET_FEATURES: u8 = 0x09;
const GET_FEATURES: u8 = 0x0a;
const KEEP_ALIVE: u8 = 0x18;
const FORMAT: u8 = 0x80;
const SECURITY_SEND: u8 = 0x81;
const SECURITY_RECEIVE: u8 = 0x82;
const SANITIZE: u8 = 0x84;
/// AUSE: a failure of this sanitize may be left by being told to.
const ALLOW_UNRESTRICTED_EXIT: u32 = 1 << 3;
/// The Identify page that tells of the controller, and where in it the commands are.
const CONTROLLER: u32 = 1;
const OACS: usize = 256;
/// Log pages are no longer than this.
const LOG_LIMIT: usize = 4096;

/// Run `command` of the controller with this number of the subsystem of this name.
pub(crate) fn run(
    drive: &mut Inside,
    subsystem: &str,
    controller: u16,
    command: &Command,
    data: &[u8],
) -> Result<Answer, Failure> {
    match command.opcode() {
        IDENTIFY => {
            let cns = command.cdw(10) & 0xff;
            let mut page = identify(&drive.spec, subsystem, controller, cns, command.nsid())?;
            if cns == CONTROLLER && drive.tper.is_some() {
                page[OACS] |= 1; // Security Send and Receive
            }
            Ok(Answer::data(page))
        }
        GET_LOG_PAGE => log(drive, command),
        SET_FEATURES | GET_FEATURES => Ok(feature(command)),
        KEEP_ALIVE => Ok(Answer::default()),
        FORMAT => format(drive, command),
        SANITIZE => sanitize(drive, command),
        SECURITY_SEND | SECURITY_RECEIVE => security(drive, command, data),
        _ => Err(Failure::INVALID_OPCODE),
    }
}

/// Everything is taken; the number of queues is what this fake has threads for.
fn feature(command: &Command) -> Answer {
    const NUMBER_OF_QUEUES: u32 = 0x07;
    const QUEUES: u32 = 4 - 1;
    match command.cdw(10) & 0xff {
        NUMBER_OF_QUEUES => Answer::result(QUEUES | QUEUES << 16),
        _ => Answer::default(),
    }
}

fn log(drive: &mut Inside, command: &Command) -> Result<Answer, Failure> {
    const HEALTH: u32 = 0x02;
    const SANITIZE_STATUS: u32 = 0x81;
    let mut page = match command.cdw(10) & 0xff {
        HEALTH => health(),
        SANITIZE_STATUS if !drive.spec.sanitizes.is_empty() => {
            drive.advance().map_err(|_| Failure::INTERNAL)?;
            drive.sanitize.log(drive.spec.polls, drive.spec.estimate)
        }
        _ => return Err(Failure::INVALID_FIELD),
    };
    let dwords = (command.cdw(10) >> 16) as usize + 1;
    page.resize((dwords * 4).min(LOG_LIMIT), 0);
    Ok(Answer::data(page))
}

/// A drive at 40 °C with nothing to complain of.
fn health() -> Vec<u8> {
    const KELVIN: u16 = 273 + 40;
    let mut page = vec![0; 512];
    page[1..3].copy_from_slice(&KELVIN.to_le_bytes());
    page[3] = 100;
    page
}

fn format(drive: &mut Inside, command: &Command) -> Result<Answer, Failure> {
    if !drive.spec.formats {
        return Err(Failure::INVALID_OPCODE);
    }
    refuse_while_sanitizing(drive)?;
    refuse_to_others(drive)?;
    let (cdw10, nsid) = (command.cdw(10), command.nsid());
    drive.remember(FORMAT, cdw10);
    let one = drive.spec.namespaces.iter().find(|one| one.id == nsid);
    if one.is_none() && nsid != EVERY {
        return Err(Failure::INVALID_NAMESPACE);
    }
    if one.is_some_and(|one| cdw10 & 0xf != u32::from(one.block == 4096)) {
        return Err(Failure::INVALID_FORMAT);
    }
    let faults = &mut drive.spec.faults;
    if faults.failing_formats > 0 {
        faults.failing_formats -= 1;
        return Err(Failure::INTERNAL);
    }
    let crypto = drive.spec.fna & 0b100 != 0;
    let action = match cdw10 >> 9 & 0b111 {
        0 => return Ok(Answer::default()),
        1 => Action::Block,
        2 if crypto => Action::Crypto,
        2 if drive.spec.faults.takes_any_ses => return Ok(Answer::default()),
        _ => return Err(Failure::INVALID_FIELD),
    };
    if drive.spec.faults.lies {
        return Ok(Answer::default());
    }
    let reaches_all = nsid == EVERY || drive.spec.fna & 0b11 != 0;
    let all = drive.spec.namespaces.iter().map(|one| one.id);
    let reached: Vec<u32> = all.filter(|id| reaches_all || *id == nsid).collect();
    for id in reached {
        drive.erase(id, action).map_err(|_| Failure::INTERNAL)?;
    }
    Ok(Answer::default())
}

fn sanitize(drive: &mut Inside, command: &Command) -> Result<Answer, Failure> {
    const EXIT_FAILURE: u32 = 1;
    let cdw10 = command.cdw(10);
    drive.remember(SANITIZE, cdw10);
    if drive.spec.sanitizes.is_empty() {
        return Err(Failure::INVALID_OPCODE);
    }
    refuse_to_others(drive)?;
    if drive.sanitize.status == Status::Running {
        return Err(Failure::SANITIZE_IN_PROGRESS);
    }
    if cdw10 & 0b111 == EXIT_FAILURE {
        leave_failure(drive)?;
    } else {
        begin(drive, cdw10, command.cdw(11))?;
    }
    drive.store().map_err(|_| Failure::INTERNAL)?;
    Ok(Answer::default())
}

/// A sanitize that did not allow that a failure is left (AUSE) has failed: only one of its kind helps.
fn failed_for_good(drive: &Inside) -> bool {
    drive.sanitize.status == Status::Failed && drive.sanitize.cdw10 & ALLOW_UNRESTRICTED_EXIT == 0
}

fn leave_failure(drive: &mut Inside) -> Result<(), Failure> {
    if failed_for_good(drive) {
        return Err(Failure::SANITIZE_FAILED);
    }
    drive.sanitize.left = true;
    Ok(())
}

fn begin(drive: &mut Inside, cdw10: u32, pattern: u32) -> Result<(), Failure> {
    let action = Action::of(cdw10 & 0b111).filter(|action| drive.spec.sanitizes.contains(action));
    if action.is_none() || drive.spec.faults.refuses_sanitize {
        return Err(Failure::INVALID_FIELD);
    }
    if failed_for_good(drive) && cdw10 & ALLOW_UNRESTRICTED_EXIT != 0 {
        return Err(Failure::SANITIZE_FAILED);
    }
    drive.sanitize = Sanitize { status: Status::Running, cdw10, pattern, ..Sanitize::default() };
    Ok(())
}

/// What is said to, and by, the part that knows its owner. A revert makes new keys.
fn security(drive: &mut Inside, command: &Command, data: &[u8]) -> Result<Answer, Failure> {
    let [_, low, high, protocol] = command.cdw(10).to_le_bytes();
    let com_id = u16::from_be_bytes([high, low]);
    let tper = drive.tper.as_mut().ok_or(Failure::INVALID_OPCODE)?;
    if command.opcode() == SECURITY_RECEIVE {
        return tper.receive(protocol, com_id).map(Answer::data);
    }
    if tper.send(protocol, com_id, data)? == Effect::Reverted {
        let all: Vec<u32> = drive.spec.namespaces.iter().map(|one| one.id).collect();
        for id in all {
            drive.erase(id, Action::Crypto).map_err(|_| Failure::INTERNAL)?;
        }
    }
    Ok(Answer::default())
}

/// A drive that somebody owns does not erase itself for others.
fn refuse_to_others(drive: &Inside) -> Result<(), Failure> {
    match &drive.tper {
        Some(tper) if tper.is_owned() => Err(Failure::OPERATION_DENIED),
        Some(_) | None => Ok(()),
    }
}

/// Reads, writes and formats fail while a sanitize runs, and after it failed.
pub(crate) fn refuse_while_sanitizing(drive: &Inside) -> Result<(), Failure> {
    match drive.sanitize.status {
        Status::Running => Err(Failure::SANITIZE_IN_PROGRESS),
        Status::Failed if !drive.sanitize.left => Err(Failure::SANITIZE_FAILED),
        Status::Never | Status::Done | Status::Failed => Ok(()),
    }
}
