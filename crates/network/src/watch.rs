//! Following the kernel's links: bring each NIC up, and lease where there is a carrier.

use std::collections::{BTreeMap, btree_map::Entry};

use futures_util::{StreamExt as _, TryStreamExt as _};
use model::Mac;
use rtnetlink::{
    Handle, LinkUnspec, MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage},
    },
};
use tokio::task::JoinHandle;

use crate::{
    board::{Board, Nic},
    lease,
};

/// The kernel's number for `lo`.
const LOOPBACK: u32 = 1;

/// Follow links until the kernel ends the conversation.
pub(crate) async fn watch(board: &Board) -> Result<(), String> {
    let connection = new_multicast_connection(&[MulticastGroup::Link]);
    let (connection, handle, mut news) = connection.map_err(|err| format!("no netlink socket: {err}"))?;
    tokio::spawn(connection);
    if let Err(err) = handle.link().set(LinkUnspec::new_with_index(LOOPBACK).up().build()).execute().await {
        tracing::warn!(%err, "the loopback interface is not up");
    }
    let mut links = Links { board, handle, tasks: BTreeMap::new() };
    links.list().await?;
    while let Some((message, _)) = news.next().await {
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = &message.payload {
            links.seen(link).await;
        } else if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) = &message.payload {
            links.gone(link.header.index);
        } else if let NetlinkPayload::Overrun(_) = message.payload {
            tracing::warn!("news about links was lost; looking at all links again");
            links.list().await?;
        }
    }
    Ok(())
}

/// All NICs, each with the task that keeps its lease while it has a carrier.
struct Links<'a> {
    board: &'a Board,
    handle: Handle,
    tasks: BTreeMap<u32, Option<JoinHandle<()>>>,
}

impl Links<'_> {
    /// Look at all links that are there.
    async fn list(&mut self) -> Result<(), String> {
        let mut present = self.handle.link().get().execute();
        while let Some(link) =
            present.try_next().await.map_err(|err| format!("links are not listed: {err}"))?
        {
            self.seen(&link).await;
        }
        Ok(())
    }

    /// The kernel describes a link, new or changed.
    async fn seen(&mut self, link: &LinkMessage) {
        let Some(nic) = nic(link) else { return };
        let index = nic.index;
        if let Entry::Vacant(entry) = self.tasks.entry(index) {
            tracing::info!(nic = nic.name, mac = %nic.mac, "network card");
            entry.insert(None);
            if let Err(err) =
                self.handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await
            {
                self.board.say(&format!("{} {}: cannot be brought up ({err})", nic.name, nic.mac));
            }
        }
        self.board.nic(nic.clone());
        let running = self.tasks.get_mut(&index);
        match (running, nic.carrier) {
            (Some(task @ None), true) => {
                self.board.say(&format!("{} {}: link, asking for an address", nic.name, nic.mac));
                *task = Some(tokio::spawn(lease::keep(self.board.clone(), self.handle.clone(), nic)));
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

/// The link as a NIC, if it is one: Ethernet, and neither a bridge nor another
/// thing made of software. (`veth` counts: it is the NIC of a network namespace.)
fn nic(link: &LinkMessage) -> Option<Nic> {
    if link.header.link_layer_type != LinkLayerType::Ether || link.header.flags.contains(LinkFlags::Loopback)
    {
        return None;
    }
    let mut name = None;
    let mut mac = None;
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac);
        } else if let LinkAttribute::LinkInfo(infos) = attribute
            && infos.iter().any(|info| matches!(info, LinkInfo::Kind(kind) if *kind != InfoKind::Veth))
        {
            return None;
        }
    }
    let carrier = link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
    Some(Nic { index: link.header.index, name: name?, mac: mac?, carrier })
}
