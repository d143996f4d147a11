//! NVMe Format of one namespace, with a secure erase setting.

use disk::Device;

use super::status::failed;
use crate::{Answer, CommandError, SecureErase};

const COMMAND: &str = "NVMe Format";
/// A format may take hours on a large drive; the block layer's own limit is a
/// minute. Four hours is longer than any drive's stated time known to us.
const FORMAT_TIMEOUT_MS: u32 = 4 * 60 * 60 * 1000;

/// Format the namespace, keeping its block format and protection settings.
/// Returns when the drive says it is done.
pub(super) fn format(device: &Device, erase: SecureErase) -> Result<Answer, CommandError> {
    let id = sys::nvme::namespace_id(device).map_err(|_| CommandError::Unsupported { command: COMMAND })?;
    let namespace = sys::nvme::identify_namespace(device, id)
        .map_err(|error| failed(COMMAND, Answer::default(), error))?;
    let command = format_command(&namespace, erase);
    let asked =
        Answer::default().with("nsid", format_args!("{id:#x}")).with("cdw10", format_args!("{command:#x}"));
    match sys::nvme::format(device, id, command, FORMAT_TIMEOUT_MS) {
        Ok(()) => Ok(asked.with("status", "0x0")),
        Err(error) => Err(failed(COMMAND, asked, error)),
    }
}

/// Format's command dword 10 that erases as `erase` says and keeps what the
/// namespace has: its LBA format, metadata place and protection information.
#[must_use]
fn format_command(namespace: &[u8], erase: SecureErase) -> u32 {
    let field = |offset: usize, shift: u32, mask: u32| {
        (u32::from(namespace.get(offset).copied().unwrap_or(0)) >> shift) & mask
    };
    const FLBAS: usize = 26;
    const DPS: usize = 29;
    let ses = match erase {
        SecureErase::UserData => 1,
        SecureErase::Cryptographic => 2,
    };
    field(FLBAS, 0, 0xf)           // LBAFL
        | field(FLBAS, 4, 1) << 4  // MSET
        | field(DPS, 0, 0b111) << 5 // PI
        | field(DPS, 3, 1) << 8    // PIL
        | ses << 9                 // SES
        | field(FLBAS, 5, 0b11) << 12 // LBAFU
}

#[cfg(test)]
mod tests {
    use sys::nvme::IDENTIFY_LENGTH;

    use super::*;

    #[test]
    fn format_keeps_the_block_format_and_the_protection() {
        let mut namespace = vec![0; IDENTIFY_LENGTH];
        assert_eq!(format_command(&namespace, SecureErase::UserData), 1 << 9);
        namespace[26] = 0b0101_0011; // LBA format 3 + 2 * 16, metadata at the end of the block
        namespace[29] = 0b0000_1010; // protection type 2, first bytes
        assert_eq!(
            format_command(&namespace, SecureErase::Cryptographic),
            3 | 1 << 4 | 2 << 5 | 1 << 8 | 2 << 9 | 2 << 12
        );
    }
}
