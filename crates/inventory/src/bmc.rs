//! The management controller, by IPMI from inside.
//!
//! ```text
//! sys/class/ipmi/ipmi0 ─▶ /dev/ipmi0 ─▶ [`Line`] ─▶ kernel/ipmi/ipmi0/… ─▶ answers
//! ```
//! Each answer is kept as it came, completion code first. The channels are asked in
//! order, 1 to 11, and what is reported is that of the first one that has it: the
//! order and the choice of Ironic's agent (`get_bmc_address`, `get_bmc_v6address`,
//! `get_bmc_mac`). Unlike it, a MAC is reported too when only IPv6 is configured.

mod answers;
mod line;

use std::{fs::File, io};

use model::inventory::{Bmc, BmcIpv6, BmcLan};

use crate::{limits, reader::Reader};
use line::Line;

/// Where the kernel lists the devices that take messages.
const CLASS: &str = "sys/class/ipmi";
/// SMBIOS type 38, IPMI Device Information, as `dmi-sysfs` shows the first one.
const ADVERTISED: &str = "sys/firmware/dmi/entries/38-0";

/// Channels that can be to a LAN; 0 is the bus between controllers, the others are reserved.
const CHANNELS: std::ops::RangeInclusive<u8> = 1..=11;

/// Network functions.
const APP: u8 = 0x06;
const TRANSPORT: u8 = 0x0c;

/// Completion codes (table 5-2).
const GOOD: u8 = 0x00;
const INVALID_COMMAND: u8 = 0xc1;

pub(crate) fn read(reader: &Reader<'_>) -> Option<Bmc> {
    let names = reader.list(CLASS);
    if names.is_empty() && reader.exists(ADVERTISED) {
        reader.warn(
            CLASS,
            "the firmware advertises a management controller; load the modules ipmi_si and ipmi_devintf",
        );
    }
    // Two interfaces may lead to one controller; the first that answers will do.
    names.iter().take(limits::IPMI_INTERFACES).find_map(|name| Controller::new(reader, name)?.describe())
}

/// One controller, asked live or read from a recording.
struct Controller<'a> {
    reader: &'a Reader<'a>,
    name: &'a str,
    line: Option<Line>,
}

impl<'a> Controller<'a> {
    fn new(reader: &'a Reader<'a>, name: &'a str) -> Option<Self> {
        let line = if reader.is_live() { Some(Line::new(Box::new(open(reader, name)?))) } else { None };
        Some(Self { reader, name, line })
    }

    /// `None` when it does not say what it is.
    fn describe(&self) -> Option<Bmc> {
        let device = self.device()?;
        let lan = self.lans();
        let v4 = lan.iter().find(|lan| lan.ipv4.is_some());
        let v6 = lan.iter().find_map(|lan| lan.ipv6.first());
        let with_address = || lan.iter().find(|lan| lan.mac.is_some() && !lan.ipv6.is_empty());
        let own = lan.iter().find(|lan| lan.mac.is_some() && lan.ipv4.is_some()).or_else(with_address);
        Some(Bmc {
            ipv4: v4.and_then(|lan| lan.ipv4),
            ipv4_source: v4.and_then(|lan| lan.ipv4_source.clone()),
            ipv6: v6.map(|v6| v6.address),
            ipv6_prefix: v6.map(|v6| v6.prefix),
            mac: own.and_then(|lan| lan.mac),
            vlan: own.and_then(|lan| lan.vlan),
            channel: own.map(|lan| lan.channel),
            manufacturer: Some(device.manufacturer),
            product: Some(device.product),
            firmware: Some(device.firmware),
            ipmi: Some(device.ipmi),
            watchdog_active: self
                .good("watchdog", APP, 0x25, &[])
                .and_then(|answer| answers::watchdog_counts(&answer)),
            lan,
        })
    }

    /// What it is: the one command that every controller has to know.
    fn device(&self) -> Option<answers::Device> {
        let answer = self.answer("device", APP, 0x01, &[])?;
        let device = match answer.as_slice() {
            [GOOD, device @ ..] => answers::device(device),
            [] => None,
            [code, ..] => {
                self.reader
                    .warn(self.path("device"), format_args!("refuses with completion code {code:#04x}"));
                return None;
            }
        };
        if device.is_none() {
            self.reader.warn(self.path("device"), "is too short for a device id");
        }
        device
    }

    fn lans(&self) -> Vec<BmcLan> {
        let mut lans = Vec::new();
        for channel in CHANNELS {
            let info = self.answer(&format!("channel{channel}/info"), APP, 0x42, &[channel]);
            match info.as_deref() {
                // It does not know the command, for any channel.
                Some([INVALID_COMMAND, ..]) => break,
                Some([GOOD, info @ ..]) if answers::is_lan(info, channel) => lans.push(self.lan(channel)),
                Some(_) | None => {}
            }
        }
        lans
    }

    fn lan(&self, channel: u8) -> BmcLan {
        let of = |name: &str, parameter: u8| self.parameter(channel, name, parameter, 0).unwrap_or_default();
        let ipv4 = answers::ipv4(&of("ip", 3));
        BmcLan {
            channel,
            ipv4,
            ipv4_source: answers::ipv4_source(&of("ip_source", 4)).map(str::to_owned),
            netmask: ipv4.and_then(|_| answers::ipv4(&of("netmask", 6))),
            gateway: ipv4.and_then(|_| answers::ipv4(&of("gateway", 12))),
            mac: answers::mac(&of("mac", 5)),
            vlan: answers::vlan(&of("vlan", 20)),
            ipv6: if answers::uses_ipv6(&of("ipv6_enables", 51)) { self.ipv6(channel) } else { Vec::new() },
        }
    }

    fn ipv6(&self, channel: u8) -> Vec<BmcIpv6> {
        let status = self.parameter(channel, "ipv6_status", 55, 0);
        let (fixed, dynamic) = status.and_then(|status| answers::ipv6_places(&status)).unwrap_or_default();
        let places = |count: u8, dynamic: bool| {
            let (name, parameter) = if dynamic { ("ipv6_dynamic", 59) } else { ("ipv6_static", 56) };
            let place = move |nth| {
                let value = self.parameter(channel, &format!("{name}{nth}"), parameter, nth)?;
                answers::ipv6(&value, dynamic)
            };
            (0..count.min(limits::IPMI_ADDRESSES)).filter_map(place)
        };
        places(dynamic, true).chain(places(fixed, false)).collect()
    }

    /// The value of a LAN configuration parameter, behind its revision (section 23.2).
    fn parameter(&self, channel: u8, name: &str, parameter: u8, set: u8) -> Option<Vec<u8>> {
        let name = format!("channel{channel}/{name}");
        let answer = self.good(&name, TRANSPORT, 0x02, &[channel, parameter, set, 0])?;
        Some(answer.get(1..)?.to_vec())
    }

    /// What follows the completion code "good". Other codes mean that the controller does not
    /// have what was asked for, and are no cause for worry.
    fn good(&self, name: &str, netfn: u8, command: u8, data: &[u8]) -> Option<Vec<u8>> {
        let mut answer = self.answer(name, netfn, command, data)?;
        (answer.first() == Some(&GOOD)).then(|| answer.split_off(1))
    }

    fn answer(&self, name: &str, netfn: u8, command: u8, data: &[u8]) -> Option<Vec<u8>> {
        self.reader.ask(&self.path(name), &|| match &self.line {
            Some(line) => line.ask(netfn, command, data),
            None => Err(io::ErrorKind::NotFound.into()), // a recording is not asked
        })
    }

    fn path(&self, name: &str) -> String {
        format!("kernel/ipmi/{}/{name}", self.name)
    }
}

/// The device node of `ipmi0`, by the names it has had.
fn open(reader: &Reader<'_>, name: &str) -> Option<File> {
    let number = name.strip_prefix("ipmi")?;
    let opened = |path: String| File::options().read(true).write(true).open(path);
    let found = opened(format!("/dev/{name}"))
        .or_else(|err| opened(format!("/dev/ipmi/{number}")).map_err(|_| err))
        .or_else(|err| opened(format!("/dev/ipmidev/{number}")).map_err(|_| err));
    found.inspect_err(|err| reader.warn(format!("dev/{name}"), err)).ok()
}
