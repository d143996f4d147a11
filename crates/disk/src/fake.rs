use std::{io, ops::Range};

use model::{BlockSize, Bytes};

use crate::Target;

/// A disk in memory that is as strict as the worst real one: unaligned writes
/// panic, and it can lie about, or fail, any range.
#[derive(Debug)]
pub struct FakeDisk {
    /// What is on the medium.
    pub bytes: Vec<u8>,
    /// Writes touching this range fail with `EIO`.
    pub broken: Range<u64>,
    /// Writes touching this range claim success and change nothing.
    pub lying: Range<u64>,
    block: BlockSize,
}

impl FakeDisk {
    /// A healthy disk holding `fill` everywhere.
    ///
    /// # Panics
    /// When `size` is not whole blocks.
    #[expect(clippy::cast_possible_truncation, reason = "fake disks fit in memory")]
    pub fn filled(fill: u8, size: Bytes, block: BlockSize) -> Self {
        assert_eq!(size.0 % block.get(), 0, "a disk is whole blocks");
        Self { bytes: vec![fill; size.0 as usize], broken: 0..0, lying: 0..0, block }
    }

    #[expect(clippy::cast_possible_truncation, reason = "fake disks fit in memory")]
    fn slice(&mut self, offset: Bytes, length: usize) -> &mut [u8] {
        &mut self.bytes[offset.0 as usize..][..length]
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Target for FakeDisk {
    fn size(&self) -> Bytes {
        Bytes(self.bytes.len() as u64)
    }

    fn block(&self) -> BlockSize {
        self.block
    }

    fn write_at(&mut self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        let range = offset.0..offset.0 + data.len() as u64;
        assert_eq!(range.start % self.block.get(), 0, "unaligned write at {offset}");
        assert_eq!(range.end % self.block.get(), 0, "write of a partial block at {offset}");
        if overlap(&range, &self.broken) {
            return Err(io::Error::from_raw_os_error(5 /* EIO */));
        }
        if !overlap(&range, &self.lying) {
            self.slice(offset, data.len()).copy_from_slice(data);
        }
        Ok(())
    }

    fn zero_at(&mut self, offset: Bytes, length: Bytes) -> io::Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "fake disks fit in memory")]
        self.write_at(offset, &vec![0; length.0 as usize])
    }

    fn read_at(&mut self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        into.copy_from_slice(self.slice(offset, into.len()));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
