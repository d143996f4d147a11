//! The parts of a stream that were passed over while somebody may still ask
//! for them.

use std::{collections::BTreeMap, ops::Range};

/// What nobody has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Start and end.
    gaps: BTreeMap<u64, u64>,
    /// Everything before this was asked for or is a gap.
    sure: u64,
    /// Everything from there to here may have been asked for: the length of
    /// compressed data is known only roughly.
    likely: u64,
}

impl Gaps {
    /// Somebody asks for `range`, of which the last `spare` bytes may belong to
    /// something else.
    pub(super) fn ask(&mut self, range: &Range<u64>, spare: u64) {
        let sure = range.end.saturating_sub(spare).max(range.start);
        if range.start < self.sure {
            self.fill(range.start..sure);
        } else if range.start > self.likely {
            self.gaps.insert(self.sure, range.start);
        }
        self.sure = self.sure.max(sure);
        self.likely = self.likely.max(range.end);
    }

    /// The gap around the start of `range` is none there.
    fn fill(&mut self, range: Range<u64>) {
        let Some((&start, &end)) = self.gaps.range(..=range.start).next_back() else { return };
        if end <= range.start {
            return;
        }
        self.gaps.remove(&start);
        for (from, to) in [(start, range.start), (range.end, end)] {
            if from < to {
                self.gaps.insert(from, to);
            }
        }
    }

    /// Take the gaps that lie before `end`, or the parts of them that do.
    pub(super) fn take_before(&mut self, end: u64) -> Vec<Range<u64>> {
        let mut taken = Vec::new();
        while let Some(gap) = self.gaps.first_entry()
            && *gap.key() < end
        {
            let (from, to) = gap.remove_entry();
            taken.push(from..to.min(end));
            if to > end {
                self.gaps.insert(end, to);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_what_nobody_asked_for() {
        let mut gaps = Gaps::default();
        gaps.ask(&(0..100), 0);
        gaps.ask(&(100..200), 0);
        gaps.ask(&(300..400), 0);
        gaps.ask(&(600..700), 0);
        gaps.ask(&(320..330), 0);
        gaps.ask(&(450..500), 0);
        let mut taken =
            |end| gaps.take_before(end).iter().map(|gap| (gap.start, gap.end)).collect::<Vec<_>>();
        assert_eq!(taken(480), [(200, 300), (400, 450)]);
        assert_eq!(taken(550), [(500, 550)]);
        assert_eq!(taken(u64::MAX), [(550, 600)]);
    }

    #[test]
    fn the_rough_end_of_compressed_data_is_a_gap_only_if_nothing_follows() {
        let mut gaps = Gaps::default();
        gaps.ask(&(0..1024), 511);
        gaps.ask(&(1000..2048), 511);
        gaps.ask(&(4096..8192), 0);
        let gap = gaps.take_before(u64::MAX).pop().expect("a gap");
        assert_eq!((gap.start, gap.end), (1537, 4096));
    }
}
