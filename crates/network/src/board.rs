//! What is known about the NICs, shared by the network thread and those who wait.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::Mac;

use crate::{BOOT_NIC_GRACE, Lease, NetworkError, Options, Up, resolv};

/// A NIC as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nic {
    /// The kernel's number for it.
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Mac,
    /// Is there somebody at the other end of the cable?
    pub(crate) carrier: bool,
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carrier = if self.carrier { "has a link and no answer" } else { "has no link" };
        write!(f, "{} {} {carrier}", self.name, self.mac)
    }
}

#[derive(Default)]
struct State {
    nics: BTreeMap<u32, Nic>,
    leases: BTreeMap<u32, Lease>,
    stopped: Option<String>,
}

struct Inner {
    options: Options,
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone)]
pub(crate) struct Board(Arc<Inner>);

impl Board {
    pub(crate) fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            options,
            started: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    pub(crate) fn is_boot_nic(&self, mac: Mac) -> bool {
        self.0.options.boot_mac == Some(mac)
    }

    /// Say something to the person at the console, and to the log.
    pub(crate) fn say(&self, line: &str) {
        tracing::info!("{line}");
        (self.0.options.say)(line);
    }

    pub(crate) fn nic(&self, nic: Nic) {
        self.change(|state| _ = state.nics.insert(nic.index, nic));
    }

    pub(crate) fn gone(&self, index: u32) {
        self.change(|state| {
            state.nics.remove(&index);
            state.leases.remove(&index);
        });
    }

    /// A NIC has a (new) lease; name servers follow from it. They are in place before
    /// anybody who waits for the lease wakes up.
    pub(crate) fn leased(&self, index: u32, lease: Lease) {
        let path = &self.0.options.resolv_conf;
        let mut written = Ok(());
        self.change(|state| {
            state.leases.insert(index, lease);
            written = resolv::write(path, &self.in_order(state));
        });
        if let Err(err) = written {
            self.say(&format!("{} could not be written ({err}); names are not resolved", path.display()));
        }
    }

    pub(crate) fn stopped(&self, why: String) {
        self.change(|state| state.stopped = Some(why));
    }

    /// All leases, the boot NIC's first.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.in_order(&self.lock())
    }

    fn in_order(&self, state: &State) -> Vec<Lease> {
        let mut leases: Vec<Lease> = state.leases.values().cloned().collect();
        model::order::sort_by_key(&mut leases, |lease| !self.is_boot_nic(lease.mac)); // stable: then by number
        leases
    }

    pub(crate) fn wait(&self, limit: Duration) -> Result<Up, NetworkError> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let left = limit.saturating_sub(start.elapsed());
            let grace = BOOT_NIC_GRACE.saturating_sub(self.0.started.elapsed());
            let interfaces = self.in_order(&state);
            let best = interfaces.first();
            let enough = best.is_some_and(|lease| {
                self.0.options.boot_mac.is_none_or(|mac| mac == lease.mac)
                    || grace.is_zero()
                    || left.is_zero()
            });
            if enough {
                return Ok(Up { interfaces });
            }
            if let Some(why) = &state.stopped {
                return Err(NetworkError::Stopped { why: why.clone() });
            }
            if left.is_zero() {
                return Err(why_none(&state, limit));
            }
            let next = if best.is_some() { left.min(grace) } else { left };
            state = self.0.changed.wait_timeout(state, next).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one statement, so the state is valid after a panic elsewhere.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn why_none(state: &State, waited: Duration) -> NetworkError {
    if state.nics.is_empty() {
        return NetworkError::NoNic;
    }
    let tried = state.nics.values().map(Nic::to_string).collect::<Vec<_>>().join(", ");
    NetworkError::NoLease { waited, tried }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const BOOT: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const SOON: Duration = Duration::from_millis(1);

    fn board(directory: &tempfile::TempDir, boot_mac: Option<Mac>) -> Board {
        let resolv_conf = directory.path().join("resolv.conf");
        Board::new(Options { boot_mac, resolv_conf, ..Options::default() })
    }

    fn lease(mac: Mac) -> Lease {
        let address = Ipv4Addr::new(172, 22, 0, mac.0[5]);
        Lease {
            name: "eth0".to_owned(),
            mac,
            address,
            prefix: 24,
            gateway: None,
            routes: vec![],
            dns: vec![address],
            search: vec![],
            ntp: vec![],
            mtu: None,
            server: address,
        }
    }

    #[test]
    fn the_boot_nic_ends_the_wait_and_comes_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let board = board(&directory, Some(BOOT));
        board.leased(2, lease(OTHER));
        board.leased(3, lease(BOOT));
        let up = board.wait(Duration::from_secs(60)).expect("both have leases");
        assert_eq!(up.interfaces.iter().map(|lease| lease.mac).collect::<Vec<_>>(), [BOOT, OTHER]);
        let resolv = std::fs::read_to_string(&board.0.options.resolv_conf).expect("written");
        assert_eq!(resolv, "nameserver 172.22.0.1\nnameserver 172.22.0.2\n");
    }

    #[test]
    fn another_nic_is_better_than_none_when_the_time_is_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let board = board(&directory, Some(BOOT));
        board.leased(2, lease(OTHER));
        assert_eq!(board.wait(SOON).expect("one has a lease").interfaces.len(), 1);
    }

    #[test]
    fn without_a_lease_the_error_says_what_was_tried() {
        let directory = tempfile::tempdir().expect("a directory");
        let board = board(&directory, None);
        assert!(matches!(board.wait(SOON), Err(NetworkError::NoNic)));
        board.nic(Nic { index: 2, name: "eth0".to_owned(), mac: BOOT, carrier: false });
        board.nic(Nic { index: 3, name: "eth1".to_owned(), mac: OTHER, carrier: true });
        let err = board.wait(SOON).expect_err("no lease").to_string();
        assert!(
            err.contains("eth0 02:00:00:00:00:01 has no link, eth1 02:00:00:00:00:02 has a link"),
            "{err}"
        );
        board.stopped("no netlink".to_owned());
        assert!(matches!(board.wait(SOON), Err(NetworkError::Stopped { .. })));
    }
}
