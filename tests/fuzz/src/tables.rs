//! Partition tables and config drives.

use disk::{gpt, mbr};
use model::{BlockSize, Bytes};

use crate::checksums;

/// A disk that is larger than any input, so that tables must be fitted to it.
const DISK: Bytes = Bytes(1 << 30);
/// What a config drive gets.
const ADDED: Bytes = Bytes(1 << 20);

/// The start of a disk with a GPT, as it is and with its checksums made right.
pub(crate) fn gpt(data: &[u8]) -> String {
    let mut outcomes = Vec::new();
    for block in [512, 4096] {
        let block = BlockSize::try_from(block).expect("a block size");
        outcomes.push(table(data, block));
        outcomes.push(table(&checksums::gpt(data, block), block));
    }
    outcomes.join(" | ")
}

fn table(head: &[u8], block: BlockSize) -> String {
    let mut table = match gpt::Table::parse(head, block) {
        Ok(table) => table,
        Err(err) => return err.to_string(),
    };
    let before = table.partitions();
    if let Err(err) = table.fit_to(DISK) {
        return err.to_string();
    }
    assert_eq!(before, table.partitions(), "fitting a table to a disk moves no partition");
    let added = table.add_last(gpt::Guid([1; 16]), gpt::Guid([2; 16]), "config-2", ADDED);
    let (at, backup) = table.backup();
    assert!(at.0 + backup.len() as u64 <= DISK.0, "the backup lies on the disk");
    let mut written = head.to_vec();
    if let Err(err) = table.write_primary(&mut written) {
        return err.to_string();
    }
    let again = gpt::Table::parse(&written, block).expect("what was written can be read");
    assert_eq!(again.partitions(), table.partitions(), "what was written is what was meant");
    format!("{} partitions, added: {}", before.len(), added.is_ok())
}

/// The first sector of a disk.
pub(crate) fn mbr(data: &[u8]) -> String {
    let mut sector = data.to_vec();
    let before = mbr::partitions(&sector);
    mbr::protect(&mut sector, DISK.0 / 512);
    if sector.len() < 512 {
        return format!("short, id: {}", mbr::disk_id(&sector).is_some());
    }
    let added = mbr::add_last(&mut sector, 0x83, ADDED, DISK, 512);
    if let Ok((number, at)) = added {
        assert!(at.0 + ADDED.0 <= DISK.0, "the new partition lies on the disk");
        let is_added = |primary: &mbr::Primary| primary.number == number;
        assert!(!mbr::is_present(&sector) || mbr::partitions(&sector).iter().any(is_added), "added");
    }
    format!("{} of {}, added: {}", before.len(), mbr::is_present(data), added.is_ok())
}

/// A config drive in any of its wrappings.
pub(crate) fn config_drive(data: &[u8]) -> String {
    let as_bytes = image::configdrive::from_bytes(data);
    let as_text = std::str::from_utf8(data).map(image::configdrive::decode);
    let tell = |result: Result<Vec<u8>, _>| match result {
        Ok(_) => "a config drive".to_owned(),
        Err::<_, image::configdrive::DecodeConfigDriveError>(err) => err.to_string(),
    };
    format!("{} | {}", tell(as_bytes), as_text.map_or_else(|_| "not text".to_owned(), tell))
}
