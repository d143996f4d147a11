//! SCSI commands: SPC-5, SBC-4. A SATA drive has those that a translation layer makes.

use crate::{
    Answer, Drive, Kind, Sanitizing,
    media::BLOCK,
    sanitize::Action,
    sense::{self, fixed},
};

/// [`BLOCK`] as capacities have it.
const BLOCK_WORD: u32 = 512;

pub(crate) fn execute(drive: &mut Drive, command: &[u8], data: &[u8]) -> Answer {
    // Short commands of other groups have no byte 15; none of theirs is read.
    let mut cdb = [0; 16];
    let length = command.len().min(16);
    cdb[..length].copy_from_slice(&command[..length]);
    let answer = match cdb[0] {
        0x03 => request_sense(drive),
        0x12 => inquiry(drive, &cdb),
        0x1a => Answer::good(vec![11, 0, 0, 0, 0x08, 0x06, 0, 0, 0, 0, 0, 0]),
        0x5a => Answer::good(vec![0, 14, 0, 0, 0, 0, 0, 0, 0x08, 0x06, 0, 0, 0, 0, 0, 0]),
        0x48 => sanitize(drive, &cdb, data),
        0xa3 if cdb[1] & 0x1f == 0x0c => supported(drive, &cdb),
        0x00 | 0x04 | 0x1b | 0x1e | 0x25 | 0x28 | 0x2a | 0x35 | 0x88 | 0x8a | 0x91 | 0x9e => {
            media_access(drive, &cdb, data)
        }
        _ => Answer::error(sense::ILLEGAL_COMMAND),
    };
    truncated(answer, &cdb)
}

/// Nothing longer than the host asked for.
fn truncated(mut answer: Answer, cdb: &[u8; 16]) -> Answer {
    let limit = match cdb[0] {
        0x03 | 0x1a => usize::from(cdb[4]),
        0x12 => usize::from(u16::from_be_bytes([cdb[3], cdb[4]])),
        0x5a => usize::from(u16::from_be_bytes([cdb[7], cdb[8]])),
        0xa3 => u32::from_be_bytes([cdb[6], cdb[7], cdb[8], cdb[9]]) as usize,
        0x9e => u32::from_be_bytes([cdb[10], cdb[11], cdb[12], cdb[13]]) as usize,
        _ => usize::MAX,
    };
    answer.data.truncate(limit);
    answer
}

fn media_access(drive: &mut Drive, cdb: &[u8; 16], data: &[u8]) -> Answer {
    let size = [0x25, 0x9e].contains(&cdb[0]);
    if drive.security.locked && !size {
        return Answer::error(sense::ABORTED);
    }
    match drive.sanitizing() {
        Sanitizing::Running { progress } if !size => return busy(drive.kind, progress),
        Sanitizing::Failed if !size => return failed(drive.kind),
        Sanitizing::Running { .. } | Sanitizing::Failed | Sanitizing::Never | Sanitizing::Done => {}
    }
    let short = || {
        let block = u32::from_be_bytes([cdb[2], cdb[3], cdb[4], cdb[5]]);
        (u64::from(block), u64::from(u16::from_be_bytes([cdb[7], cdb[8]])))
    };
    let long = || {
        let block = u64::from_be_bytes(std::array::from_fn(|index| cdb[2 + index]));
        (block, u64::from(u32::from_be_bytes([cdb[10], cdb[11], cdb[12], cdb[13]])))
    };
    match cdb[0] {
        0x25 => capacity(drive, true),
        0x9e => capacity(drive, false),
        0x28 => drive.read(short()),
        0x88 => drive.read(long()),
        0x2a => drive.write(short(), data),
        0x8a => drive.write(long(), data),
        // FORMAT UNIT among them: it answers "good" and does nothing, as QEMU's does.
        _ => Answer::default(),
    }
}

fn busy(kind: Kind, progress: u32) -> Answer {
    match kind {
        Kind::Sata => Answer::error(sense::ABORTED),
        Kind::Sas => Answer::check(fixed(sense::SANITIZE_IN_PROGRESS, Some(in_16_bits(progress)))),
    }
}

fn failed(kind: Kind) -> Answer {
    match kind {
        Kind::Sata => Answer::error(sense::ABORTED),
        Kind::Sas => Answer::error(sense::SANITIZE_FAILED),
    }
}

fn in_16_bits(progress: u32) -> u16 {
    u16::try_from(progress).unwrap_or(u16::MAX)
}

fn capacity(drive: &Drive, short: bool) -> Answer {
    let last = drive.blocks() - 1;
    let mut data = vec![0; 32];
    if short {
        data[..4].copy_from_slice(&u32::try_from(last).unwrap_or(u32::MAX).to_be_bytes());
        data[4..8].copy_from_slice(&BLOCK_WORD.to_be_bytes());
        data.truncate(8);
    } else {
        data[..8].copy_from_slice(&last.to_be_bytes());
        data[8..12].copy_from_slice(&BLOCK_WORD.to_be_bytes());
    }
    Answer::good(data)
}

/// REQUEST SENSE: its data is the state, and asking is what lets time pass.
fn request_sense(drive: &mut Drive) -> Answer {
    if let Some(attention) = drive.attention.take() {
        return Answer::good(fixed(attention, None));
    }
    if drive.kind == Kind::Sata {
        return Answer::good(fixed(sense::NO_SENSE, None));
    }
    Answer::good(match drive.sanitizer.ask(&mut drive.media, &mut drive.faults) {
        Sanitizing::Running { progress } => fixed(sense::SANITIZE_IN_PROGRESS, Some(in_16_bits(progress))),
        Sanitizing::Failed => fixed(sense::SANITIZE_FAILED, None),
        Sanitizing::Never | Sanitizing::Done => fixed(sense::NO_SENSE, None),
    })
}

fn inquiry(drive: &Drive, cdb: &[u8; 16]) -> Answer {
    let page = |code: u8, body: &[u8]| {
        let mut data = vec![0, code, 0, u8::try_from(body.len()).unwrap_or(u8::MAX)];
        data.extend_from_slice(body);
        Answer::good(data)
    };
    match (cdb[1] & 1, cdb[2]) {
        (0, _) => Answer::good(standard_inquiry(drive.kind)),
        (_, 0x00) => page(0x00, &[0x00, 0x80, 0x83]),
        (_, 0x80) => page(0x80, b"BILLET0001"),
        (_, 0x83) => page(0x83, &[0x01, 0x03, 0x00, 0x08, 0x50, 0x01, 0x40, 0x5b, 0x11, 0x1e, 0x70, 0x01]),
        _ => Answer::error(sense::ILLEGAL_FIELD),
    }
}

fn standard_inquiry(kind: Kind) -> Vec<u8> {
    let mut data = vec![0, 0, 0x06, 0x02, 91, 0, 0, 0x02];
    data.extend_from_slice(match kind {
        Kind::Sata => b"ATA     Fake SATA drive 1.0 ",
        Kind::Sas => b"BILLET  Fake SAS drive  1.0 ",
    });
    data.resize(96, 0);
    data
}

/// REPORT SUPPORTED OPERATION CODES for one command with its service action.
fn supported(drive: &Drive, cdb: &[u8; 16]) -> Answer {
    let has = drive.kind == Kind::Sas && drive.sanitize_supported;
    let action = u16::from_be_bytes([cdb[4], cdb[5]]);
    let ours = cdb[3] == 0x48 && matches!(action, 0x01..=0x03 | 0x1f);
    let support = if has && ours { 0b011 } else { 0b001 };
    let mut data = vec![0, support, 0, 10, 0x48, 0xff, 0, 0, 0, 0, 0, 0xff, 0xff, 0];
    if support == 0b001 {
        data.truncate(4);
        data[3] = 0;
    }
    Answer::good(data)
}

fn sanitize(drive: &mut Drive, cdb: &[u8; 16], data: &[u8]) -> Answer {
    let action = cdb[1] & 0x1f;
    drive.journal.push((0x48, action.into()));
    if drive.kind == Kind::Sata || !drive.sanitize_supported {
        return Answer::error(sense::ILLEGAL_COMMAND);
    }
    let action = match action {
        _ if drive.faults.refuse_sanitize => return Answer::error(sense::ILLEGAL_FIELD),
        0x01 if overwrite_is_right(data) => Action::Overwrite,
        0x02 => Action::Block,
        0x03 => Action::Crypto,
        0x1f if drive.sanitizer.leave() => return Answer::default(),
        _ => return Answer::error(sense::ILLEGAL_FIELD),
    };
    if let Sanitizing::Running { progress } = drive.sanitizing() {
        return busy(Kind::Sas, progress);
    }
    drive.sanitizer.begin(action, cdb[1] & 0x20 != 0);
    if drive.power_cut() {
        return Answer::error(sense::NOT_READY);
    }
    Answer::default()
}

/// A pattern of 1 to 512 bytes that is all there.
fn overwrite_is_right(data: &[u8]) -> bool {
    let Some(length) = data.get(2..4).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    else {
        return false;
    };
    data[0] & 0x1f >= 1 && (1..=BLOCK).contains(&length) && data.len() == 4 + length
}
