//! SMBIOS structures that sysfs does not spell out: the memory devices.

use std::path::Path;

use model::Bytes;
use smbioslib::{MemorySize, MemorySizeExtended, SMBiosData, SMBiosMemoryDevice};

use crate::{limits, reader::Reader};

/// The structures, one after another, as the firmware left them.
pub(crate) const TABLE: &str = "sys/firmware/dmi/tables/DMI";

/// What is plugged in, summed over all memory devices (type 17). `None` when
/// there is no table or it tells no size.
pub(crate) fn memory_devices(reader: &Reader<'_>) -> Option<Bytes> {
    installed(reader.bytes(Path::new(TABLE), limits::SMBIOS_BYTES)?)
}

fn installed(table: Vec<u8>) -> Option<Bytes> {
    let devices = SMBiosData::from_vec_and_version(table, None);
    let mut sum: u64 = 0;
    for device in devices.defined_struct_iter::<SMBiosMemoryDevice<'_>>() {
        sum = sum.checked_add(size(&device)?)?;
    }
    Some(Bytes(sum)).filter(|sum| sum.0 > 0)
}

/// The size of one device in bytes; 0 for an empty slot. `None` for a device
/// whose size its firmware does not know: then the sum is not known either.
fn size(device: &SMBiosMemoryDevice<'_>) -> Option<u64> {
    match device.size()? {
        MemorySize::NotInstalled => Some(0),
        MemorySize::Unknown => None,
        MemorySize::Kilobytes(kibibytes) => Some(u64::from(kibibytes) << 10),
        MemorySize::Megabytes(mebibytes) => Some(u64::from(mebibytes) << 20),
        MemorySize::SeeExtendedSize => match device.extended_size()? {
            MemorySizeExtended::Megabytes(mebibytes) => Some(u64::from(mebibytes) << 20),
            MemorySizeExtended::SeeSize => None,
        },
    }
}

/// The part of a table that [`memory_devices`] reads: the memory devices, their
/// serial numbers and asset tags as `blot` returns them.
pub(crate) fn recorded_part(table: &[u8], mut blot: impl FnMut(&str) -> String) -> Vec<u8> {
    let mut part = Vec::new();
    let mut rest = table;
    while let Some((structure, next)) = split_structure(rest) {
        if structure[0] == MEMORY_DEVICE {
            part.extend(with_strings_replaced(structure, &IDENTIFYING_STRINGS, &mut blot));
        }
        rest = next;
    }
    part.extend(END_OF_TABLE);
    part
}

const MEMORY_DEVICE: u8 = 17;

/// Offsets of a memory device's serial number and asset tag.
const IDENTIFYING_STRINGS: [usize; 2] = [0x18, 0x19];

/// Structure 127, four bytes long, without strings.
const END_OF_TABLE: [u8; 6] = [127, 4, 0xff, 0xfe, 0, 0];

/// The first structure with its strings, and what follows.
fn split_structure(table: &[u8]) -> Option<(&[u8], &[u8])> {
    let formatted = usize::from(*table.get(1)?).max(4);
    let end = table.get(formatted..)?.windows(2).position(|pair| pair == [0, 0])?;
    table.split_at_checked(formatted + end + 2)
}

/// `structure` with the strings that the bytes at `offsets` number replaced.
fn with_strings_replaced(
    structure: &[u8],
    offsets: &[usize],
    blot: &mut impl FnMut(&str) -> String,
) -> Vec<u8> {
    let formatted = usize::from(structure[1]).max(4);
    let (head, strings) = structure.split_at(formatted);
    let numbers: Vec<u8> =
        offsets.iter().filter(|at| **at < formatted).filter_map(|at| head.get(*at).copied()).collect();
    let mut replaced = head.to_vec();
    let texts = strings[..strings.len() - 2].split(|byte| *byte == 0);
    for (number, text) in (1_u8..).zip(texts) {
        match std::str::from_utf8(text) {
            Ok(text) if numbers.contains(&number) => replaced.extend(blot(text).into_bytes()),
            Ok(_) | Err(_) => replaced.extend(text),
        }
        replaced.push(0);
    }
    replaced.push(0);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One device of 32 GiB (extended size), one of 512 KiB, an empty slot.
    fn table() -> Vec<u8> {
        let device = |size: u16, extended: u32| {
            let mut device = vec![0; 0x20];
            device[..4].copy_from_slice(&[MEMORY_DEVICE, 0x20, 1, 0x11]);
            device[0x0c..0x0e].copy_from_slice(&size.to_le_bytes());
            device[0x1c..0x20].copy_from_slice(&extended.to_le_bytes());
            device[0x18] = 2;
            [device.as_slice(), b"DIMM 0\0SECRET\0\0"].concat()
        };
        let other = b"\x01\x08\0\0\x01\0\0\0Board\0\0".to_vec();
        [other, device(0x7fff, 32 << 10), device(0x8200, 0), device(0, 0), END_OF_TABLE.to_vec()].concat()
    }

    #[test]
    fn devices_are_summed_and_empty_slots_are_empty() {
        assert_eq!(installed(table()), Some(Bytes((32 << 30) + (512 << 10))));
        assert_eq!(installed(END_OF_TABLE.to_vec()), None);
    }

    #[test]
    fn a_recorded_table_holds_the_devices_and_no_secret() {
        let part = recorded_part(&table(), |text| text.replace("SECRET", "000000"));
        assert_eq!(installed(part.clone()), installed(table()));
        let part = String::from_utf8_lossy(&part).into_owned();
        assert!(part.contains("DIMM 0") && !part.contains("SECRET") && !part.contains("Board"), "{part:?}");
    }

    #[test]
    fn a_table_cut_anywhere_is_read_as_far_as_it_goes() {
        for length in 0..table().len() {
            let cut = table()[..length].to_vec();
            recorded_part(&cut, str::to_owned);
            assert!(installed(cut).is_none_or(|sum| Some(sum) <= installed(table())));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn no_bytes_make_it_panic(at in 0..table().len(), bytes: [u8; 3], random in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut table = table();
            for (old, new) in table[at..].iter_mut().zip(bytes) {
                *old = new;
            }
            recorded_part(&table, str::to_owned);
            installed(table);
            recorded_part(&random, str::to_owned);
            installed(random);
        }
    }
}
