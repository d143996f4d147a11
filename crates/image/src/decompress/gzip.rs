//! gzip, RFC 1952: members in a row, and zeros after the last one.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::damaged;

/// What is in all members of a gzip file. Their CRCs and lengths are checked
/// by `flate2`. Zeros may follow the last one, as `gzip -d` has it: tapes and
/// block devices pad with them. Other bytes may not, which `gzip -d` ignores.
pub(super) struct Gzip<R> {
    /// Empty only while one member is exchanged for the next, and at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(from: R) -> Self {
        Self { member: Some(GzDecoder::new(from)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(into)?;
            if count > 0 {
                return Ok(count);
            }
            self.member = self.member.take().map(next).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// The member after one that has ended.
fn next<R: BufRead>(ended: GzDecoder<R>) -> io::Result<Option<GzDecoder<R>>> {
    let mut from = ended.into_inner();
    let mut padded = false;
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        if zeros == 0 && !padded && bytes[0] == 0x1f {
            return Ok(Some(GzDecoder::new(from)));
        }
        if zeros == 0 {
            return Err(damaged("data after the last gzip member"));
        }
        padded = true;
        from.consume(zeros);
    }
}
