//! NUMA nodes: their processors, memory and distances.

use model::{Bytes, inventory::NumaNode};

use crate::{
    cpu::{self, Form},
    limits, memory,
    reader::Reader,
};

const NODES: &str = "sys/devices/system/node";
const TIERS: &str = "sys/devices/virtual/memory_tiering";

pub(crate) fn read(reader: &Reader<'_>) -> Vec<NumaNode> {
    let tiers = tiers(reader);
    let mut ids = numbered(reader, NODES, "node");
    model::order::sort(&mut ids);
    if ids.len() > limits::NODES {
        reader.warn(NODES, format_args!("has more than {} nodes", limits::NODES));
        ids.truncate(limits::NODES);
    }
    ids.into_iter().map(|id| node(reader, id, &tiers)).collect()
}

fn node(reader: &Reader<'_>, id: u32, tiers: &[(u32, Vec<u32>)]) -> NumaNode {
    let dir = format!("{NODES}/node{id}");
    let cpus = cpu::read_set(reader, &dir, ("cpumap", Form::Mask))
        .or_else(|| cpu::read_set(reader, &dir, ("cpulist", Form::List)));
    NumaNode {
        id,
        cpus: cpus.unwrap_or_default(),
        memory: node_memory(reader, &dir),
        distances: distances(reader, &dir),
        tier: tiers.iter().find(|(_, nodes)| nodes.contains(&id)).map(|(tier, _)| *tier),
    }
}

/// The numbers behind `prefix` among the names in `dir`.
fn numbered(reader: &Reader<'_>, dir: &str, prefix: &str) -> Vec<u32> {
    reader.list(dir).iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok()).collect()
}

fn node_memory(reader: &Reader<'_>, dir: &str) -> Option<Bytes> {
    let path = format!("{dir}/meminfo");
    let text = reader.text(&path)?;
    let total = memory::parse_total(&text);
    if total.is_none() {
        reader.warn(&path, "has no MemTotal in kB");
    }
    total
}

/// `10 21 31`.
fn distances(reader: &Reader<'_>, dir: &str) -> Vec<u32> {
    let path = format!("{dir}/distance");
    let Some(text) = reader.text(&path) else { return Vec::new() };
    let distances: Option<Vec<u32>> =
        text.split_whitespace().take(limits::NODES).map(|distance| distance.parse().ok()).collect();
    distances.unwrap_or_else(|| {
        reader.warn(&path, "is not a list of distances");
        Vec::new()
    })
}

/// Tiers of memory and the nodes in each.
fn tiers(reader: &Reader<'_>) -> Vec<(u32, Vec<u32>)> {
    let nodes =
        |tier: u32| cpu::read_set(reader, &format!("{TIERS}/memory_tier{tier}"), ("nodelist", Form::List));
    numbered(reader, TIERS, "memory_tier").into_iter().filter_map(|tier| Some((tier, nodes(tier)?))).collect()
}
