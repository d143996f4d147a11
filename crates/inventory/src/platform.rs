//! The kernel and what it stands on.

mod command_line;

use model::inventory::{Cpu, Platform, Watchdog};

use crate::{limits, machine, reader::Reader};

pub(crate) use command_line::recorded as recorded_command_line;
pub use command_line::without_secrets;

const CLOCKS: &str = "sys/devices/system/clocksource/clocksource0";

/// Clock sources that only exist above one hypervisor.
const CLOCKS_OF: [(&str, &str); 4] =
    [("kvm-clock", "kvm"), ("hyperv_clocksource", "hyperv"), ("xen", "xen"), ("vmware", "vmware")];

/// What hypervisors write into SMBIOS as the maker or the product (systemd's
/// `detect_vm_dmi`, src/basic/virt.c).
const MAKERS: [(&str, &str); 14] = [
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("Xen", "xen"),
    ("innotek GmbH", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Bochs", "bochs"),
    ("Virtual Machine", "hyperv"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
];

/// The hypervisor that says it is there and nothing more.
const UNNAMED: &str = "unknown";

pub(crate) fn read(reader: &Reader<'_>, cpu: &Cpu) -> Platform {
    let clocks = reader.text(format!("{CLOCKS}/available_clocksource")).unwrap_or_default();
    let clocksources: Vec<String> = clocks.split_whitespace().map(str::to_owned).collect();
    Platform {
        kernel: reader.text("proc/sys/kernel/osrelease"),
        kernel_version: reader.text("proc/sys/kernel/version"),
        command_line: reader.text(machine::COMMAND_LINE).map(|text| without_secrets(&text)),
        clocksource: reader.text(format!("{CLOCKS}/current_clocksource")),
        watchdogs: watchdogs(reader),
        hypervisor: hypervisor(reader, &clocksources, cpu),
        clocksources,
    }
}

fn watchdogs(reader: &Reader<'_>) -> Vec<Watchdog> {
    let names = reader.list("sys/class/watchdog").into_iter().take(limits::WATCHDOGS);
    names.map(|name| watchdog(reader, name)).collect()
}

fn watchdog(reader: &Reader<'_>, name: String) -> Watchdog {
    let path = |attribute: &str| format!("sys/class/watchdog/{name}/{attribute}");
    Watchdog {
        identity: reader.text(path("identity")),
        timeout: reader.number(path("timeout")),
        active: reader.text(path("state")).map(|state| state == "active"),
        no_way_out: reader.number::<u8>(path("nowayout")).map(|no| no != 0),
        name,
    }
}

/// Who the machine is inside of. A cloud may put its name into the SMBIOS of a real machine
/// too, so on x86 the processor is believed first: it has a flag for this.
fn hypervisor(reader: &Reader<'_>, clocks: &[String], cpu: &Cpu) -> Option<String> {
    let x86 = matches!(cpu.architecture.as_deref(), Some("x86_64" | "i686"));
    let flagged = cpu.flags.iter().any(|flag| flag == "hypervisor");
    if x86 && !flagged && !cpu.flags.is_empty() {
        return None;
    }
    let clock = || of_prefix(&CLOCKS_OF, clocks.iter().map(String::as_str));
    let makers =
        || ["sys_vendor", "product_name"].map(|name| reader.text(format!("sys/class/dmi/id/{name}")));
    let maker = || of_prefix(&MAKERS, makers().iter().flatten().map(String::as_str));
    reader
        .text("sys/hypervisor/type")
        .or_else(|| clock().or_else(maker).or(flagged.then_some(UNNAMED)).map(str::to_owned))
}

/// The name behind the first row that one of `found` begins with.
fn of_prefix<'a>(
    rows: &[(&str, &'static str)],
    found: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'static str> {
    let row = rows.iter().find(|(prefix, _)| found.clone().any(|text| text.starts_with(prefix)));
    row.map(|(_, name)| *name)
}
