//! The lab's wire: one bridge, a tap for each NIC, and dnsmasq for DHCP and TFTP.

use std::{fs, net::Ipv4Addr, path::Path, process::Stdio};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::isolation::{RUN, run};

/// The bridge's name.
pub const BRIDGE: &str = "br0";
/// The lab's own address on the bridge: billetd, the BMCs, DHCP and TFTP.
pub const HOST: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);
/// Where billetd listens.
pub const API_PORT: u16 = 6385;
/// Where iPXE programs come from (Debian's package `ipxe`).
const IPXE: &str = "/usr/lib/ipxe";
/// What TFTP serves: BIOS and UEFI network boot programs.
const BOOT_PROGRAMS: [&str; 2] = ["undionly.kpxe", "snponly.efi"];

/// Raise loopback and the bridge.
///
/// # Errors
/// When iproute2 is missing or the namespace is not ours.
pub fn raise() -> Result<()> {
    let address = format!("{HOST}/24");
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0"])?;
    run("ip", &["address", "add", &address, "dev", BRIDGE])?;
    run("ip", &["link", "set", BRIDGE, "up"])
}

/// Make one tap on the bridge, for one NIC.
///
/// # Errors
/// When `/dev/net/tun` is missing or the name is taken.
pub fn add_tap(name: &str) -> Result<()> {
    run("ip", &["tuntap", "add", "dev", name, "mode", "tap"])?;
    run("ip", &["link", "set", name, "master", BRIDGE, "up"])
}

/// Start dnsmasq: DHCP and TFTP on the bridge. `log` receives what it says.
///
/// # Errors
/// When dnsmasq or the iPXE programs are missing.
pub fn start_dnsmasq(log: &Path) -> Result<Child> {
    let tftp = Path::new(RUN).join("tftp");
    for program in BOOT_PROGRAMS {
        let from = Path::new(IPXE).join(program);
        fs::copy(&from, tftp.join(program))
            .with_context(|| format!("copy {}; install the package ipxe", from.display()))?;
    }
    let log = fs::File::create(log).with_context(|| format!("create {}", log.display()))?;
    Command::new("dnsmasq")
        .args(dnsmasq_arguments())
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share dnsmasq's log")?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("start dnsmasq; install the package dnsmasq-base")
}

/// A NIC's ROM gets a boot program by its architecture (RFC 4578: 7 and 9 are UEFI x86-64); iPXE
/// itself, known by its user class or its option 175, gets billetd's script.
fn dnsmasq_arguments() -> Vec<String> {
    let fixed = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--log-facility=-",
        "--log-dhcp",
        "--user=root",
        "--pid-file=",
        "--port=0",
        "--no-hosts",
        "--no-resolv",
        // Asking the wire whether an address is free costs three seconds a lease; nobody else is here.
        "--no-ping",
        "--bind-interfaces",
        "--dhcp-authoritative",
        "--dhcp-range=172.22.0.100,172.22.0.250,255.255.255.0,1h",
        "--enable-tftp",
        "--dhcp-userclass=set:ipxe,iPXE",
        "--dhcp-match=set:ipxe,175",
        "--dhcp-match=set:efi,option:client-arch,7",
        "--dhcp-match=set:efi,option:client-arch,9",
        "--dhcp-boot=tag:!ipxe,tag:efi,snponly.efi",
        "--dhcp-boot=tag:!ipxe,tag:!efi,undionly.kpxe",
        // iPXE's "no-pxedhcp": do not wait for a ProxyDHCP server, there is none.
        "--dhcp-option=tag:ipxe,encap:175,176,1b",
    ];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
    arguments.push(format!("--interface={BRIDGE}"));
    arguments.push(format!("--tftp-root={RUN}/tftp"));
    arguments.push(format!("--dhcp-leasefile={RUN}/leases"));
    arguments.push(format!("--dhcp-boot=tag:ipxe,http://{HOST}:{API_PORT}/boot.ipxe"));
    arguments
}
