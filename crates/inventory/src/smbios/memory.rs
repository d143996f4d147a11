//! Memory arrays (type 16) and the devices in them (type 17).

use model::{
    Bytes,
    inventory::{Memory, MemoryModule},
};

use super::{names, table::Structure};

/// What was found so far: a device belongs to an array that may come after it.
#[derive(Default)]
pub(super) struct Found {
    arrays: Vec<Array>,
    devices: Vec<Device>,
}

struct Array {
    handle: Option<u16>,
    purpose: Option<u8>,
    error_correction: Option<String>,
    maximum: Option<u64>,
}

struct Device {
    array: Option<u16>,
    plugged: Plugged,
    module: MemoryModule,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plugged {
    Nothing,
    Unknown,
    Bytes(u64),
}

impl Found {
    pub(super) fn add_array(&mut self, told: &Structure<'_>) {
        self.arrays.push(Array {
            handle: told.handle(),
            purpose: told.byte(0x05),
            error_correction: names::name(names::ERROR_CORRECTION, 3, told.byte(0x06)),
            maximum: maximum(told),
        });
    }

    pub(super) fn add_device(&mut self, told: &Structure<'_>) {
        let plugged = size(told);
        self.devices.push(Device { array: told.word(0x04), plugged, module: module(told, plugged) });
    }

    /// All of the machine's memory; video memory, flash and caches are left out.
    /// A flaw when the sum is not known.
    pub(super) fn sum_up(self) -> (Memory, Option<String>) {
        let (arrays, others): (Vec<_>, Vec<_>) =
            self.arrays.into_iter().partition(|array| array.purpose.is_none_or(is_system_memory));
        let mut devices = self.devices;
        // VMware's and Hyper-V's modules name an array that is not there: those are memory too.
        devices.retain(|device| !others.iter().any(|array| array.handle == device.array));
        let slots = u32::try_from(devices.len()).ok().filter(|slots| *slots > 0);
        devices.retain(|device| device.plugged != Plugged::Nothing);
        let (physical, flaw) = (sum(&devices), not_known(&devices));
        let memory = Memory {
            physical,
            slots,
            error_correction: agreed(&arrays),
            maximum: sum_of_maxima(&arrays),
            modules: devices.into_iter().map(|device| device.module).collect(),
            ..Memory::default()
        };
        (memory, flaw)
    }
}

/// 1 and 2 are "other" and "unknown".
fn is_system_memory(purpose: u8) -> bool {
    purpose <= 3
}

/// `None` when there is nothing, or one whose size nobody knows.
fn sum(devices: &[Device]) -> Option<Bytes> {
    let add = |sum: u64, device: &Device| match device.plugged {
        Plugged::Nothing => Some(sum),
        Plugged::Unknown => None,
        Plugged::Bytes(bytes) => sum.checked_add(bytes),
    };
    devices.iter().try_fold(0, add).filter(|sum| *sum > 0).map(Bytes)
}

/// What keeps the sum from being known.
fn not_known(devices: &[Device]) -> Option<String> {
    let unknown = devices.iter().filter(|device| device.plugged == Plugged::Unknown).count();
    let all = devices.len();
    (unknown > 0).then(|| {
        format!("does not tell the size of {unknown} of {all} memory modules; their sum is not known")
    })
}

/// `None` when one does not say.
fn sum_of_maxima(arrays: &[Array]) -> Option<Bytes> {
    let add = |sum: u64, array: &Array| sum.checked_add(array.maximum?);
    arrays.iter().try_fold(0, add).filter(|sum| *sum > 0).map(Bytes)
}

/// What all arrays say of their error correction.
fn agreed(arrays: &[Array]) -> Option<String> {
    let first = arrays.first()?.error_correction.clone();
    first.filter(|first| arrays.iter().all(|array| array.error_correction.as_ref() == Some(first)))
}

/// In KiB or, from 2 TiB on, in bytes elsewhere. 0 says nothing.
fn maximum(told: &Structure<'_>) -> Option<u64> {
    const ELSEWHERE: u32 = 1 << 31;
    match told.double_word(0x07)? {
        0 => None,
        ELSEWHERE => told.quad_word(0x0f).filter(|bytes| *bytes < 1 << 56),
        kibibytes => Some(u64::from(kibibytes) << 10),
    }
}

/// In MiB; in KiB with the top bit; from 32 GiB on in MiB elsewhere.
fn size(told: &Structure<'_>) -> Plugged {
    const KIBIBYTES: u16 = 1 << 15;
    match told.word(0x0c) {
        Some(0) => Plugged::Nothing,
        None | Some(u16::MAX) => Plugged::Unknown,
        Some(0x7fff) => match told.double_word(0x1c).map(|size| size & 0x7fff_ffff) {
            None | Some(0) => Plugged::Unknown,
            Some(mebibytes) => Plugged::Bytes(u64::from(mebibytes) << 20),
        },
        Some(size) if size & KIBIBYTES != 0 => Plugged::Bytes(u64::from(size & !KIBIBYTES) << 10),
        Some(mebibytes) => Plugged::Bytes(u64::from(mebibytes) << 20),
    }
}

fn module(told: &Structure<'_>, plugged: Plugged) -> MemoryModule {
    let (total, data) = (width(told, 0x08), width(told, 0x0a));
    MemoryModule {
        size: match plugged {
            Plugged::Bytes(bytes) => Some(Bytes(bytes)),
            Plugged::Nothing | Plugged::Unknown => None,
        },
        form_factor: names::name(names::FORM_FACTOR, 3, told.byte(0x0e)),
        locator: told.text(0x10),
        bank: told.text(0x11),
        kind: names::name(names::MEMORY, 3, told.byte(0x12)),
        speed: speed(told, 0x15, 0x54),
        manufacturer: told.text(0x17),
        serial_number: told.text(0x18),
        asset_tag: told.text(0x19),
        part_number: told.text(0x1a),
        ranks: told.byte(0x1b).map(|attributes| u32::from(attributes & 15)).filter(|ranks| *ranks > 0),
        configured_speed: speed(told, 0x20, 0x58),
        technology: names::name(names::TECHNOLOGY, 3, told.byte(0x28)),
        persistent: told.quad_word(0x34).filter(|bytes| !matches!(*bytes, 0 | u64::MAX)).map(Bytes),
        ecc: has_more_than_data(total, data),
        total_width: total,
        data_width: data,
    }
}

/// Bits; neither 0 nor all ones is a width.
fn width(told: &Structure<'_>, at: usize) -> Option<u16> {
    told.word(at).filter(|width| !matches!(*width, 0 | u16::MAX))
}

/// A total below the data is no total: some firmware writes the extra bits alone.
fn has_more_than_data(total: Option<u16>, data: Option<u16>) -> Option<bool> {
    let (total, data) = (total?, data?);
    (total >= data).then_some(total > data)
}

/// In MT/s; 0 is unknown, and from 65535 on it stands elsewhere.
fn speed(told: &Structure<'_>, at: usize, large: usize) -> Option<u32> {
    let speed = match told.word(at)? {
        u16::MAX => told.double_word(large)? & 0x7fff_ffff,
        speed => speed.into(),
    };
    Some(speed).filter(|speed| *speed > 0)
}
