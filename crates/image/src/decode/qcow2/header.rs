//! The header of a qcow2 file, doubted field by field.

use model::Bytes;

use super::super::{flaw::Flaw, unpack::Packing};

/// QEMU's own limit for an L1 table.
const MOST_L1: u64 = 32 << 20;
/// QEMU's own limit for a refcount table.
const MOST_REFCOUNTS: u64 = 8 << 20;
/// QEMU's own limit for snapshots.
const MOST_SNAPSHOTS: u64 = 65536;
/// Clusters of extended L2 tables have 32 parts of at least a sector.
const LEAST_EXTENDED_BITS: u32 = 14;

const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;

/// What a reader needs of a header.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) cluster_bits: u32,
    pub(crate) size: Bytes,
    pub(crate) l1_at: u64,
    pub(crate) l1_entries: u64,
    pub(crate) refcounts_at: u64,
    pub(crate) refcounts_length: u64,
    pub(crate) packing: Packing,
    pub(crate) extended: bool,
    /// End of the snapshot table's fixed part, 0 without snapshots.
    pub(crate) snapshots_end: u64,
}

/// Big-endian fields of a header, by offset.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn word(&self, at: usize) -> Result<u32, Flaw> {
        let bytes = self.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or(Flaw::Truncated { what: "the header", at: at as u64 })
    }

    fn long(&self, at: usize) -> Result<u64, Flaw> {
        Ok(u64::from(self.word(at)?) << 32 | u64::from(self.word(at + 4)?))
    }
}

fn lie<T>(what: &'static str, at: u64) -> Result<T, Flaw> {
    Err(Flaw::Lie { what, at })
}

impl Header {
    /// The header at the start of a file that is `length` long, if known.
    pub(crate) fn parse(start: &[u8], length: Option<Bytes>) -> Result<Self, Flaw> {
        let fields = Fields(start);
        if fields.word(0)? != u32::from_be_bytes(*b"QFI\xfb") {
            return lie("no magic number", 0);
        }
        let version = fields.word(4)?;
        if !(2..=3).contains(&version) {
            return Err(Flaw::Unknown { what: format!("version {version}") });
        }
        let cluster_bits = fields.word(20)?;
        if !(9..=21).contains(&cluster_bits) {
            return lie("the cluster size is outside 512 bytes to 2 MiB", 20);
        }
        refuse_elsewhere(&fields)?;
        let (packing, extended) = features(&fields, version, cluster_bits)?;
        let snapshots = u64::from(fields.word(60)?);
        let header = Self {
            version,
            cluster_bits,
            size: Bytes(fields.long(24)?),
            l1_entries: fields.word(36)?.into(),
            l1_at: fields.long(40)?,
            refcounts_at: fields.long(48)?,
            refcounts_length: u64::from(fields.word(56)?) << cluster_bits,
            packing,
            extended,
            // Every entry is at least 40 bytes long.
            snapshots_end: if snapshots == 0 { 0 } else { fields.long(64)?.saturating_add(snapshots * 40) },
        };
        header.check_extensions(&fields, length)?;
        header.check_tables(length)?;
        header.check_snapshots(&fields, length)?;
        Ok(header)
    }

    /// Bytes of a cluster.
    pub(crate) fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes of an L2 entry.
    pub(crate) fn entry_size(&self) -> u64 {
        if self.extended { 16 } else { 8 }
    }

    /// Bytes of the disk that one L2 table maps.
    pub(crate) fn l2_reach(&self) -> u64 {
        self.cluster() / self.entry_size() * self.cluster()
    }

    /// Entries of the L1 table that the disk needs; there may be more.
    pub(crate) fn l1_needed(&self) -> u64 {
        self.size.0.div_ceil(self.l2_reach())
    }

    fn check_tables(&self, length: Option<Bytes>) -> Result<(), Flaw> {
        if self.size.0 > i64::MAX as u64 - (1 << 21) {
            return lie("the size of the disk is absurd", 24);
        }
        if self.l1_entries < self.l1_needed() {
            return lie("the L1 table is too small for the disk", 36);
        }
        if self.l1_entries * 8 > MOST_L1 {
            return lie("the L1 table is larger than 32 MiB", 36);
        }
        if self.refcounts_length > MOST_REFCOUNTS || self.refcounts_length == 0 {
            return lie("the refcount table is empty or larger than 8 MiB", 56);
        }
        if self.l1_entries > 0 {
            self.check_table(self.l1_at, self.l1_entries * 8, 40, "the L1 table", length)?;
        }
        self.check_table(self.refcounts_at, self.refcounts_length, 48, "the refcount table", length)
    }

    fn check_table(
        &self,
        at: u64,
        size: u64,
        field: u64,
        what: &'static str,
        length: Option<Bytes>,
    ) -> Result<(), Flaw> {
        if at == 0 || !at.is_multiple_of(self.cluster()) {
            return lie("a table does not start at a cluster", field);
        }
        let Some(end) = at.checked_add(size) else { return lie("a table starts beyond any file", field) };
        if length.is_some_and(|length| end > length.0) {
            return Err(Flaw::Truncated { what, at });
        }
        Ok(())
    }

    /// Extensions are known by kind and length; only their lengths matter here.
    fn check_extensions(&self, fields: &Fields<'_>, length: Option<Bytes>) -> Result<(), Flaw> {
        const BITMAPS: u32 = 0x2385_2875;
        const DATA_FILE_NAME: u32 = 0x4441_5441;
        const BACKING_FORMAT: u32 = 0xe279_2aca;
        let end = self.cluster().min(fields.0.len() as u64);
        let mut at = if self.version == 2 { 72 } else { u64::from(fields.word(100)?) };
        while at + 8 <= end {
            let place = usize::try_from(at).unwrap_or(usize::MAX);
            let (kind, size) = (fields.word(place)?, u64::from(fields.word(place + 4)?));
            if size > self.cluster() - at - 8 {
                return lie("a header extension runs past the first cluster", at);
            }
            match kind {
                0 => break,
                DATA_FILE_NAME => return Err(Flaw::NotAlone { what: "an external data file" }),
                // Not read, but what is cut off is not all of the file.
                BITMAPS if size >= 24 && self.version >= 3 && fields.long(88)? & 1 != 0 => {
                    let (long, start) = (fields.long(place + 16)?, fields.long(place + 24)?);
                    self.check_table(start, long, at, "the bitmap directory", length)?;
                }
                // Harmless without a backing file, which is refused already.
                BACKING_FORMAT => {}
                _ => {}
            }
            at += 8 + size.next_multiple_of(8);
        }
        Ok(())
    }

    fn check_snapshots(&self, fields: &Fields<'_>, length: Option<Bytes>) -> Result<(), Flaw> {
        let count = u64::from(fields.word(60)?);
        if count > MOST_SNAPSHOTS {
            return lie("the number of snapshots is absurd", 60);
        }
        if count == 0 {
            // QEMU wants even a place of nothing to be one.
            let aligned = fields.long(64)?.is_multiple_of(self.cluster());
            return if aligned { Ok(()) } else { lie("a table does not start at a cluster", 64) };
        }
        // Every entry is at least 40 bytes long.
        self.check_table(fields.long(64)?, count * 40, 64, "the snapshot table", length)
    }
}

/// Refuse what has its content elsewhere, or hides it.
fn refuse_elsewhere(fields: &Fields<'_>) -> Result<(), Flaw> {
    if fields.long(8)? != 0 {
        return Err(Flaw::NotAlone { what: "a backing file" });
    }
    if fields.word(32)? != 0 {
        return Err(Flaw::Encrypted);
    }
    Ok(())
}

/// The features of a version 3 header, which version 2 has none of.
fn features(fields: &Fields<'_>, version: u32, cluster_bits: u32) -> Result<(Packing, bool), Flaw> {
    if version == 2 {
        return Ok((Packing::Deflate, false));
    }
    let header_length = fields.word(100)?;
    if header_length < 104 || !header_length.is_multiple_of(8) || header_length > 1 << cluster_bits {
        return lie("the header length is impossible", 100);
    }
    if fields.word(96)? > 6 {
        return lie("the width of refcounts is impossible", 96);
    }
    let incompatible = fields.long(72)?;
    if incompatible & CORRUPT != 0 {
        return Err(Flaw::Corrupt);
    }
    if incompatible & DATA_FILE != 0 {
        return Err(Flaw::NotAlone { what: "an external data file" });
    }
    if incompatible & !KNOWN != 0 {
        let bit = (incompatible & !KNOWN).trailing_zeros();
        return Err(Flaw::Unknown { what: format!("incompatible feature {bit}") });
    }
    // A dirty image has stale refcounts, which a reader does not need.
    let kind = if header_length >= 112 { fields.0.get(104).copied().unwrap_or_default() } else { 0 };
    let packing = match (incompatible & COMPRESSION != 0, kind) {
        (false, 0) => Packing::Deflate,
        (true, 1) => Packing::Zstd,
        (true, 2..) => return Err(Flaw::Unknown { what: format!("compression type {kind}") }),
        (true, 0) | (false, 1..) => return lie("the compression type and its feature bit disagree", 104),
    };
    let extended = incompatible & EXTENDED_L2 != 0;
    if extended && cluster_bits < LEAST_EXTENDED_BITS {
        return lie("extended L2 entries with clusters below 16 KiB", 20);
    }
    Ok((packing, extended))
}
