//! Master boot records: the disk identifier that Ironic calls the root uuid of
//! a whole-disk image, and the four primary partitions.

use model::Bytes;

/// Sectors of an MBR are 512 bytes or the disk's own; fields are counted in them.
const ENTRIES: usize = 446;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// The type of the one partition that protects a GPT.
const PROTECTIVE: u8 = 0xee;

/// One primary partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Its number, 1 to 4.
    pub number: u32,
    /// Its type byte.
    pub kind: u8,
    /// First sector.
    pub start_blocks: u32,
    /// Length in sectors.
    pub length_blocks: u32,
}

/// True when `sector` ends in the boot signature.
#[must_use]
pub fn is_present(sector: &[u8]) -> bool {
    sector.get(510..512) == Some(&SIGNATURE)
}

/// The disk identifier, as Ironic writes it: `0x` and eight hex digits.
#[must_use]
pub fn disk_id(sector: &[u8]) -> Option<String> {
    let id: [u8; 4] = sector.get(440..444)?.try_into().ok()?;
    Some(format!("0x{:08x}", u32::from_le_bytes(id)))
}

/// The primary partitions in use. Empty without a boot signature.
#[must_use]
pub fn partitions(sector: &[u8]) -> Vec<Primary> {
    if !is_present(sector) {
        return Vec::new();
    }
    (0..4).map(|place| entry(sector, place)).filter(|primary| primary.kind != 0).collect()
}

/// True when `sector` says that a GPT follows. Without that neither firmware
/// (UEFI 2.10 §5.2.3) nor Linux (`is_pmbr_valid` of block/partitions/efi.c)
/// looks for one, whatever lies there: hybrid ISO images have a GPT that only
/// Apple's firmware reads.
#[must_use]
pub fn protects(sector: &[u8]) -> bool {
    partitions(sector).iter().any(|primary| primary.kind == PROTECTIVE && primary.start_blocks == 1)
}

fn entry(sector: &[u8], place: u8) -> Primary {
    let at = ENTRIES + usize::from(place) * 16;
    let field = |offset: usize| u32::from_le_bytes(std::array::from_fn(|byte| sector[at + offset + byte]));
    Primary {
        number: u32::from(place) + 1,
        kind: sector[at + 4],
        start_blocks: field(8),
        length_blocks: field(12),
    }
}

/// Make the entry that protects a GPT cover a disk of `blocks` sectors. Does
/// nothing to a hybrid table.
pub fn protect(sector: &mut [u8], blocks: u64) {
    if let [only] = partitions(sector)[..]
        && only.kind == PROTECTIVE
        && only.start_blocks == 1
    {
        let length = u32::try_from(blocks - 1).unwrap_or(u32::MAX);
        let at = ENTRIES + (only.number as usize - 1) * 16 + 12;
        sector[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// True when `sector`, of an image of `image` bytes, can only have been made for
/// 512-byte sectors: counted in those of `block` bytes, a partition ends past
/// the image, and none does counted in 512. Nothing else in an MBR tells.
#[must_use]
pub fn is_for_small_sectors(sector: &[u8], image: Bytes, block: u64) -> bool {
    let primaries = partitions(sector);
    let all_within = |unit: u64| {
        primaries.iter().all(|primary| {
            (u64::from(primary.start_blocks) + u64::from(primary.length_blocks)).saturating_mul(unit)
                <= image.0
        })
    };
    let protects = primaries.iter().any(|primary| primary.kind == PROTECTIVE);
    block > 512 && !protects && all_within(512) && !all_within(block)
}

/// Why partitions cannot be counted in other sectors.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecountError {
    /// A chain of logical partitions, which lies all over the disk.
    #[error(
        "partition {number} of the MBR is extended; only primary ones can be rewritten for other sectors"
    )]
    Extended {
        /// Its number.
        number: u32,
    },
    /// A partition starts or ends within a sector of the disk.
    #[error("partition {number} is not whole {block}-byte sectors; align it to a mebibyte in the image")]
    Misaligned {
        /// Its number.
        number: u32,
        /// Sector size of the disk.
        block: u64,
    },
}

/// Count the primary partitions, made for 512-byte sectors, in those of `block`
/// bytes: the same partitions at the same bytes.
///
/// # Errors
/// [`RecountError`] when one of them cannot be; `sector` is as it was then.
pub fn recount(sector: &mut [u8], block: u64) -> Result<(), RecountError> {
    /// CHS and LBA forms of an extended partition, and Linux's own.
    const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
    let factor = u32::try_from(block / 512).unwrap_or(u32::MAX);
    let primaries = partitions(sector);
    for Primary { number, kind, start_blocks, length_blocks } in primaries.iter().copied() {
        if EXTENDED.contains(&kind) {
            return Err(RecountError::Extended { number });
        }
        if !start_blocks.is_multiple_of(factor) || !length_blocks.is_multiple_of(factor) {
            return Err(RecountError::Misaligned { number, block });
        }
    }
    for primary in primaries {
        let at = ENTRIES + (primary.number as usize - 1) * 16;
        sector[at + 8..at + 12].copy_from_slice(&(primary.start_blocks / factor).to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&(primary.length_blocks / factor).to_le_bytes());
    }
    Ok(())
}

/// Why no partition can be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// All four are taken.
    #[error("the MBR has four partitions already; a config drive needs one of them")]
    NoEntry,
    /// The end of the disk is taken, or the disk is too small.
    #[error("there is no room for a partition of {length} at the end of the disk; pick a larger root device")]
    NoRoom {
        /// What was wanted.
        length: Bytes,
    },
}

/// Add a primary partition of `length` at the end of a disk of `size` in
/// sectors of `block` bytes, below the 2^32nd sector, aligned to a mebibyte.
/// Returns its number and where it starts.
///
/// # Errors
/// [`AddError`] when there is no entry or no room.
pub fn add_last(
    sector: &mut [u8],
    kind: u8,
    length: Bytes,
    size: Bytes,
    block: u64,
) -> Result<(u32, Bytes), AddError> {
    let taken = partitions(sector);
    let no_room = AddError::NoRoom { length };
    let place = (0..4_u8).find(|&place| entry(sector, place).kind == 0).ok_or(AddError::NoEntry)?;
    let end = (size.0 / block).min(u64::from(u32::MAX));
    let align = ((1 << 20) / block).max(1);
    let wanted = length.0.div_ceil(block);
    let start = end.checked_sub(wanted).map(|start| start / align * align);
    let start = start.filter(|&start| start > 0).and_then(|start| u32::try_from(start).ok());
    let (Some(start), Ok(wanted)) = (start, u32::try_from(wanted)) else { return Err(no_room) };
    let overlaps = |other: &Primary| {
        u64::from(other.start_blocks) + u64::from(other.length_blocks) > u64::from(start)
            && u64::from(other.start_blocks) < u64::from(start) + u64::from(wanted)
    };
    if taken.iter().any(overlaps) {
        return Err(no_room);
    }
    let at = ENTRIES + usize::from(place) * 16;
    let entry = &mut sector[at..at + 16];
    // Cylinders, heads and sectors that mean "read the sector numbers".
    entry.copy_from_slice(&[0, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&wanted.to_le_bytes());
    Ok((u32::from(place) + 1, Bytes(u64::from(start) * block)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Bytes = Bytes(256 << 20);
    const LENGTH: Bytes = Bytes(64 << 20);

    fn sector() -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&SIGNATURE);
        sector[440..444].copy_from_slice(&[0x78, 0x56, 0x34, 0x12]);
        sector
    }

    #[test]
    fn the_disk_id_reads_as_ironic_writes_it() {
        assert_eq!(disk_id(&sector()).as_deref(), Some("0x12345678"));
        assert_eq!(disk_id(&[0; 100]), None);
    }

    #[test]
    fn a_partition_is_added_at_the_end_until_there_is_no_room() {
        let mut sector = sector();
        assert_eq!(add_last(&mut sector, 0x0c, LENGTH, SIZE, 512), Ok((1, Bytes(192 << 20))));
        assert_eq!(add_last(&mut sector, 0x0c, LENGTH, SIZE, 512), Err(AddError::NoRoom { length: LENGTH }));
        let found = partitions(&sector);
        assert_eq!((found.len(), found[0].start_blocks, found[0].length_blocks), (1, 393_216, 131_072));
    }

    #[test]
    fn a_full_table_and_a_small_disk_are_refused() {
        let mut full = sector();
        for place in 0..4 {
            full[ENTRIES + place * 16 + 4] = 0x83;
        }
        assert_eq!(add_last(&mut full, 0x0c, LENGTH, SIZE, 512), Err(AddError::NoEntry));
        assert_eq!(
            add_last(&mut sector(), 0x0c, LENGTH, LENGTH, 512),
            Err(AddError::NoRoom { length: LENGTH })
        );
    }

    #[test]
    fn disks_beyond_the_reach_of_an_mbr_get_it_just_below_two_tebibytes() {
        let (_, start) = add_last(&mut sector(), 0x0c, LENGTH, Bytes(4 << 40), 512).expect("room");
        assert!(start.0 + LENGTH.0 < 2 << 40 && start.0 > (2 << 40) - (66 << 20), "{start}");
    }

    #[test]
    fn partitions_are_counted_in_other_sectors_where_that_can_be() {
        let image = Bytes(64 << 20);
        let with = |entries: &[(u8, u32, u32)]| {
            let mut sector = sector();
            for (place, (kind, start, length)) in entries.iter().enumerate() {
                let at = ENTRIES + place * 16;
                sector[at + 4] = *kind;
                sector[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
                sector[at + 12..at + 16].copy_from_slice(&length.to_le_bytes());
            }
            sector
        };
        let mut sound = with(&[(0x83, 2048, 129_024)]);
        assert!(is_for_small_sectors(&sound, image, 4096));
        assert!(!is_for_small_sectors(&sound, image, 512), "512 is what it was made for");
        recount(&mut sound, 4096).expect("aligned");
        let found = partitions(&sound);
        assert_eq!((found[0].start_blocks, found[0].length_blocks), (256, 16_128));
        assert!(!is_for_small_sectors(&sound, image, 4096), "now it is for 4096");
        for (entries, error) in [
            ([(0x83, 2048, 8), (0x0f, 4096, 8)], RecountError::Extended { number: 2 }),
            ([(0x83, 2048, 8), (0x83, 2057, 8)], RecountError::Misaligned { number: 2, block: 4096 }),
        ] {
            let mut sector = with(&entries);
            let before = sector.clone();
            assert_eq!(recount(&mut sector, 4096), Err(error));
            assert_eq!(sector, before);
        }
    }

    #[test]
    fn only_a_protective_entry_is_stretched() {
        let mut protective = sector();
        protective[ENTRIES + 4] = PROTECTIVE;
        protective[ENTRIES + 8] = 1;
        protect(&mut protective, 1000);
        assert_eq!(partitions(&protective)[0].length_blocks, 999);
        protect(&mut protective, 1 << 40);
        assert_eq!(partitions(&protective)[0].length_blocks, u32::MAX);
        let mut ordinary = sector();
        ordinary[ENTRIES + 4] = 0x83;
        let before = ordinary.clone();
        protect(&mut ordinary, 1000);
        assert_eq!(ordinary, before);
    }
}
