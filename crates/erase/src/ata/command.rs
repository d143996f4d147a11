//! One ATA command in ATA PASS-THROUGH (16): SAT-4, clause 12.2.2.

use sys::sg::Transfer;

use crate::{
    Answer, CommandError,
    scsi::{self, ASK_TIMEOUT_MS, Code, Outcome, Wire, hex},
};

/// What a command leaves in the drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) error: u8,
    pub(crate) status: u8,
    pub(crate) count: u16,
    /// 48 bits.
    pub(crate) lba: u64,
}

/// The error bit and the device fault bit of the status.
const FAILED: u8 = 0x21;
/// What a transfer of data has: one sector.
pub(crate) const SECTOR: usize = 512;

/// A command to an ATA drive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// As the standard names it.
    pub(crate) name: &'static str,
    pub(crate) command: u8,
    pub(crate) feature: u16,
    pub(crate) count: u16,
    /// 48 bits, or 28 without `extended`.
    pub(crate) lba: u64,
    /// Whether its registers are 16 bits wide; adapters may refuse that of the others.
    pub(crate) extended: bool,
    pub(crate) timeout_ms: u32,
}

impl Task {
    /// A command without parameters.
    pub(crate) fn new(name: &'static str, command: u8) -> Self {
        Self { name, command, feature: 0, count: 0, lba: 0, extended: false, timeout_ms: ASK_TIMEOUT_MS }
    }

    /// One of the commands whose registers are 16 bits wide.
    pub(crate) fn extended(name: &'static str, command: u8) -> Self {
        Self { extended: true, ..Self::new(name, command) }
    }

    /// Run it without data; the registers it leaves, if the adapter tells them.
    pub(crate) fn run(self, wire: &mut dyn Wire) -> Result<(Option<Registers>, Answer), CommandError> {
        self.send(wire, Protocol::NoData, &mut Transfer::None)
    }

    /// Run it and take the sector that the drive sends.
    pub(crate) fn read(self, wire: &mut dyn Wire) -> Result<Vec<u8>, CommandError> {
        let mut data = vec![0; SECTOR];
        Task { count: 1, ..self }.send(wire, Protocol::PioIn, &mut Transfer::In(&mut data))?;
        Ok(data)
    }

    /// Run it with a sector for the drive.
    pub(crate) fn write(self, wire: &mut dyn Wire, data: &[u8; SECTOR]) -> Result<Answer, CommandError> {
        Ok(Task { count: 1, ..self }.send(wire, Protocol::PioOut, &mut Transfer::Out(data))?.1)
    }

    fn send(
        self,
        wire: &mut dyn Wire,
        protocol: Protocol,
        transfer: &mut Transfer<'_>,
    ) -> Result<(Option<Registers>, Answer), CommandError> {
        let cdb = self.cdb(protocol);
        let outcome = scsi::run(wire, self.name, &cdb, transfer, self.timeout_ms)?;
        let asked = Answer::default().with("ata", self.words());
        match outcome {
            Outcome::Sense(sense) if let Some(registers) = sense.registers => {
                let answer = asked.with("ata_status", words_of(registers));
                match registers.status & FAILED {
                    0 => Ok((Some(registers), answer)),
                    _ => Err(self.refused(answer)),
                }
            }
            Outcome::Sense(sense) if sense.code == Code::ATA_REGISTERS => Ok((None, asked)),
            Outcome::Sense(sense) if sense.code.is_unknown_command() => {
                Err(CommandError::Unsupported { command: "ATA PASS-THROUGH" })
            }
            Outcome::Sense(sense) => Err(self.refused(asked.with("sense", sense.code))),
            Outcome::Good => Ok((None, asked)),
            Outcome::Status(_) => scsi::expect_good(self.name, &cdb, outcome).map(|answer| (None, answer)),
        }
    }

    fn refused(self, answer: Answer) -> CommandError {
        CommandError::Refused { command: self.name, reason: "it aborted the command".to_owned(), answer }
    }

    /// Command, feature, count and LBA. Never the data: that may hold a password.
    fn words(self) -> String {
        let Task { command, feature, count, lba, .. } = self;
        format!("{command:#04x} feature {feature:#06x} count {count:#06x} lba {lba:#x}")
    }

    fn cdb(self, protocol: Protocol) -> [u8; 16] {
        let [f1, f0] = self.feature.to_be_bytes();
        let [c1, c0] = self.count.to_be_bytes();
        let [l0, l1, l2, l3, l4, l5, ..] = self.lba.to_le_bytes();
        let (number, flags) = match protocol {
            // The registers are asked for afterwards.
            Protocol::NoData => (3 << 1, 0x20),
            // One block as the count says; 0x08 is towards the host.
            Protocol::PioIn => (4 << 1, 0x0e),
            Protocol::PioOut => (5 << 1, 0x06),
        };
        [
            0x85,
            number | u8::from(self.extended),
            flags,
            f1,
            f0,
            c1,
            c0,
            l3,
            l0,
            l4,
            l1,
            l5,
            l2,
            0x40,
            self.command,
            0,
        ]
    }
}

/// How the data of a command moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    NoData,
    PioIn,
    PioOut,
}

fn words_of(registers: Registers) -> String {
    let Registers { error, status, count, lba } = registers;
    format!("{} count {count:#06x} lba {lba:#x}", hex(&[status, error]))
}
