//! What a network card boots: iPXE scripts.

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use model::Mac;

use super::{Api, Failure};
use crate::node::Ramdisk;

fn script_answer(script: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], script)
        .into_response()
}

/// The same for every machine: ask again with the MAC address.
pub(super) async fn bootstrap(State(api): State<Api>) -> Response {
    script_answer(format!(
        "#!ipxe\n:retry\nchain {base}/boot/${{netX/mac}}.ipxe && goto done || echo Billet: {base} does not answer, trying again\nsleep 5\ngoto retry\n:done\n",
        base = api.base()
    ))
}

/// What the machine with this MAC address boots now.
pub(super) async fn script(State(api): State<Api>, Path(file): Path<String>) -> Result<Response, Failure> {
    let mac: Mac =
        file.strip_suffix(".ipxe").and_then(|mac| mac.parse().ok()).ok_or_else(Failure::not_found)?;
    let node = match api.store().owner_of(&[mac]).await? {
        Some(uuid) => api.store().node(uuid).await?,
        None => None,
    };
    let settings = api.conductor.settings();
    let base = &settings.advertise;
    let inspect = format!("ipa-inspection-callback-url={base}/v1/continue_inspection");
    let serve = format!("ipa-api-url={base}");
    let params = match &node {
        // Nobody's: it may be a node under inspection that is known by its BMC
        // only, and in any case it says on its console who it is.
        None => format!("{inspect} {serve}"),
        Some(node) => match node.state.ramdisk() {
            Some(Ramdisk::Inspect) if settings.fast_track => format!("{inspect} {serve}"),
            Some(Ramdisk::Inspect) => inspect,
            Some(Ramdisk::Serve) => serve,
            None => return Ok(script_answer(local(&node.title()))),
        },
    };
    let name = node
        .as_ref()
        .map_or_else(|| format!("unknown machine {mac}"), |node| format!("node {}", node.title()));
    Ok(script_answer(ramdisk(base, &name, mac, &params, &settings.kernel_params)))
}

/// Nothing to do by network: on to the next boot device.
fn local(name: &str) -> String {
    format!("#!ipxe\necho Billet: node {name} boots from its disk\nexit\n")
}

fn ramdisk(base: &str, name: &str, mac: Mac, params: &str, more: &str) -> String {
    let bootif = mac.to_string().replace(':', "-");
    format!(
        "#!ipxe\necho Billet: {name} boots the ramdisk\n:retry\nimgfree\n\
         kernel {base}/ramdisk/vmlinuz initrd=initramfs {params} BOOTIF=01-{bootif} {more} || goto failed\n\
         initrd --name initramfs {base}/ramdisk/initramfs || goto failed\nboot || goto failed\n\
         :failed\necho Billet: the ramdisk could not be loaded from {base}, trying again\nsleep 5\ngoto retry\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_kernel_ramdisk_parameters_and_the_booting_interface() {
        let mac = "52:54:00:aa:bb:01".parse().expect("a MAC");
        let script = ramdisk(
            "http://172.22.0.1:6385",
            "node bm1",
            mac,
            "ipa-api-url=http://172.22.0.1:6385",
            "console=ttyS0",
        );
        assert!(script.starts_with("#!ipxe\n"));
        for part in [
            "kernel http://172.22.0.1:6385/ramdisk/vmlinuz initrd=initramfs ipa-api-url=http://172.22.0.1:6385 BOOTIF=01-52-54-00-aa-bb-01 console=ttyS0",
            "initrd --name initramfs http://172.22.0.1:6385/ramdisk/initramfs",
        ] {
            assert!(script.contains(part), "{script}");
        }
    }
}
