//! What a disk is as an NVMe namespace: its number, its names, and who else
//! belongs to the same hardware.

use std::path::Path;

use model::inventory::Namespace;

use super::is_numbered;
use crate::{by_path, reader::Reader};

pub(super) fn read(reader: &Reader<'_>, dir: &Path, name: &str) -> Option<Namespace> {
    if !name.starts_with("nvme") {
        return None;
    }
    let of = |attribute: &str| reader.text(dir.join(attribute));
    let subsystem = of("device/subsysnqn");
    let nguid = of("nguid").filter(|id| !is_zero(id));
    Some(Namespace {
        id: reader.number(dir.join("nsid"))?,
        controllers: controllers(reader, dir, subsystem.as_deref()),
        subsystem,
        eui64: of("eui").map(|eui| eui.replace(' ', "")).filter(|id| !is_zero(id)),
        // Where there is no UUID the kernel shows the other one in its place.
        uuid: of("uuid").filter(|id| !is_zero(id) && Some(id) != nguid.as_ref()),
        nguid,
    })
}

/// A drive that fills in nothing has no such name.
fn is_zero(id: &str) -> bool {
    id.bytes().all(|letter| letter == b'0' || letter == b'-')
}

/// The controller above the namespace; with native multipathing, where it hangs
/// below its subsystem, all of that subsystem.
fn controllers(reader: &Reader<'_>, dir: &Path, subsystem: Option<&str>) -> Vec<String> {
    let is_controller = |name: &str| {
        is_numbered(name, "nvme") && name["nvme".len()..].bytes().all(|letter| letter.is_ascii_digit())
    };
    let above = dir.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    if is_controller(above) {
        return vec![above.to_owned()];
    }
    let Some(subsystem) = subsystem else {
        let own = by_path::controller(reader, dir);
        return own.and_then(|own| Some(own.file_name()?.to_str()?.to_owned())).into_iter().collect();
    };
    let of_subsystem =
        |name: &String| reader.text(format!("sys/class/nvme/{name}/subsysnqn")).as_deref() == Some(subsystem);
    reader
        .list("sys/class/nvme")
        .into_iter()
        .filter(|name| is_controller(name) && of_subsystem(name))
        .collect()
}
