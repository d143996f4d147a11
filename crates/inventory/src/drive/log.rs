//! Logs of SCSI and ATA drives, taken apart: bounded, whatever the bytes are.

/// Parameters of a SCSI log page (SPC-5, 7.3.2), as code and value, when it is page
/// `code`. A parameter that is cut off ends the list.
pub(super) fn parameters(page: &[u8], code: u8) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    let [first, _, high, low, rest @ ..] = page else { return found };
    if first & 0x3f != code {
        return found;
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let mut rest = &rest[..length.min(rest.len())];
    while let [high, low, _, length, tail @ ..] = rest {
        let Some((value, next)) = tail.split_at_checked(usize::from(*length)) else { break };
        found.push((u16::from_be_bytes([*high, *low]), value));
        rest = next;
    }
    found
}

/// A number of up to eight bytes, the highest first.
pub(super) fn big_endian(bytes: &[u8]) -> Option<u64> {
    (1..=8).contains(&bytes.len()).then(|| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// A statistic of an ATA drive's page `page` (ACS-4, 9.5): 56 bits that are
/// supported and valid. `data` is that page.
pub(super) fn statistic(data: &[u8], page: u8, at: usize) -> Option<u64> {
    const SUPPORTED_AND_VALID: u8 = 0xc0;
    if *data.get(2)? != page {
        return None;
    }
    let bytes: &[u8; 8] = data.get(at..)?.first_chunk()?;
    let value = u64::from_le_bytes(*bytes) & ((1 << 56) - 1);
    (bytes[7] & SUPPORTED_AND_VALID == SUPPORTED_AND_VALID).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_in_their_own_page_only_and_as_far_as_it_goes() {
        let page = [0x0d, 0, 0, 12, 0, 0, 3, 2, 0, 31, 0, 1, 3, 2, 0, 65];
        assert_eq!(parameters(&page, 0x0d), [(0, &[0, 31][..]), (1, &[0, 65][..])]);
        assert!(parameters(&page, 0x2f).is_empty());
        assert_eq!(parameters(&page[..12], 0x0d).len(), 1);
        for length in 0..page.len() {
            let _ = parameters(&page[..length], 0x0d);
        }
        assert!(parameters(&[0x0d, 0, 0xff, 0xff, 0, 0, 0, 0xff], 0x0d).is_empty());
    }

    #[test]
    fn numbers_have_one_to_eight_bytes() {
        assert_eq!(big_endian(&[1, 2]), Some(0x102));
        assert_eq!(big_endian(&[0xff; 8]), Some(u64::MAX));
        assert_eq!((big_endian(&[]), big_endian(&[0; 9])), (None, None));
    }

    #[test]
    fn a_statistic_counts_when_it_is_supported_and_valid() {
        let mut page = [0; 512];
        page[2] = 5;
        page[8..16].copy_from_slice(&[31, 0, 0, 0, 0, 0, 0, 0xc0]);
        assert_eq!(statistic(&page, 5, 8), Some(31));
        assert_eq!(statistic(&page, 1, 8), None);
        page[15] = 0x80;
        assert_eq!(statistic(&page, 5, 8), None);
        assert_eq!(statistic(&page, 5, 510), None);
        assert_eq!(statistic(&[], 5, 8), None);
    }
}
