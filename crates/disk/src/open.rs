//! The real disk: opened for us alone, written past the page cache.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use model::{BlockSize, Bytes, NotABlockSize};

use crate::{Buffer, Target, holders};

/// `O_EXCL` on a block device: the kernel refuses while anybody else, a mount
/// included, holds the disk or one of its partitions.
const O_EXCL: i32 = 0o200;
/// Past the page cache: what is read back comes from the device.
const O_DIRECT: i32 = 0o40000;

/// The most that one call copies through the aligned bounce buffer, or writes
/// as zeros.
const BOUNCE: usize = 1 << 20;
/// The most that one `BLKZEROOUT` covers: it cannot be interrupted, so it must end.
const ZERO_STEP: u64 = 1 << 30;

/// One disk, or a regular file that stands for one.
#[derive(Debug)]
pub struct Device {
    path: PathBuf,
    file: File,
    kind: Kind,
    size: Bytes,
    block: BlockSize,
    /// For memory that direct I/O does not take. Made at the first need.
    bounce: Mutex<Option<Buffer>>,
    /// Set at the first refusal: the kernel cannot make zeros for us.
    writes_zeros: AtomicBool,
    /// Set at the first refusal: it cannot do so without writing them itself.
    keeps_blocks: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Block,
    File,
}

/// Why a disk cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or not for us.
    #[error("cannot open {}; check the path and that you are root", path.display())]
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// Something else uses it.
    #[error("{} is in use by {users}; unmount or stop it first", path.display())]
    Held {
        /// The disk.
        path: PathBuf,
        /// Mount points, holders and swaps, as far as the kernel tells.
        users: String,
    },
    /// It refuses writes.
    #[error("{} is read-only; pick another disk or lift its write protection", path.display())]
    ReadOnly {
        /// The disk.
        path: PathBuf,
    },
    /// Neither a block device nor a regular file.
    #[error("{} is neither a block device nor a regular file", path.display())]
    NotADisk {
        /// What was named.
        path: PathBuf,
    },
    /// The kernel does not say what it is like.
    #[error("cannot measure {}", path.display())]
    Measure {
        /// The disk.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// It reports a logical block size no disk has.
    #[error("{} reports an impossible logical block size", path.display())]
    BlockSize {
        /// The disk.
        path: PathBuf,
        /// What it reported.
        #[source]
        err: NotABlockSize,
    },
    /// A file, or a loop device over one, whose end nobody can write.
    #[error("{} is {size} bytes, which is not whole {block}-byte sectors; truncate or extend it", path.display())]
    PartialSector {
        /// The file or device.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// Its sectors' length in bytes.
        block: u64,
    },
}

impl Device {
    /// Open the disk (or regular file) at `path` for writing, for us alone.
    ///
    /// # Errors
    /// [`OpenError`] naming who holds it, or what it is instead of a disk.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        let metadata = std::fs::metadata(&path).map_err(|err| OpenError::Open { path: path.clone(), err })?;
        if metadata.file_type().is_block_device() {
            Self::open_block(path, metadata.rdev())
        } else if metadata.is_file() {
            match holders::of_file(&metadata) {
                Some(users) => Err(OpenError::Held { path, users }),
                None => Self::open_file(path),
            }
        } else {
            Err(OpenError::NotADisk { path })
        }
    }

    fn open_block(path: PathBuf, number: u64) -> Result<Self, OpenError> {
        let file = match OpenOptions::new().read(true).write(true).custom_flags(O_EXCL | O_DIRECT).open(&path)
        {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::ResourceBusy => {
                return Err(OpenError::Held { users: holders::of(number), path });
            }
            Err(err) if err.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                return Err(OpenError::ReadOnly { path });
            }
            Err(err) => return Err(OpenError::Open { path, err }),
        };
        let measure = |err| OpenError::Measure { path: path.clone(), err };
        let size = Bytes(sys::blk::size(&file).map_err(measure)?);
        let block = sys::blk::logical_block_size(&file).map_err(measure)?;
        if sys::blk::is_read_only(&file).map_err(measure)? {
            return Err(OpenError::ReadOnly { path });
        }
        let block: BlockSize =
            block.try_into().map_err(|err| OpenError::BlockSize { path: path.clone(), err })?;
        whole_sectors(&path, size.0, block)?;
        Ok(Self::new(path, file, Kind::Block, size, block))
    }

    fn open_file(path: PathBuf) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|err| OpenError::Open { path: path.clone(), err })?;
        let size = file.metadata().map_err(|err| OpenError::Measure { path: path.clone(), err })?.len();
        let block = 512.try_into().map_err(|err| OpenError::BlockSize { path: path.clone(), err })?;
        whole_sectors(&path, size, block)?;
        Ok(Self::new(path, file, Kind::File, Bytes(size), block))
    }

    fn new(path: PathBuf, file: File, kind: Kind, size: Bytes, block: BlockSize) -> Self {
        Self {
            path,
            file,
            kind,
            size,
            block,
            bounce: Mutex::default(),
            writes_zeros: AtomicBool::new(false),
            keeps_blocks: AtomicBool::new(false),
        }
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True for a disk, false for a regular file that stands for one.
    #[must_use]
    pub fn is_block_device(&self) -> bool {
        self.kind == Kind::Block
    }

    /// Make a regular file that is still empty `size` long, rounded up to whole
    /// sectors, so that a new file can take an image. Anything else is as large
    /// as it is, and this does nothing.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub fn grow_empty_file(&mut self, size: Bytes) -> io::Result<()> {
        if self.kind == Kind::File && self.size == Bytes(0) {
            let size = size.round_up_to(self.block);
            self.file.set_len(size.0)?;
            self.size = size;
        }
        Ok(())
    }

    /// Ask the kernel again how large the disk is: some drives hide a part of
    /// themselves and show it when told to.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn measure_again(&mut self) -> io::Result<Bytes> {
        if self.kind == Kind::Block {
            self.size = Bytes(sys::blk::size(&self.file)?);
        }
        Ok(self.size)
    }

    /// How large the kernel says the disk is now; `None` when it has taken the
    /// disk away and only this descriptor is left of it.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn size_now(&self) -> io::Result<Option<Bytes>> {
        match self.kind {
            Kind::Block if !holders::is_there(self.file.metadata()?.rdev()) => Ok(None),
            Kind::Block => Ok(Some(Bytes(sys::blk::size(&self.file)?))),
            Kind::File => Ok(Some(Bytes(self.file.metadata()?.len()))),
        }
    }

    /// Have the kernel read the partition table again, so that `/dev/sda1`
    /// appears. Does nothing for a file.
    ///
    /// # Errors
    /// `EBUSY` while a partition is in use; `EINVAL` for a disk that cannot
    /// have partitions, such as a loop device made without them.
    pub fn reread_partitions(&self) -> io::Result<()> {
        match self.kind {
            Kind::Block => sys::blk::reread_partitions(&self.file),
            Kind::File => Ok(()),
        }
    }

    /// True when the kernel takes memory at this address for direct I/O.
    fn takes(&self, data: &[u8]) -> bool {
        self.kind == Kind::File || (data.as_ptr().addr() as u64).is_multiple_of(self.block.get())
    }

    /// Do `with` to the bounce buffer, one thread at a time.
    fn bounced<T>(&self, with: impl FnOnce(&mut Buffer) -> io::Result<T>) -> io::Result<T> {
        let mut bounce = self.bounce.lock().unwrap_or_else(PoisonError::into_inner);
        with(bounce.get_or_insert_with(|| Buffer::zeroed(BOUNCE)))
    }

    fn write_zeros(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.bounced(|bounce| {
            bounce.fill(0);
            let mut at = offset.0;
            let end = offset.0 + length.0;
            while at < end {
                let step = (end - at).min(bounce.len() as u64);
                self.file.write_all_at(&bounce[..index(step)], at)?;
                at += step;
            }
            Ok(())
        })
    }

    fn zero_by_kernel(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        let range = offset.0..offset.0 + length.0;
        match self.kind {
            Kind::Block => sys::blk::zero_out(&self.file, range),
            Kind::File => sys::fs::punch_hole(&self.file, range),
        }
    }

    fn zero_step(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        if !self.writes_zeros.load(Ordering::Relaxed) {
            match self.zero_by_kernel(offset, length) {
                Err(err) if refuses_zeroing(&err) => {
                    tracing::debug!(disk = %self.path.display(), %err, "zeros are written");
                    self.writes_zeros.store(true, Ordering::Relaxed);
                }
                outcome => return outcome,
            }
        }
        self.write_zeros(offset, length)
    }
}

/// For commands to the very disk that is held open, whatever its name is now.
impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Refuse what ends within a sector.
fn whole_sectors(path: &Path, size: u64, block: BlockSize) -> Result<(), OpenError> {
    let block = block.get();
    if size.is_multiple_of(block) {
        return Ok(());
    }
    Err(OpenError::PartialSector { path: path.to_owned(), size, block })
}

/// A length that fits in memory because it is bounded by [`BOUNCE`].
fn index(length: u64) -> usize {
    usize::try_from(length).expect("at most BOUNCE")
}

/// The answers that mean "this device has no such thing", as against "it broke".
fn refuses_zeroing(err: &io::Error) -> bool {
    matches!(
        err.raw_os_error(),
        Some(22 /* EINVAL */ | 25 /* ENOTTY */ | 38 /* ENOSYS */ | 95 /* EOPNOTSUPP */)
    )
}

impl Target for Device {
    fn size(&self) -> Bytes {
        self.size
    }

    fn block(&self) -> BlockSize {
        self.block
    }

    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        if self.takes(data) {
            return self.file.write_all_at(data, offset.0);
        }
        self.bounced(|bounce| {
            for (piece, at) in data.chunks(BOUNCE).zip((offset.0..).step_by(BOUNCE)) {
                bounce[..piece.len()].copy_from_slice(piece);
                self.file.write_all_at(&bounce[..piece.len()], at)?;
            }
            Ok(())
        })
    }

    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        let mut at = offset.0;
        let end = offset.0 + length.0;
        while at < end {
            let step = (end - at).min(ZERO_STEP);
            self.zero_step(Bytes(at), Bytes(step))?;
            at += step;
        }
        Ok(())
    }

    /// `PUNCH_HOLE` on a block device is `REQ_OP_WRITE_ZEROES` without the
    /// fallback of writing (block/fops.c), and may unmap: the cheapest zeros
    /// there are, and guaranteed ones.
    fn blank_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        if !self.keeps_blocks.load(Ordering::Relaxed) {
            match sys::fs::punch_hole(&self.file, offset.0..offset.0 + length.0) {
                Err(err) if refuses_zeroing(&err) => self.keeps_blocks.store(true, Ordering::Relaxed),
                outcome => return outcome,
            }
        }
        self.zero_at(offset, length)
    }

    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        if self.takes(into) {
            return self.file.read_exact_at(into, offset.0);
        }
        self.bounced(|bounce| {
            for (piece, at) in into.chunks_mut(BOUNCE).zip((offset.0..).step_by(BOUNCE)) {
                self.file.read_exact_at(&mut bounce[..piece.len()], at)?;
                piece.copy_from_slice(&bounce[..piece.len()]);
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        match self.kind {
            Kind::Block => sys::blk::flush_buffers(&self.file),
            Kind::File => Ok(()),
        }
    }
}
