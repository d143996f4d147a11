//! Sense data as a drive, or libata for it, makes it: SPC-5, clause 4.4; SAT-4, clause 12.2.2.7.

/// A sense key and its additional codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u8, pub(crate) u8, pub(crate) u8);

pub(crate) const NO_SENSE: Code = Code(0, 0, 0);
pub(crate) const SANITIZE_IN_PROGRESS: Code = Code(0x2, 0x04, 0x1b);
pub(crate) const NOT_READY: Code = Code(0x2, 0x04, 0x00);
pub(crate) const UNREADABLE: Code = Code(0x3, 0x11, 0x00);
pub(crate) const UNWRITABLE: Code = Code(0x3, 0x0c, 0x02);
pub(crate) const SANITIZE_FAILED: Code = Code(0x3, 0x31, 0x03);
pub(crate) const ILLEGAL_COMMAND: Code = Code(0x5, 0x20, 0x00);
pub(crate) const OUT_OF_RANGE: Code = Code(0x5, 0x21, 0x00);
pub(crate) const ILLEGAL_FIELD: Code = Code(0x5, 0x24, 0x00);
pub(crate) const POWER_ON: Code = Code(0x6, 0x29, 0x00);
pub(crate) const ABORTED: Code = Code(0xb, 0x00, 0x00);

/// Fixed format, with a progress in 65,536ths where there is one.
pub(crate) fn fixed(Code(key, asc, ascq): Code, progress: Option<u16>) -> Vec<u8> {
    let mut sense = vec![0; 18];
    sense[0] = 0x70;
    sense[2] = key;
    sense[7] = 10;
    sense[12] = asc;
    sense[13] = ascq;
    if let Some(progress) = progress {
        sense[15] = 0x80;
        sense[16..18].copy_from_slice(&progress.to_be_bytes());
    }
    sense
}

/// The registers of an ATA drive after a command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registers {
    pub(crate) error: u8,
    pub(crate) count: u16,
    pub(crate) lba: u64,
    pub(crate) status: u8,
}

/// Descriptor format with the ATA status return descriptor, "recovered error,
/// ATA pass-through information available": what libata answers to `CK_COND`.
pub(crate) fn ata_return(registers: Registers) -> Vec<u8> {
    let mut sense = vec![0x72, 0x01, 0x00, 0x1d, 0, 0, 0, 14, 0x09, 12, 0x01, registers.error];
    sense.extend(registers.count.to_be_bytes());
    let lba = registers.lba.to_le_bytes();
    sense.extend([lba[3], lba[0], lba[4], lba[1], lba[5], lba[2]]);
    sense.extend([0, registers.status]);
    sense
}
