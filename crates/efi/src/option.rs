//! `EFI_LOAD_OPTION`, UEFI specification 2.10 §3.1.3, with the two device path
//! nodes a disk's loader needs, §10.3.5.1 and §10.3.5.4.

/// The option is active.
const ACTIVE: u32 = 1;
/// The type of the node that ends a device path.
const END: u8 = 0x7f;
/// Length of a hard drive node.
const HARD_DRIVE: u16 = 42;

/// A partition as a device path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardDrive {
    /// Its number, from 1.
    pub partition: u32,
    /// First sector, in the disk's logical blocks.
    pub start_blocks: u64,
    /// Length, in the disk's logical blocks.
    pub length_blocks: u64,
    /// Its own GUID (`PARTUUID`), in the byte order of the disk.
    pub id: [u8; 16],
}

/// One entry of the boot menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOption {
    /// What the menu shows.
    pub label: String,
    /// Device path and optional data, as they are.
    pub rest: Vec<u8>,
    /// Attributes; bit 0 is "active".
    pub attributes: u32,
}

/// A boot variable that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a load option")]
pub struct MalformedOption;

impl LoadOption {
    /// An active entry for the loader at `path` (with backslashes) of a partition.
    #[must_use]
    pub fn for_loader(label: &str, drive: &HardDrive, path: &str) -> Self {
        let mut nodes = hard_drive(drive);
        nodes.extend(file_path(path));
        nodes.extend([0x7f, 0xff, 4, 0]);
        Self { label: label.to_owned(), rest: with_length(nodes), attributes: ACTIVE }
    }

    /// As in the variable.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.attributes.to_le_bytes().to_vec();
        bytes.extend(&self.rest[..2]);
        bytes.extend(utf16(&self.label));
        bytes.extend(&self.rest[2..]);
        bytes
    }

    /// From the variable.
    ///
    /// # Errors
    /// [`MalformedOption`] when it is cut off.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedOption> {
        let (attributes, rest) = bytes.split_first_chunk::<4>().ok_or(MalformedOption)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(MalformedOption)?;
        let (units, _) = rest.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        let end = units.iter().position(|&unit| unit == 0).ok_or(MalformedOption)?;
        let path = &rest[(end + 1) * 2..];
        if path.len() < usize::from(u16::from_le_bytes(*length)) {
            return Err(MalformedOption);
        }
        Ok(Self {
            label: String::from_utf16_lossy(&units[..end]),
            rest: [length, path].concat(),
            attributes: u32::from_le_bytes(*attributes),
        })
    }

    /// Where it boots from, as `efibootmgr -v` shows it.
    #[must_use]
    pub fn device_path(&self) -> String {
        let (length, path) = self.rest.split_first_chunk::<2>().unwrap_or((&[0, 0], &[]));
        crate::device_path::text(path.get(..usize::from(u16::from_le_bytes(*length))).unwrap_or_default())
    }

    /// True when one node of its device path is a partition of a hard drive.
    #[must_use]
    pub fn is_for_a_hard_drive(&self) -> bool {
        let mut nodes = self.rest.get(2..).unwrap_or_default();
        while let [kind, sub, low, high, ..] = *nodes {
            let length = usize::from(u16::from_le_bytes([low, high]));
            match (kind, sub) {
                (4, 1) => return true,
                (END, _) => return false,
                _ if length < 4 => return false,
                _ => nodes = nodes.get(length..).unwrap_or_default(),
            }
        }
        false
    }
}

/// `nodes` behind their length, as [`LoadOption::rest`] keeps them.
fn with_length(nodes: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
    let mut rest = length.to_le_bytes().to_vec();
    rest.extend(nodes);
    rest
}

fn hard_drive(drive: &HardDrive) -> Vec<u8> {
    const GPT: u8 = 2;
    const GUID: u8 = 2;
    let mut node = vec![4, 1];
    node.extend(HARD_DRIVE.to_le_bytes());
    node.extend(drive.partition.to_le_bytes());
    node.extend(drive.start_blocks.to_le_bytes());
    node.extend(drive.length_blocks.to_le_bytes());
    node.extend(drive.id);
    node.extend([GPT, GUID]);
    node
}

fn file_path(path: &str) -> Vec<u8> {
    let text = utf16(path);
    let length = u16::try_from(text.len() + 4).unwrap_or(u16::MAX);
    let mut node = vec![4, 4];
    node.extend(length.to_le_bytes());
    node.extend(text);
    node
}

/// UTF-16 with a zero behind.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVE: HardDrive = HardDrive {
        partition: 1,
        start_blocks: 2048,
        length_blocks: 1_126_400,
        id: [0xef, 0xbe, 0xad, 0xde, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    };

    #[test]
    fn an_entry_is_what_efibootmgr_writes() {
        let option = LoadOption::for_loader("debian", &DRIVE, r"\EFI\debian\shimx64.efi");
        let hex: String = option.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        // As `efibootmgr -c -d DISK -p 1 -w -L debian -l '\EFI\debian\shimx64.efi'` stores it.
        let expected = concat!(
            "01000000",
            "6200",
            "64006500620069006100",
            "6e000000",
            "04012a0001000000000800000000000000301100000000",
            "00efbeadde0102030405060708090a0b0c0202",
            "040434005c004500460049005c00640065006200690061006e005c007300680069006d007800360034002e006500660069000000",
            "7fff0400",
        );
        assert_eq!(hex, expected);
    }

    #[test]
    fn options_round_trip() {
        let option = LoadOption::for_loader("Bootmenü", &DRIVE, r"\a.efi");
        assert_eq!(LoadOption::decode(&option.encode()), Ok(option));
    }

    #[test]
    fn every_cut_is_seen() {
        let bytes = LoadOption::for_loader("x", &DRIVE, r"\a.efi").encode();
        for length in 0..bytes.len() {
            assert_eq!(LoadOption::decode(&bytes[..length]), Err(MalformedOption), "{length}");
        }
    }
}
