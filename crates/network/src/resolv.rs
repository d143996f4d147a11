//! `resolv.conf`: the resolver of a static program reads it and nothing else.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::Lease;

/// What glibc reads (`MAXNS`); more are ignored.
const MAX_SERVERS: usize = 3;
/// What old resolvers read (`MAXDNSRCH`).
const MAX_DOMAINS: usize = 6;

/// Write what `leases` say, the first lease's servers first. The file is never half there.
pub(crate) fn write(path: &Path, leases: &[Lease]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, text(leases))?;
    fs::rename(&fresh, path)
}

fn text(leases: &[Lease]) -> String {
    let mut text = String::new();
    let domains = first_of(leases.iter().flat_map(|lease| lease.search.iter().cloned()), MAX_DOMAINS);
    if !domains.is_empty() {
        let _ = writeln!(text, "search {}", domains.join(" "));
    }
    for server in first_of(leases.iter().flat_map(|lease| lease.dns.iter().copied()), MAX_SERVERS) {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// The first `limit` different items.
fn first_of<T: PartialEq>(items: impl Iterator<Item = T>, limit: usize) -> Vec<T> {
    let mut first = Vec::new();
    for item in items {
        if first.len() < limit && !first.contains(&item) {
            first.push(item);
        }
    }
    first
}

/// Is `domain` fit for a line of `resolv.conf`? A DHCP server must not write options there.
pub(crate) fn is_domain(domain: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_cannot_smuggle_a_line() {
        assert!(is_domain("lab.example.com"));
        for bad in ["", "a b", "a\nnameserver 6.6.6.6", &"a".repeat(254)] {
            assert!(!is_domain(bad), "{bad:?}");
        }
    }

    #[test]
    fn duplicates_and_surplus_are_dropped() {
        assert_eq!(first_of([1, 1, 2, 3, 4].into_iter(), 3), [1, 2, 3]);
    }
}
