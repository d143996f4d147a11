//! What must hold besides the mark, so that two bytes in noise are no file
//! system. Layouts are those of `libblkid/src/superblocks/`; checksums that only
//! tell an intact superblock from a damaged one are not computed.

use super::{View, end, tables};

/// True when what follows from `name`'s mark at `at` holds in `view`.
pub(super) fn holds(view: &View<'_>, name: &str, at: u64) -> bool {
    let has = |at, bytes: &[u8]| view.has(at, bytes);
    let le = |at, length| view.le(at, length).unwrap_or(0);
    let be = |at, length| view.be(at, length).unwrap_or(0);
    match name {
        "linux_raid_member" => end::md(view).unwrap_or(false),
        "via_raid_member" => le(at + 2, 1) <= 2 && end::sum(view, at, 50, 1) & 0xff == le(at + 50, 1),
        "silicon_medley_raid_member" => {
            let sum = (end::sum(view, at - 0x60, 0x13e, 2) + le(at - 0x60 + 0x13e, 2)) & 0xffff;
            le(at - 0x60 + 0x116, 1) < 8 && sum == 0
        }
        "promise_fasttrack_raid_member" => end::promise(view),
        "jmicron_raid_member" => end::sum(view, at, 128, 2) & 0xffff <= 1,
        "drbd" => end::drbd(view),
        "zfs_member" => end::zfs(view),
        "nilfs2" => end::nilfs2(view),
        "drbdmanage_control_volume" => {
            view.bytes(11, 32).is_some_and(|uuid| uuid.iter().all(u8::is_ascii_hexdigit)) && has(43, b"\n")
        }
        "crypto_LUKS" => luks(view),
        "BitLocker" => bitlocker(view),
        "vfat" => tables::is_vfat(view),
        "ntfs" => tables::is_ntfs(view),
        "exfat" => tables::is_exfat(view),
        "swap" => !has(0, TUX_ON_ICE) && (in_page(view, b"SWAP-SPACE") || swap_1(view)),
        "swsuspend" => has(0, TUX_ON_ICE) || SUSPENDED.iter().any(|mark| in_page(view, mark)),
        "xfs" | "exfs" => xfs(view).unwrap_or(false),
        "xfs_external_log" => !has(0, b"XFSB") && (0..512).any(|sector| is_xfs_log(view, sector * 512)),
        "ext2" | "ext3" | "ext4" | "jbd" => name == ext(view),
        "reiserfs" => {
            let block = le((at & !0x3ff) + 44, 2) >> 9;
            block > 0 && (at >> 10) / block <= le((at & !0x3ff) + 12, 4) / 2
        }
        "jfs" => jfs(view, at).unwrap_or(false),
        "udf" => udf(view),
        "hfs" => !is_wrapper(view) && be(0x414, 4) != 0 && be(0x414, 4) % 512 == 0,
        "hfsplus" => hfsplus(view).unwrap_or(false),
        "ufs" => [0, 8, 64, 256].iter().any(|place| {
            let magic = (place << 10) + 1372;
            UFS.contains(&le(magic, 4)) || UFS.contains(&be(magic, 4))
        }),
        "minix" => minix(view).unwrap_or(false),
        // The mark says it all.
        _ => true,
    }
}

/// Page sizes at whose end swap has its mark.
const PAGES: [u64; 5] = [0x1000, 0x2000, 0x4000, 0x8000, 0x10000];
const TUX_ON_ICE: &[u8] = &[0xed, 0xc3, 0x02, 0xe9, 0x98, 0x56, 0xe5, 0x0c];
const SUSPENDED: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];
const UFS: [u64; 6] = [0x0001_1954, 0x1954_0119, 0x0019_5612, 0x0009_5014, 0x0061_2195, 0x0523_1994];

fn in_page(view: &View<'_>, mark: &[u8]) -> bool {
    PAGES.iter().any(|page| view.has(page - 10, mark))
}

fn swap_1(view: &View<'_>) -> bool {
    let version = view.le(1024, 4) == Some(1) || view.be(1024, 4) == Some(1);
    version && view.le(1028, 4).is_some_and(|last| last > 0) && in_page(view, b"SWAPSPACE2")
}

/// The first header, or the second of LUKS2, which says where it is: one that
/// does not is left from before.
fn luks(view: &View<'_>) -> bool {
    let is = |at: u64, mark: &[u8]| {
        let placed = view.be(at + 6, 2) != Some(2) || view.be(at + 256, 8) == Some(at);
        view.has(at, mark) && placed
    };
    is(0, b"LUKS\xba\xbe") || (14..=22).any(|power| is(1 << power, b"SKUL\xba\xbe"))
}

/// Vista's header is enough; the others say where their metadata is.
fn bitlocker(view: &View<'_>) -> bool {
    let place = if view.has(3, b"MSWIN4.1") { 440 } else { 176 };
    let metadata = || view.le(place, 8).is_some_and(|at| at > 0 && view.has(at, b"-FVE-FS-"));
    view.has(1, &[0x52]) || metadata()
}

fn xfs(view: &View<'_>) -> Option<bool> {
    let power = |at, length, log, range: std::ops::RangeInclusive<u64>| {
        let log = view.le(log, 1).filter(|log| range.contains(log))?;
        Some(view.be(at, length)? == 1 << log)
    };
    let sizes = power(4, 4, 120, 9..=16)? && power(102, 2, 121, 9..=15)? && power(104, 2, 122, 8..=11)?;
    Some(sizes && view.be(8, 8)? > 0 && view.be(88, 4)? > 0)
}

fn is_xfs_log(view: &View<'_>, at: u64) -> bool {
    let field = |offset| view.be(at + offset, 4).unwrap_or(0);
    field(0) == 0xfeed_babe
        && (1..=3).contains(&field(8))
        && (1..=0x7fff_ffff).contains(&field(12))
        && (1..=3).contains(&field(300))
}

/// Which of its family it is: features that ext2 and ext3 know not make it ext4.
fn ext(view: &View<'_>) -> &'static str {
    let field = |at| view.le(at, 4).unwrap_or(0);
    let (has_journal, incompatible, read_only) = (field(0x45c) & 4 != 0, field(0x460), field(0x464));
    let new = read_only & !7 != 0 || incompatible & !0x16 != 0;
    match (incompatible & 8 != 0, new, has_journal) {
        (true, _, _) => "jbd",
        (false, true, _) => "ext4",
        (false, false, true) => "ext3",
        (false, false, false) => "ext2",
    }
}

fn jfs(view: &View<'_>, at: u64) -> Option<bool> {
    let (block, sector) = (view.le(at + 16, 4)?, view.le(at + 24, 4)?);
    let (block_log, factor, sector_log) = (view.le(at + 20, 2)?, view.le(at + 22, 2)?, view.le(at + 28, 2)?);
    let logs = block_log < 32 && sector_log < 32 && block_log.checked_sub(sector_log) == Some(factor);
    Some(logs && block == 1 << block_log && sector == 1 << sector_log)
}

/// Descriptors at 32 KiB name a UDF volume, and an anchor is where the size of
/// its blocks puts it.
fn udf(view: &View<'_>) -> bool {
    [512, 1024, 2048, 4096].iter().any(|block| {
        let anchor = 256 * block;
        view.le(anchor, 2) == Some(2) && view.le(anchor + 12, 4) == Some(256) && names_udf(view, *block)
    })
}

fn names_udf(view: &View<'_>, block: u64) -> bool {
    const BESIDE: [&[u8]; 5] = [b"BEA01", b"BOOT2", b"CD001", b"CDW02", b"TEA01"];
    for number in 0..64 {
        let Some(id) = view.bytes(0x8001 + number * block.max(2048), 5) else { return false };
        if id == b"NSR02" || id == b"NSR03" {
            return true;
        }
        if !BESIDE.contains(&id.as_slice()) {
            return false;
        }
    }
    false
}

/// An HFS volume that only wraps an HFS+ one.
fn is_wrapper(view: &View<'_>) -> bool {
    view.has(0x400, b"BD") && (view.has(0x47c, b"H+") || view.has(0x47c, b"HX"))
}

fn hfsplus(view: &View<'_>) -> Option<bool> {
    let mut header = 0x400;
    if is_wrapper(view) {
        header += view.be(0x41c, 2)? * 512 + view.be(0x47e, 2)? * view.be(0x414, 4)?;
    }
    let marked = view.has(header, b"H+") || view.has(header, b"HX");
    Some(marked && view.be(header + 40, 4)? >= 512)
}

/// Versions 1 and 2, in either byte order, and 3. Their marks are two bytes, so
/// the maps must be large enough for what they count, and nothing else be there.
fn minix(view: &View<'_>) -> Option<bool> {
    const SUPER: u64 = 1024;
    let others = [(SUPER + 0x38, &[0x53, 0xef][..]), (SUPER, &[0xe2, 0xe1, 0xf5, 0xe0])];
    if others.iter().any(|(at, mark)| view.has(*at, mark)) {
        return Some(false);
    }
    if view.le(SUPER + 24, 2)? == 0x4d5a || view.be(SUPER + 24, 2)? == 0x4d5a {
        return Some(view.le(SUPER + 6, 2)? > 0 && view.le(SUPER + 8, 2)? > 0);
    }
    for number in [View::le, View::be] {
        let field = |at, length| number(view, SUPER + at, length);
        let zones = match field(16, 2)? {
            0x137f | 0x138f => field(2, 2)?,
            0x2468 | 0x2478 => field(20, 4)?,
            _ => continue,
        };
        let (nodes, first) = (field(0, 2)?, field(8, 2)?);
        let (node_map, zone_map) = (field(4, 2)?, field(6, 2)?);
        let fits = node_map * 8192 > nodes && zone_map * 8192 > zones.saturating_sub(first);
        return Some(node_map > 0 && zone_map > 0 && field(10, 2)? == 0 && fits);
    }
    Some(false)
}
