//! Reads and writes of a namespace.

use std::{fs::File, ops::Range, os::unix::fs::FileExt};

use crate::{
    Namespace,
    admin::refuse_while_sanitizing,
    command::{Answer, Command, Failure},
    drive::Inside,
};

const FLUSH: u8 = 0x00;
const WRITE: u8 = 0x01;
const READ: u8 = 0x02;
const WRITE_ZEROES: u8 = 0x08;
const DATASET_MANAGEMENT: u8 = 0x09;

/// Run `command`, which came with `data`.
pub(crate) fn run(drive: &mut Inside, command: &Command, data: &[u8]) -> Result<Answer, Failure> {
    refuse_while_sanitizing(drive)?;
    if drive.tper.as_ref().is_some_and(|tper| tper.locked) {
        return Err(Failure::ACCESS_DENIED);
    }
    let (namespace, file) = drive.attached(command.nsid()).ok_or(Failure::INVALID_NAMESPACE)?;
    let faults = &drive.spec.faults;
    match command.opcode() {
        FLUSH => file.sync_data().map_err(|_| Failure::WRITE_FAULT)?,
        // A hint, which this drive does not take: the data stays.
        DATASET_MANAGEMENT => {}
        READ => {
            let range = blocks(namespace, command, &faults.unreadable, Failure::READ_ERROR)?;
            return Ok(Answer::data(read(file, range)?));
        }
        WRITE => {
            let range = blocks(namespace, command, &faults.unwritable, Failure::WRITE_FAULT)?;
            let data = data.get(..length(&range)).ok_or(Failure::INVALID_FIELD)?;
            file.write_all_at(data, range.start).map_err(|_| Failure::WRITE_FAULT)?;
            drive.sanitize.erased = false;
        }
        WRITE_ZEROES => {
            let range = blocks(namespace, command, &faults.unwritable, Failure::WRITE_FAULT)?;
            file.write_all_at(&vec![0; length(&range)], range.start).map_err(|_| Failure::WRITE_FAULT)?;
            drive.sanitize.erased = false;
        }
        _ => return Err(Failure::INVALID_OPCODE),
    }
    Ok(Answer::default())
}

/// The bytes that `command` is about, unless they are `broken`.
fn blocks(
    namespace: &Namespace,
    command: &Command,
    broken: &Range<u64>,
    failure: Failure,
) -> Result<Range<u64>, Failure> {
    let count = u64::from(command.cdw(12) & 0xffff) + 1;
    let start = command.u64(40).checked_mul(namespace.block).ok_or(Failure::LBA_OUT_OF_RANGE)?;
    let end = start.checked_add(count * namespace.block).filter(|end| *end <= namespace.bytes);
    let end = end.ok_or(Failure::LBA_OUT_OF_RANGE)?;
    if start < broken.end && broken.start < end {
        return Err(failure);
    }
    Ok(start..end)
}

/// At most 65,536 blocks.
fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(0)
}

fn read(file: &File, range: Range<u64>) -> Result<Vec<u8>, Failure> {
    let mut data = vec![0; length(&range)];
    file.read_exact_at(&mut data, range.start).map_err(|_| Failure::READ_ERROR)?;
    Ok(data)
}
