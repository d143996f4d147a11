//! Which logical processors make a core, and which cores a socket.

use std::collections::BTreeSet;

use model::inventory::{Core, NumaNode};

use super::{
    CPUS,
    set::{self, Form, Source},
};
use crate::reader::Reader;

/// Files that hold the threads of a core: masks, which every kernel has, and lists.
const CORE: [Source; 4] = [
    ("core_cpus", Form::Mask),
    ("thread_siblings", Form::Mask),
    ("core_cpus_list", Form::List),
    ("thread_siblings_list", Form::List),
];

/// Files that hold the threads of a socket.
const SOCKET: [Source; 4] = [
    ("package_cpus", Form::Mask),
    ("core_siblings", Form::Mask),
    ("package_cpus_list", Form::List),
    ("core_siblings_list", Form::List),
];

#[derive(Default)]
pub(super) struct Topology {
    /// The threads of each core.
    pub(super) cores: Vec<Vec<u32>>,
    /// Sockets by the lowest number of a thread on them.
    sockets: BTreeSet<u32>,
}

impl Topology {
    /// Count the distinct sets of siblings, which is right where numbers of
    /// cores repeat from die to die. Processors that are offline have no
    /// topology and belong to sockets counted already.
    pub(super) fn read(reader: &Reader<'_>, online: &[u32]) -> Self {
        let dirs = || online.iter().map(|cpu| directory(*cpu));
        let Some(of_core) = set::source(reader, dirs(), &CORE) else { return Self::default() };
        let of_socket = set::source(reader, dirs(), &SOCKET);
        let mut topology = Self::default();
        // The threads of cores seen already: their files say the same again. No
        // thread is on two cores, and one that is offline on none.
        let mut left = vec![false; online.iter().max().map_or(0, |last| *last as usize + 1)];
        online.iter().for_each(|cpu| left[*cpu as usize] = true);
        for &cpu in online {
            if !left[cpu as usize] {
                continue;
            }
            let dir = directory(cpu);
            let Some(mut threads) = set::read(reader, &dir, of_core) else { continue };
            threads.retain(|thread| left.get_mut(*thread as usize).is_some_and(std::mem::take));
            if threads.is_empty() {
                threads.push(cpu);
            }
            let socket = of_socket.and_then(|of_socket| set::read_first(reader, &dir, of_socket));
            topology.sockets.extend(socket);
            topology.cores.push(threads);
        }
        topology
    }

    /// Populated sockets. Kernels without topology (of some guests) say nothing:
    /// one, if there is a processor at all.
    pub(super) fn sockets(&self, threads: usize) -> usize {
        self.sockets.len().max(usize::from(threads > 0))
    }

    /// Cores; where nothing is said, one for each processor.
    pub(super) fn cores(&self, threads: usize) -> usize {
        if self.cores.is_empty() { threads } else { self.cores.len() }
    }

    /// The cores with their places. Firmware without numbers (-1) leaves them out.
    pub(super) fn numbered(&self, reader: &Reader<'_>, nodes: &[NumaNode]) -> Vec<Core> {
        let node_of = places(nodes);
        let number = |cpu: u32, name: &str| {
            let number: i64 = reader.number(format!("{}/{name}", directory(cpu)))?;
            u32::try_from(number).ok()
        };
        let core = |threads: &Vec<u32>| {
            let first = *threads.first()?;
            Some(Core {
                id: number(first, "core_id")?,
                socket: number(first, "physical_package_id"),
                numa_node: node_of.get(first as usize).copied().unwrap_or_default(),
                threads: threads.clone(),
            })
        };
        self.cores.iter().filter_map(core).collect()
    }
}

pub(super) fn directory(cpu: u32) -> String {
    format!("{CPUS}/cpu{cpu}/topology")
}

/// The node of each logical processor, by its number.
fn places(nodes: &[NumaNode]) -> Vec<u32> {
    let last = nodes.iter().filter_map(|node| node.cpus.last()).max();
    let mut places = vec![0; last.map_or(0, |last| *last as usize + 1)];
    for node in nodes {
        for cpu in &node.cpus {
            if let Some(place) = places.get_mut(*cpu as usize) {
                *place = node.id;
            }
        }
    }
    places
}
