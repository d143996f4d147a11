//! `Content-Range`, RFC 9110 §14.4, in the one form that matters here.

/// `bytes FIRST-LAST/TOTAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    /// `None` when the server says `*`.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// How many bytes it is; [`ContentRange::parse`] makes none without any.
    pub(super) fn length(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let sound = first <= last && total.is_none_or(|total| last < total);
        sound.then_some(Self { first, last, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ranges_are_understood() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        assert_eq!(ContentRange::parse("bytes 5-9/10"), range(5, 9, Some(10)));
        assert_eq!(ContentRange::parse("bytes 0-0/*"), range(0, 0, None));
        for bad in [
            "",
            "bytes */10",
            "items 0-1/2",
            "bytes 1-/2",
            "bytes -1-2/3",
            "bytes 0-1",
            "bytes 2-1/3",
            "bytes 0-3/3",
        ] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
    }
}
