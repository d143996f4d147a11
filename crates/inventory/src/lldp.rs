//! What switches say of themselves, and so where a machine's cables lead.
//!
//! ```text
//! sockets (AF_PACKET, one a NIC) ─frames─▶ collect, until all spoke or patience ends
//!   ─▶ kernel/net/<nic>/lldp ─frame::parse─▶ Nic::neighbour
//! ```
//! A recording has the frames, so that it tells the same without a switch. Some cards
//! (Intel's E800 and X700) keep LLDP to themselves unless told otherwise by the firmware's menu.

pub(crate) mod frame;
mod listen;

use std::time::Duration;

use model::inventory::{Medium, Nic, Warning};

use crate::{limits, reader::Reader};

pub use frame::parse;

/// How long to wait for switches, which speak every 30 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Stop after so long without news, as Ironic's agent does.
    pub idle: Duration,
    /// Stop after so long in any case.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: limits::LLDP_IDLE, total: limits::LLDP_TOTAL }
    }
}

impl Patience {
    /// Never longer than `total`.
    #[must_use]
    pub fn of(total: Duration) -> Self {
        Self { idle: limits::LLDP_IDLE.min(total), total }
    }
}

/// Wait for what is at the other ends of `nics` and write it down there. Blocks, as long
/// as `patience` says. What cannot be listened to or makes no sense is a warning.
pub fn listen(nics: &mut [Nic], patience: Patience) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |path: String, reason: String| warnings.push(Warning { path, reason });
    for (at, frame) in listen::listen(&cables(nics), patience, &mut warn) {
        let path = path(&nics[at].name);
        nics[at].neighbour = understood(&path, &frame, &mut warn);
    }
    warnings
}

/// Fill in the neighbours of `nics`: of a recording, from its frames; of the running machine
/// by listening, if there is any patience.
pub(crate) fn read(reader: &Reader<'_>, nics: &mut [Nic], patience: Option<Patience>) {
    let mut warn = |path: String, reason: String| reader.warn(path, reason);
    if reader.is_live() {
        let Some(patience) = patience else { return };
        for (at, frame) in listen::listen(&cables(nics), patience, &mut warn) {
            reader.answer(&path(&nics[at].name), frame);
        }
    }
    for nic in nics {
        let path = path(&nic.name);
        let frame = reader.bytes(path.as_ref(), limits::LLDP_FRAME);
        nic.neighbour = frame.and_then(|frame| understood(&path, &frame, &mut warn));
    }
}

fn path(nic: &str) -> String {
    format!("kernel/net/{nic}/lldp")
}

fn understood(
    path: &str,
    frame: &[u8],
    warn: &mut dyn FnMut(String, String),
) -> Option<model::inventory::Neighbour> {
    let neighbour = parse(frame);
    match neighbour.as_ref().map(|neighbour| &neighbour.flaw) {
        Some(None) => {}
        Some(Some(flaw)) => warn(path.to_owned(), format!("{flaw}; what came before it is kept")),
        None => warn(path.to_owned(), "is no frame of LLDP".to_owned()),
    }
    neighbour
}

/// The interfaces that have a cable: places in the list, and names.
fn cables(nics: &[Nic]) -> Vec<(usize, String)> {
    let has_cable =
        |nic: &Nic| nic.device.is_some() && nic.medium == Medium::Ethernet && nic.physical_function.is_none();
    let all = nics.iter().enumerate().filter(|(_, nic)| has_cable(nic));
    all.map(|(at, nic)| (at, nic.name.clone())).collect()
}
