//! The last stage: the partition table fitted to the disk, the config drive
//! put in, and the ends of the disk written.

use std::{io, io::Read, time::Instant};

use disk::{
    Target,
    gpt::{self, GptError, Guid, Partition, Table},
    mbr,
};
use model::Bytes;

use crate::{
    Progress, Report, Stage, Utilisation, WriteError, configdrive, sectors,
    stage::{Staged, cleared, put_failed},
};

/// Why a verified image cannot be made to boot from this disk.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Its GPT is damaged, for other sectors, or does not fit.
    #[error("its partition table cannot be used on this disk")]
    Table(#[source] GptError),
    /// The disk's MBR takes no config drive.
    #[error("its partition table takes no config drive")]
    Mbr(#[source] mbr::AddError),
    /// Its MBR is for other sectors; firmware would look in the wrong places.
    #[error(
        "its MBR was made for 512-byte sectors and the disk has {disk}-byte sectors; use an image made for such disks, or ask for its table to be rewritten"
    )]
    OtherSectors {
        /// Sector size of the disk.
        disk: u64,
    },
    /// Its MBR cannot be rewritten for the disk's sectors.
    #[error("its partition table cannot be rewritten for the disk's sectors")]
    Recount(#[source] mbr::RecountError),
    /// Its MBR has partitions of its own beside the GPT.
    #[error(
        "its MBR and its GPT both have partitions (a hybrid); it cannot be rewritten for the disk's sectors"
    )]
    Hybrid,
    /// The table can be rewritten, and a partition could not be mounted all the same.
    #[error(
        "partition {number} holds {name} made for sectors of at most {sectors} bytes, which is not mounted from a disk of {block}-byte sectors; make the image for such disks"
    )]
    SmallSectors {
        /// Number of the partition.
        number: u32,
        /// What it holds.
        name: &'static str,
        /// The largest sectors that it takes.
        sectors: u64,
        /// Sector size of the disk.
        block: u64,
    },
    /// It has no partition table, so there is no place for a config drive.
    #[error("it has no partition table, so there is no place for the config drive")]
    NoTable,
    /// More than one partition wants to be the config drive.
    #[error("{count} partitions are labelled config-2; leave one")]
    TwoConfigDrives {
        /// How many.
        count: usize,
    },
    /// Its config-2 partition is too small.
    #[error("its config-2 partition holds {capacity} and the config drive is {length}")]
    SmallConfigDrive {
        /// Length of the partition.
        capacity: Bytes,
        /// Length of the config drive.
        length: Bytes,
    },
    /// Linux mounts no ISO 9660 file system from a disk of such sectors.
    #[error("an ISO 9660 config drive cannot be mounted from a disk of {block}-byte sectors; make it vfat")]
    IsoOnLargeSectors {
        /// Logical block size of the disk.
        block: u64,
    },
    /// No random numbers for the new partition's identity.
    #[error("no random numbers")]
    Random(#[source] io::Error),
}

impl CommitError {
    /// True when the input is at fault.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            CommitError::Table(_)
            | CommitError::Mbr(_)
            | CommitError::OtherSectors { .. }
            | CommitError::Recount(_)
            | CommitError::Hybrid
            | CommitError::SmallSectors { .. }
            | CommitError::NoTable
            | CommitError::TwoConfigDrives { .. }
            | CommitError::SmallConfigDrive { .. }
            | CommitError::IsoOnLargeSectors { .. } => true,
            CommitError::Random(_) => false,
        }
    }
}

/// An image that is proven to be on the disk, and does not boot yet.
#[must_use = "a verified image does not boot; commit it"]
pub struct Verified<'t, T: Target> {
    staged: Staged<'t, T>,
    seconds: f64,
    /// The sector size that the partition table was rewritten from.
    rewritten_from: Option<u64>,
}

/// What failed while committing.
pub(crate) enum Failed {
    Refused(CommitError),
    Put(crate::writer::PutError),
}

impl From<CommitError> for Failed {
    fn from(err: CommitError) -> Self {
        Failed::Refused(err)
    }
}

impl From<GptError> for Failed {
    fn from(err: GptError) -> Self {
        Failed::Refused(CommitError::Table(err))
    }
}

impl From<crate::writer::PutError> for Failed {
    fn from(err: crate::writer::PutError) -> Self {
        Failed::Put(err)
    }
}

impl<'t, T: Target> Verified<'t, T> {
    pub(crate) fn new(staged: Staged<'t, T>, seconds: f64) -> Self {
        Self { staged, seconds, rewritten_from: None }
    }

    /// Make the disk bootable: fit the partition table to it, put the config
    /// drive in, and write both ends, the very first blocks last.
    ///
    /// # Errors
    /// [`WriteError`]; the disk does not boot then.
    pub fn commit(mut self, mut progress: impl FnMut(Progress)) -> Result<Report, WriteError> {
        let start = Instant::now();
        let facts = &self.staged.facts;
        let step = |done| Progress {
            stage: Stage::Commit,
            read: facts.read,
            read_total: Some(facts.read),
            done,
            total: Some(facts.size),
            utilisation: Utilisation::default(),
        };
        progress(step(Bytes(0)));
        let finished = step(facts.size);
        let drive = match self.finish() {
            Ok(drive) => drive,
            Err(failed) => {
                let err = match failed {
                    Failed::Refused(err) => WriteError::Commit(err),
                    Failed::Put(err) => put_failed(err, &self.staged.writer),
                };
                return Err(cleared(&mut self.staged.writer, err));
            }
        };
        progress(finished);
        Ok(self.report(drive, start.elapsed().as_secs_f64()))
    }

    /// Returns the number of the config drive's partition.
    fn finish(&mut self) -> Result<Option<u32>, Failed> {
        let drive = self.staged.options.config_drive.take();
        let rewrite = self.staged.options.rewrite_sectors;
        let image = self.staged.facts.size;
        let writer = &mut self.staged.writer;
        let table = match mbr::protects(&writer.head) {
            true => Table::parse(&writer.head, writer.block()),
            false => Err(GptError::Absent),
        };
        let number = match table {
            Ok(table) => finish_gpt(writer, table, drive.as_deref())?,
            Err(GptError::OtherSectors { made_for, .. }) if rewrite => {
                self.rewritten_from = Some(made_for);
                let table = sectors::rewritten_gpt(writer)?;
                finish_gpt(writer, table, drive.as_deref())?
            }
            Err(GptError::Absent) => {
                if sectors::is_mbr_for_small(writer, image)? {
                    if !rewrite {
                        return Err(CommitError::OtherSectors { disk: writer.block().get() }.into());
                    }
                    sectors::rewrite_mbr(writer)?;
                    self.rewritten_from = Some(512);
                }
                drive.map(|drive| put_on_mbr(writer, &drive)).transpose()?
            }
            Err(err) => return Err(err.into()),
        };
        writer.settle()?;
        writer.prove(|_| {})?;
        writer.write_ends()?;
        Ok(number)
    }

    fn report(self, config_drive_partition: Option<u32>, seconds: f64) -> Report {
        let Staged { writer, facts, .. } = self.staged;
        Report {
            format: facts.format,
            compression: facts.compression,
            read: facts.read,
            digests: facts.digests,
            content: facts.content,
            image_size: facts.size,
            written: writer.lanes.written(),
            zeroed: writer.lanes.zeroed(),
            skipped: writer.skipped,
            verified: writer.lanes.proven(),
            config_drive_partition,
            rewritten_from: self.rewritten_from,
            disk_id: mbr::is_present(&writer.head).then(|| mbr::disk_id(&writer.head)).flatten(),
            seconds: [facts.seconds, self.seconds, seconds],
            parts: writer.meters.times(),
            retries: writer.retries,
            refetched: writer.refetched,
        }
    }
}

type Writer<'t, T> = crate::writer::Writer<'t, T>;

/// Fit `table` to the disk and put the config drive in. Both copies land in
/// the ends that are held back.
fn finish_gpt<T: Target>(
    writer: &mut Writer<'_, T>,
    mut table: Table,
    drive: Option<&[u8]>,
) -> Result<Option<u32>, Failed> {
    let stale = table.stale_backup();
    table.fit_to(writer.size())?;
    if let Some((at, length)) = stale.filter(|(at, _)| *at != table.backup().0) {
        sectors::take_out(writer, at, length)?;
    }
    let place = match drive {
        Some(drive) => Some(gpt_place(writer, &mut table, drive)?),
        None => None,
    };
    table.write_primary(&mut writer.head)?;
    let blocks = writer.size().0 / writer.block().get();
    mbr::protect(&mut writer.head[..512], blocks);
    let (at, backup) = table.backup();
    writer.put_data(at, &backup)?;
    if let (Some((_, start, length)), Some(drive)) = (place, drive) {
        put_drive(writer, start, length, drive)?;
    }
    Ok(place.map(|(number, _, _)| number))
}

/// The partition for the config drive: the one labelled so, else a new one at
/// the end. Its number, start and length.
fn gpt_place<T: Target>(
    writer: &mut Writer<'_, T>,
    table: &mut Table,
    drive: &[u8],
) -> Result<(u32, Bytes, Bytes), Failed> {
    let mut labelled = Vec::new();
    for partition in table.partitions() {
        if is_labelled(writer, &partition)? {
            labelled.push(partition);
        }
    }
    let partition = match &labelled[..] {
        [] => {
            let mut id = [0; 16];
            random(&mut id)?;
            // Version 4, variant 1, in the byte order of the disk.
            (id[7], id[8]) = (id[7] & 0x0f | 0x40, id[8] & 0x3f | 0x80);
            let align = writer.block().get();
            let length = Bytes(configdrive::PARTITION.0.next_multiple_of(align));
            table.add_last(Guid::LINUX, Guid(id), configdrive::LABEL, length)?
        }
        [partition] => partition.clone(),
        several => return Err(CommitError::TwoConfigDrives { count: several.len() }.into()),
    };
    let length = Bytes(drive.len() as u64);
    if partition.length < length {
        return Err(CommitError::SmallConfigDrive { capacity: partition.length, length }.into());
    }
    Ok((partition.number, partition.start, partition.length))
}

fn is_labelled<T: Target>(writer: &mut Writer<'_, T>, partition: &Partition) -> Result<bool, Failed> {
    if partition.name.eq_ignore_ascii_case(configdrive::LABEL) {
        return Ok(true);
    }
    let seen = partition.length.0.min(configdrive::LABELS as u64);
    let mut start = vec![0; usize::try_from(seen).expect("at most LABELS")];
    writer.read(partition.start, &mut start)?;
    Ok(configdrive::label(&start).is_some_and(|label| label.eq_ignore_ascii_case(configdrive::LABEL)))
}

/// Add a primary partition for the config drive; returns its number.
fn put_on_mbr<T: Target>(writer: &mut Writer<'_, T>, drive: &[u8]) -> Result<u32, Failed> {
    /// FAT32 with LBA, which parted gives a partition for a config drive too.
    const KIND: u8 = 0x0c;
    if !mbr::is_present(&writer.head) {
        return Err(CommitError::NoTable.into());
    }
    let (size, block) = (writer.size(), writer.block().get());
    let mut sector: Vec<u8> = writer.head[..512].to_vec();
    let mut labelled = Vec::new();
    for primary in mbr::partitions(&sector) {
        let partition = as_partition(primary, block);
        let inside = partition.start.0.checked_add(partition.length.0).is_some_and(|end| end <= size.0);
        if inside && is_labelled(writer, &partition)? {
            labelled.push(partition);
        }
    }
    let (number, start, length) = match &labelled[..] {
        [] => {
            let length = configdrive::PARTITION;
            let (number, start) =
                mbr::add_last(&mut sector, KIND, length, size, block).map_err(CommitError::Mbr)?;
            (number, start, length)
        }
        [found] => (found.number, found.start, found.length),
        several => return Err(CommitError::TwoConfigDrives { count: several.len() }.into()),
    };
    writer.head[..512].copy_from_slice(&sector);
    if length.0 < drive.len() as u64 {
        let drive = Bytes(drive.len() as u64);
        return Err(CommitError::SmallConfigDrive { capacity: length, length: drive }.into());
    }
    put_drive(writer, start, length, drive)?;
    Ok(number)
}

pub(crate) fn as_partition(primary: mbr::Primary, block: u64) -> Partition {
    Partition {
        number: primary.number,
        kind: Guid([0; 16]),
        id: Guid([0; 16]),
        name: String::new(),
        start: Bytes(u64::from(primary.start_blocks) * block),
        length: Bytes(u64::from(primary.length_blocks) * block),
    }
}

/// Write the config drive, and zeros to the end of its partition: nothing of
/// an earlier one may shine through.
fn put_drive<T: Target>(
    writer: &mut Writer<'_, T>,
    start: Bytes,
    length: Bytes,
    drive: &[u8],
) -> Result<(), Failed> {
    let block = writer.block().get();
    if block > 2048 && configdrive::is_iso(drive) {
        return Err(CommitError::IsoOnLargeSectors { block }.into());
    }
    // A stale table may have been zeroed in the same place, which comes first.
    writer.settle()?;
    writer.prove(|_| {})?;
    writer.put_data(start, drive)?;
    let end = start.0 + drive.len() as u64;
    Ok(writer.put_zeros(Bytes(end), Bytes(start.0 + length.0 - end))?)
}

fn random(into: &mut [u8]) -> Result<(), CommitError> {
    let mut source = std::fs::File::open("/dev/urandom").map_err(CommitError::Random)?;
    source.read_exact(into).map_err(CommitError::Random)
}

/// Bytes of a disk's start that partition tables are parsed from.
const _: () = assert!(gpt::HEAD as u64 == crate::writer::HELD);
