//! Commands and their completions, 64 and 16 bytes.

/// A submission queue entry.
#[derive(Clone, Debug)]
pub(crate) struct Command(pub(crate) [u8; 64]);

impl Command {
    pub(crate) fn u8(&self, at: usize) -> u8 {
        self.0[at]
    }

    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.u8(0)
    }

    pub(crate) fn id(&self) -> u16 {
        self.u16(2)
    }

    pub(crate) fn nsid(&self) -> u32 {
        self.u32(4)
    }

    /// Command dword `n`, 10 to 15.
    pub(crate) fn cdw(&self, n: usize) -> u32 {
        self.u32(n * 4)
    }

    /// How many bytes it moves, by its one SGL descriptor.
    pub(crate) fn length(&self) -> usize {
        self.u32(32) as usize
    }

    /// Whether those are sent to the drive, and with the command (subtype offset).
    pub(crate) fn is_in_capsule(&self) -> bool {
        const DATA_BLOCK_AT_OFFSET: u8 = 0x01;
        self.u8(39) == DATA_BLOCK_AT_OFFSET
    }

    /// Whether data goes to the drive: bits 1:0 of the opcode, or of the fabrics command's type.
    pub(crate) fn sends(&self) -> bool {
        const FABRICS: u8 = 0x7f;
        let kind = if self.opcode() == FABRICS { self.u8(4) } else { self.opcode() };
        kind & 0b11 == 0b01
    }
}

/// Why a command fails: status code, and its type in bits 10:8, and do-not-retry in bit 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) u16);

impl Failure {
    const DO_NOT_RETRY: u16 = 1 << 14;
    pub(crate) const INVALID_OPCODE: Self = Self(0x01 | Self::DO_NOT_RETRY);
    pub(crate) const INVALID_FIELD: Self = Self(0x02 | Self::DO_NOT_RETRY);
    pub(crate) const INTERNAL: Self = Self(0x06);
    pub(crate) const INVALID_NAMESPACE: Self = Self(0x0b | Self::DO_NOT_RETRY);
    pub(crate) const OPERATION_DENIED: Self = Self(0x15 | Self::DO_NOT_RETRY);
    pub(crate) const SANITIZE_FAILED: Self = Self(0x1c | Self::DO_NOT_RETRY);
    pub(crate) const SANITIZE_IN_PROGRESS: Self = Self(0x1d | Self::DO_NOT_RETRY);
    pub(crate) const LBA_OUT_OF_RANGE: Self = Self(0x80 | Self::DO_NOT_RETRY);
    /// Command specific: the format is not one of the drive's.
    pub(crate) const INVALID_FORMAT: Self = Self(0x10a | Self::DO_NOT_RETRY);
    /// Command specific, fabrics: there is no such subsystem or controller here.
    pub(crate) const INVALID_CONNECT: Self = Self(0x182 | Self::DO_NOT_RETRY);
    pub(crate) const WRITE_FAULT: Self = Self(0x280 | Self::DO_NOT_RETRY);
    pub(crate) const READ_ERROR: Self = Self(0x281 | Self::DO_NOT_RETRY);
    pub(crate) const ACCESS_DENIED: Self = Self(0x286 | Self::DO_NOT_RETRY);
}

/// What a command leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Dwords 0 and 1 of the completion.
    pub(crate) result: u64,
    /// What is sent to the host.
    pub(crate) data: Vec<u8>,
}

impl Answer {
    pub(crate) fn result(result: impl Into<u64>) -> Self {
        Self { result: result.into(), data: Vec::new() }
    }

    pub(crate) fn data(data: Vec<u8>) -> Self {
        Self { result: 0, data }
    }
}

/// The completion queue entry of `command`.
pub(crate) fn completion(command: u16, queue: u16, outcome: Result<u64, Failure>) -> [u8; 16] {
    let (result, status) = match outcome {
        Ok(result) => (result, 0),
        Err(Failure(status)) => (0, status),
    };
    let mut entry = [0; 16];
    entry[..8].copy_from_slice(&result.to_le_bytes());
    entry[10..12].copy_from_slice(&queue.to_le_bytes());
    entry[12..14].copy_from_slice(&command.to_le_bytes());
    // Bit 0 is the phase, which fabrics do not have.
    entry[14..].copy_from_slice(&(status << 1).to_le_bytes());
    entry
}
