//! Sorting, compiled once.
//!
//! The standard library compiles its sort anew for every type and every key, some
//! 4 KB each. The agent sorts dozens of short lists, and every server downloads it
//! at each boot: here only the numbers of the places are sorted, by one machine code.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// Sort `list`; equal ones keep their order. As [`slice::sort`], for lists that are
/// not on the way of the bytes.
pub fn sort<T: Ord>(list: &mut [T]) {
    let places = places(list.len(), &|one, other| list[one].cmp(&list[other]));
    arrange(list, places);
}

/// Sort `list` by `key`; those with equal keys keep their order. As [`slice::sort_by_key`].
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    let places = places(list.len(), &|one, other| key(&list[one]).cmp(&key(&list[other])));
    arrange(list, places);
}

/// The set of `all`. Collecting into one sorts first, which costs a sort.
pub fn set<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(all);
    set
}

/// The map of `all`; of equal keys the last one counts. See [`set`].
pub fn map<K: Ord, V>(all: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(all);
    map
}

/// Which of `length` comes first, which second, and so on.
fn places(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..length).collect();
    places.sort_by(|&one, &other| compare(one, other));
    places
}

/// Put what is at `places[n]` at `n`, one circle of exchanges after the other.
fn arrange<T>(list: &mut [T], mut places: Vec<usize>) {
    for start in 0..list.len() {
        let mut at = start;
        while places[at] != start {
            let next = places[at];
            list.swap(at, next);
            places[at] = at;
            at = next;
        }
        places[at] = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without an order: a full period of a linear congruence.
    fn mixed(length: u64) -> Vec<(u64, u64)> {
        (0..length).map(|n| ((n * 7919 + 13) % 31, n)).collect()
    }

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        for length in [0, 1, 2, 3, 20, 21, 64, 1000] {
            let (mut ours, mut theirs) = (mixed(length), mixed(length));
            sort(&mut ours);
            theirs.sort();
            assert_eq!(ours, theirs, "{length}");
        }
    }

    #[test]
    fn sets_and_maps_are_those_that_are_collected() {
        assert_eq!(set([3, 1, 3]), BTreeSet::from([1, 3]));
        assert_eq!(map([(2, 'a'), (1, 'b'), (2, 'c')]), BTreeMap::from([(1, 'b'), (2, 'c')]));
    }

    #[test]
    fn equal_keys_keep_their_order() {
        for length in [2, 5, 33, 500] {
            let (mut ours, mut theirs) = (mixed(length), mixed(length));
            sort_by_key(&mut ours, |(key, _)| std::cmp::Reverse(*key));
            theirs.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
            assert_eq!(ours, theirs, "{length}");
        }
    }
}
