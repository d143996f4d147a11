//! What a drive says of itself: the Identify data structures, 4096 bytes each.

use crate::{Namespace, Spec, command::Failure, fabric::NVME_1_4};

const LENGTH: usize = 4096;
/// Every namespace, or none in particular.
pub(crate) const EVERY: u32 = 0xffff_ffff;

/// The data structure of `cns`.
pub(crate) fn identify(
    spec: &Spec,
    subsystem: &str,
    controller: u16,
    cns: u32,
    nsid: u32,
) -> Result<Vec<u8>, Failure> {
    let is_any = |_: &Namespace| true;
    match cns {
        0x00 => Ok(namespace(spec, nsid, |one| one.attached)?),
        0x01 => Ok(of_controller(spec, subsystem, controller)),
        0x02 => Ok(list(spec, nsid, |one| one.attached)),
        0x03 => descriptors(spec, nsid),
        0x10 if spec.manages => Ok(list(spec, nsid, is_any)),
        0x11 if spec.manages => Ok(namespace(spec, nsid, is_any)?),
        _ => Err(Failure::INVALID_FIELD),
    }
}

/// Puts values where the specification has them.
struct Page(Vec<u8>);

impl Page {
    fn with(mut self, at: usize, value: &[u8]) -> Self {
        self.0[at..at + value.len()].copy_from_slice(value);
        self
    }

    /// ASCII, padded with spaces.
    fn text(self, at: usize, width: usize, value: &str) -> Self {
        let mut padded = format!("{value:width$}").into_bytes();
        padded.truncate(width);
        self.with(at, &padded)
    }
}

fn of_controller(spec: &Spec, subsystem: &str, controller: u16) -> Vec<u8> {
    // 128 KiB a command; optional: write zeroes, dataset management.
    const MDTS: u8 = 5;
    const ONCS: u8 = 1 << 3 | 1 << 2;
    // A command and 8 KiB of data in a capsule, a completion of 16 bytes; units of 16 bytes.
    const COMMAND_CAPSULE: u32 = (64 + 8192) / 16;
    let oacs = u8::from(spec.formats) << 1 | u8::from(spec.manages) << 3;
    let sanicap: u32 = spec.sanitizes.iter().map(|action| action.bit()).sum();
    let highest = spec.namespaces.iter().map(|one| one.id).max().unwrap_or(1);
    let page = Page(vec![0; LENGTH])
        .text(4, 20, &spec.serial)
        .text(24, 40, "Billet fake NVMe drive")
        .text(64, 8, "1.0")
        .with(77, &[MDTS])
        .with(78, &controller.to_le_bytes())
        .with(80, &NVME_1_4.to_le_bytes())
        .with(111, &[1]) // an I/O controller
        .with(256, &[oacs])
        .with(259, &[3]) // event requests, less one
        .with(320, &10_u16.to_le_bytes()) // keep alive in steps of 1 s, which fabrics must have
        .with(328, &sanicap.to_le_bytes())
        .with(512, &[0x66, 0x44]) // sizes of the entries of queues
        .with(514, &128_u16.to_le_bytes())
        .with(516, &highest.to_le_bytes())
        .with(520, &[ONCS])
        .with(524, &[spec.fna])
        .with(536, &1_u32.to_le_bytes()) // SGLs, which fabrics must have
        .with(768, subsystem.as_bytes())
        .with(1792, &COMMAND_CAPSULE.to_le_bytes())
        .with(1796, &1_u32.to_le_bytes())
        .with(1803, &[1]);
    page.0
}

/// Zeros for a namespace that is not there for the host, as the specification wants it.
fn namespace(spec: &Spec, id: u32, shown: impl Fn(&Namespace) -> bool) -> Result<Vec<u8>, Failure> {
    let page = Page(vec![0; LENGTH]);
    if id == 0 || id > EVERY - 2 {
        return Err(Failure::INVALID_NAMESPACE);
    }
    let Some(one) = spec.namespaces.iter().find(|one| one.id == id && shown(one)) else { return Ok(page.0) };
    let blocks = (one.bytes / one.block).to_le_bytes();
    // Two formats, of which the namespace has one.
    let format = u8::from(one.block == 4096);
    let page = page
        .with(0, &blocks)
        .with(8, &blocks)
        .with(16, &blocks)
        .with(25, &[1])
        .with(26, &[format])
        .with(104, &unique(spec, id))
        .with(128, &[0, 0, 9, 0])
        .with(132, &[0, 0, 12, 0]);
    Ok(page.0)
}

/// The identifiers above `after`, ascending.
fn list(spec: &Spec, after: u32, shown: impl Fn(&Namespace) -> bool) -> Vec<u8> {
    let shown = spec.namespaces.iter().filter(|one| shown(one));
    let mut ids: Vec<u32> = shown.map(|one| one.id).filter(|id| *id > after).collect();
    ids.sort_unstable();
    let mut page: Vec<u8> = ids.into_iter().flat_map(u32::to_le_bytes).collect();
    page.resize(LENGTH, 0);
    page
}

fn descriptors(spec: &Spec, id: u32) -> Result<Vec<u8>, Failure> {
    const NGUID: u8 = 2;
    if !spec.namespaces.iter().any(|one| one.id == id && one.attached) {
        return Err(Failure::INVALID_NAMESPACE);
    }
    Ok(Page(vec![0; LENGTH]).with(0, &[NGUID, 16, 0, 0]).with(4, &unique(spec, id)).0)
}

/// An identifier that no other namespace of a test has: of the serial number and `id`.
fn unique(spec: &Spec, id: u32) -> [u8; 16] {
    let mut bytes = [0_u8; 16];
    for (at, byte) in spec.serial.bytes().enumerate() {
        let mixed = bytes[at % 12].wrapping_mul(31).wrapping_add(byte);
        bytes[at % 12] = mixed;
    }
    bytes[12..].copy_from_slice(&id.to_be_bytes());
    bytes
}
