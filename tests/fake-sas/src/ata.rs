//! ATA commands in ATA PASS-THROUGH (16): SAT-4, clause 12.2.2; ACS-4.

use crate::{
    Answer, Drive, Sanitizing,
    identify::identify,
    sanitize::Action,
    security::Parameters,
    sense::{self, Registers},
};

/// ATA status: ready, seek complete.
const READY: u8 = 0x50;

/// The fields that the commands here use.
struct Task {
    command: u8,
    feature: u16,
    count: u16,
    lba: u64,
    /// Whether the host wants the registers even if all is well.
    check: bool,
}

impl Task {
    fn parse(cdb: &[u8]) -> Option<Self> {
        let byte = |index: usize| cdb.get(index).copied();
        let word = |high: usize| Some(u16::from_be_bytes([byte(high)?, byte(high + 1)?]));
        let extended = byte(1)? & 1 != 0;
        let wide = |word: u16| if extended { word } else { word & 0xff };
        let mut lba = [byte(8)?, byte(10)?, byte(12)?, 0, 0, 0, 0, 0];
        if extended {
            lba[3..6].copy_from_slice(&[byte(7)?, byte(9)?, byte(11)?]);
        }
        Some(Self {
            command: byte(14)?,
            feature: wide(word(3)?),
            count: wide(word(5)?),
            lba: u64::from_le_bytes(lba),
            check: byte(2)? & 0x20 != 0,
        })
    }
}

/// What a command does when it does not abort.
enum Done {
    Registers(Registers),
    Data(Vec<u8>),
}

/// Nothing to say but that it is done.
fn plain() -> Option<Done> {
    Some(Done::Registers(Registers { status: READY, ..Registers::default() }))
}

pub(crate) fn pass_through(drive: &mut Drive, cdb: &[u8], data: &[u8]) -> Answer {
    let Some(task) = Task::parse(cdb) else { return Answer::error(sense::ILLEGAL_FIELD) };
    drive.journal.push((task.command, task.feature));
    let prepared = task.command == 0xf4 && drive.security.prepared;
    drive.security.prepared = prepared;
    let asked_native = task.command == 0x37 && drive.asked_native;
    drive.asked_native = asked_native;
    let done = execute(drive, &task, data);
    if drive.is_off() {
        return Answer::error(sense::NOT_READY);
    }
    match done {
        // As Linux 6.1 tells an abort: fixed format, and no registers where SAT wants them.
        None => Answer::error(sense::ABORTED),
        Some(Done::Data(data)) => Answer::good(data),
        Some(Done::Registers(registers)) if task.check => Answer::check(sense::ata_return(registers)),
        Some(Done::Registers(_)) => Answer::default(),
    }
}

/// `None`: the command is aborted.
fn execute(drive: &mut Drive, task: &Task, data: &[u8]) -> Option<Done> {
    let busy = matches!(drive.sanitizing(), Sanitizing::Running { .. } | Sanitizing::Failed);
    match task.command {
        0xec => Some(Done::Data(identify(drive))),
        0xb4 => sanitize(drive, task),
        _ if busy => None,
        0xf1 => drive.security.set_password(&Parameters::parse(data)?).then(plain)?,
        0xf2 => drive.security.open(&Parameters::parse(data)?, false).then(plain)?,
        0xf3 => {
            drive.security.prepared = !drive.security.frozen;
            drive.security.prepared.then(plain)?
        }
        0xf4 => erase_unit(drive, &Parameters::parse(data)?),
        0xf6 => drive.security.open(&Parameters::parse(data)?, true).then(plain)?,
        0x27 | 0x37 if !drive.amax => native_max(drive, task),
        0x78 if drive.amax => native_max(drive, task),
        _ => None,
    }
}

fn erase_unit(drive: &mut Drive, parameters: &Parameters) -> Option<Done> {
    if !drive.security.may_erase(parameters) {
        return None;
    }
    if drive.power_cut() {
        return None;
    }
    if drive.faults.failures > 0 {
        drive.faults.failures -= 1;
        return None;
    }
    if !drive.faults.lie {
        drive.media.zero(65_536);
    }
    drive.security.password = None;
    drive.security.locked = false;
    plain()
}

/// The signatures in the LBA field keep a stray command from erasing a drive.
fn sanitize(drive: &mut Drive, task: &Task) -> Option<Done> {
    if !drive.sanitize_supported || drive.security.locked {
        return None;
    }
    let action = match (task.feature, task.lba) {
        (0x0000, _) => return sanitize_status(drive, task),
        (0x0011, 0x4372_7970) => Action::Crypto,
        (0x0012, 0x426b_4572) => Action::Block,
        (0x0014, lba) if lba >> 32 == 0x4f57 => Action::Overwrite,
        _ => return None,
    };
    if drive.faults.refuse_sanitize || matches!(drive.sanitizing(), Sanitizing::Running { .. }) {
        return None;
    }
    drive.sanitizer.begin(action, task.count & 0x10 != 0);
    if drive.power_cut() {
        return None;
    }
    Some(Done::Registers(Registers { count: 1 << 14, status: READY, ..Registers::default() }))
}

fn sanitize_status(drive: &mut Drive, task: &Task) -> Option<Done> {
    if task.count & 1 != 0 && !drive.sanitizer.leave() {
        return None;
    }
    let state = drive.sanitizer.ask(&mut drive.media, &mut drive.faults);
    let (count, lba) = match state {
        Sanitizing::Never => (0, 0xffff),
        Sanitizing::Running { progress } => (1 << 14, u64::from(progress).min(0xffff)),
        Sanitizing::Done => (1 << 15, 0xffff),
        Sanitizing::Failed => return None,
    };
    Some(Done::Registers(Registers { count, lba, status: READY, ..Registers::default() }))
}

/// READ NATIVE MAX ADDRESS EXT and SET MAX ADDRESS EXT, or the two features of ACCESSIBLE MAX ADDRESS.
fn native_max(drive: &mut Drive, task: &Task) -> Option<Done> {
    let native = drive.native_blocks?;
    let sets = task.command == 0x37 || (task.command == 0x78 && task.feature == 1);
    if !sets {
        drive.asked_native = true;
        let lba = native - 1;
        return Some(Done::Registers(Registers { lba, status: READY, ..Registers::default() }));
    }
    // SET MAX is taken only right after READ NATIVE MAX.
    if task.lba >= native || (task.command == 0x37 && !drive.asked_native) {
        return None;
    }
    drive.visible = task.lba + 1;
    if task.command == 0x78 || task.count & 1 != 0 {
        drive.lasting = drive.visible;
    }
    plain()
}
