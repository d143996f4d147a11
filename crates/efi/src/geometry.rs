//! Whether the numbers in a FAT file system's first sector can be true. The
//! library that reads it calculates with them and trusts their sums.

use std::io::{self, Read, Seek};

/// Most file systems have two copies of their table; none has more.
const MOST_FATS: u64 = 2;

/// Refuse a file system whose own numbers do not fit into each other.
pub(crate) fn check(volume: &mut (impl Read + Seek)) -> io::Result<()> {
    let mut sector = [0; 512];
    volume.rewind()?;
    volume.read_exact(&mut sector)?;
    let short = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
    let long = |at: usize| short(at) | short(at + 2) << 16;
    let lie = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, format!("its {what} cannot be")));
    let (bytes, per_cluster, fats) = (short(11), u64::from(sector[13]), u64::from(sector[16]));
    if !(512..=4096).contains(&bytes) || !bytes.is_power_of_two() || !per_cluster.is_power_of_two() {
        return lie("sector or cluster size");
    }
    if fats == 0 || fats > MOST_FATS {
        return lie("number of tables");
    }
    let table = if short(22) == 0 { long(36) } else { short(22) };
    let sectors = if short(19) == 0 { long(32) } else { short(19) };
    let before_data = short(14) + fats * table + (short(17) * 32).div_ceil(bytes);
    let Some(clusters) = sectors.checked_sub(before_data).map(|data| data / per_cluster) else {
        return lie("length");
    };
    let bits = match clusters {
        0..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    // Two entries are reserved.
    if clusters == 0
        || (clusters + 2) * bits > table * bytes * 8
        || table * bytes * 8 > u64::from(u32::MAX) * 8
    {
        return lie("table's length");
    }
    Ok(())
}
