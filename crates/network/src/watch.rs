//! Following the kernel's links: bring each NIC up, and lease where there is a carrier.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    convert::Infallible,
};

use tokio::task::JoinHandle;

use crate::{
    board::{Board, Nic},
    lease,
    netlink::{self, Event, News, NewsError},
};

/// The kernel's number for `lo`.
const LOOPBACK: u32 = 1;

/// Follow links until the kernel ends the conversation; returns why.
pub(crate) async fn watch(board: &Board) -> Result<Infallible, String> {
    // Before the list, so that nothing happens unseen.
    let mut news = News::open().map_err(|err| format!("no netlink socket: {err}"))?;
    if let Err(err) = netlink::ask(netlink::up(LOOPBACK)) {
        tracing::warn!(%err, "the loopback interface is not up");
    }
    let mut links = Links { board, tasks: BTreeMap::new() };
    links.list()?;
    loop {
        match news.next().await {
            Ok(events) => events.into_iter().for_each(|event| links.happened(event)),
            Err(err @ NewsError::Lost) => {
                tracing::warn!(%err, "looking at all links again");
                links.list()?;
            }
            Err(NewsError::Ended(err)) => return Err(format!("no more news about links: {err}")),
        }
    }
}

/// All NICs, each with the task that keeps its lease while it has a carrier.
struct Links<'a> {
    board: &'a Board,
    tasks: BTreeMap<u32, Option<JoinHandle<()>>>,
}

impl Links<'_> {
    /// Look at all links that are there.
    fn list(&mut self) -> Result<(), String> {
        let nics = netlink::nics().map_err(|err| format!("links are not listed: {err}"))?;
        nics.into_iter().for_each(|nic| self.seen(nic));
        Ok(())
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Seen(nic) => self.seen(nic),
            Event::Gone(index) => self.gone(index),
        }
    }

    /// The kernel describes a NIC, new or changed.
    fn seen(&mut self, nic: Nic) {
        let index = nic.index;
        if let Entry::Vacant(entry) = self.tasks.entry(index) {
            tracing::info!(nic = nic.name, mac = %nic.mac, "network card");
            entry.insert(None);
            if let Err(err) = netlink::ask(netlink::up(index)) {
                self.board.say(&format!("{} {}: cannot be brought up ({err})", nic.name, nic.mac));
            }
        }
        self.board.nic(nic.clone());
        let running = self.tasks.get_mut(&index);
        match (running, nic.carrier) {
            (Some(task @ None), true) => {
                self.board.say(&format!("{} {}: link, asking for an address", nic.name, nic.mac));
                *task = Some(tokio::spawn(lease::keep(self.board.clone(), nic)));
            }
            (Some(task @ Some(_)), false) => {
                // The address stays: a cable that comes back finds it. The new task
                // asks again, since it may be another cable.
                self.board.say(&format!("{} {}: link lost", nic.name, nic.mac));
                if let Some(task) = task.take() {
                    task.abort();
                }
            }
            (Some(Some(_)), true) | (Some(None), false) | (None, _) => {}
        }
    }

    fn gone(&mut self, index: u32) {
        if let Some(task) = self.tasks.remove(&index) {
            self.board.gone(index);
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}
