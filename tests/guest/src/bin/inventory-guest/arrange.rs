//! What QEMU cannot give a guest, and an administrator makes.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use guest::{inside::Named, modules, programs};
use init::Params;
use serde_json::{Value, json};

pub(crate) const ROWS: &[Named<Params>] = &[
    ("up", up),
    ("bond", bond),
    ("vlan", vlan),
    ("mirror", mirror),
    ("multipath", multipath),
    ("volume", volume),
    ("processor-off", processor_off),
];

fn ip(arguments: &str) {
    programs::run("ip", &arguments.split_whitespace().collect::<Vec<_>>());
}

/// Names of network interfaces with hardware, in order.
fn nics() -> Vec<String> {
    let named = fs::read_dir("/sys/class/net").expect("sysfs").flatten();
    let mut names: Vec<String> = named
        .filter(|nic| nic.path().join("device").exists())
        .filter_map(|nic| nic.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// How many disks and network cards the guest has.
const DISKS: &str = "guest-disks";
const NICS: &str = "guest-nics";
/// How long they may take to appear, and between two looks.
const APPEAR_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Every device is there, and every interface up, so that it has a carrier and hears
/// its neighbours.
fn up(params: &Params) -> Value {
    let wanted = |name: &str| params.get(name).and_then(|count| count.parse().ok()).unwrap_or(0);
    let disks = || fs::read_dir("/sys/block").expect("sysfs").count();
    let deadline = Instant::now() + APPEAR_LIMIT;
    while nics().len() < wanted(NICS) || disks() < wanted(DISKS) {
        assert!(
            Instant::now() < deadline,
            "{} of {} cards, {} of {} disks",
            nics().len(),
            wanted(NICS),
            disks(),
            wanted(DISKS)
        );
        thread::sleep(POLL);
    }
    trust_addresses();
    nics().iter().for_each(|nic| ip(&format!("link set {nic} up")));
    let carrier = |nic: &String| fs::read_to_string(format!("/sys/class/net/{nic}/carrier"));
    let connected = |nic: &String| carrier(nic).is_ok_and(|carrier| carrier.trim() == "1");
    while !nics().iter().all(connected) {
        assert!(Instant::now() < deadline, "no carrier: {:?}", nics());
        thread::sleep(POLL);
    }
    nics().iter().for_each(|nic| settled(nic));
    json!(nics())
}

/// The kernel tries an IPv6 address for a second or two before it is one, so two looks in a row
/// would differ. Interfaces to come inherit what `default` has.
fn trust_addresses() {
    for interface in fs::read_dir("/proc/sys/net/ipv6/conf").expect("IPv6").flatten() {
        fs::write(interface.path().join("accept_dad"), "0").expect("the kernel takes a number");
    }
}

/// Wait until `nic` has its own address, the last that changes when it comes up.
fn settled(nic: &str) {
    /// `IFA_F_TENTATIVE`
    const TENTATIVE: u32 = 0x40;
    let has_address = || {
        let table = fs::read_to_string("/proc/net/if_inet6").expect("IPv6");
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|words| {
            // Address, number, length, scope, flags, name.
            let flags = u32::from_str_radix(words[4], 16).expect("hexadecimal");
            words[5] == nic && flags & TENTATIVE == 0
        })
    };
    let deadline = Instant::now() + APPEAR_LIMIT;
    while !has_address() {
        assert!(Instant::now() < deadline, "{nic} has no address");
        thread::sleep(POLL);
    }
}

/// The first two interfaces as one.
fn bond(_: &Params) -> Value {
    modules::load("bonding", "max_bonds=0");
    ip("link add bond0 type bond mode active-backup miimon 100");
    for nic in nics().iter().take(2) {
        ip(&format!("link set {nic} down"));
        ip(&format!("link set {nic} master bond0"));
    }
    ip("link set bond0 up");
    settled("bond0");
    Value::Null
}

/// VLAN 205 on the bond, or else on the first interface.
fn vlan(_: &Params) -> Value {
    modules::load("8021q", "");
    let below =
        if fs::exists("/sys/class/net/bond0").unwrap_or(false) { "bond0".into() } else { nics().remove(0) };
    ip(&format!("link set {below} up"));
    ip(&format!("link add link {below} name {below}.205 type vlan id 205"));
    ip(&format!("link set {below}.205 up"));
    settled(&format!("{below}.205"));
    Value::Null
}

/// SCSI or SATA disks and their device numbers (`8:16`), in order.
fn disks() -> Vec<(String, String)> {
    let named = fs::read_dir("/sys/block").expect("sysfs").flatten();
    let mut names: Vec<String> = named.filter_map(|disk| disk.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with("sd"));
    names.sort();
    let number = |name: &String| fs::read_to_string(format!("/sys/block/{name}/dev")).expect("sysfs");
    names.iter().map(|name| (name.clone(), number(name).trim().to_owned())).collect()
}

/// The first two disks as a RAID 1 with its metadata on them (mdadm's 1.2).
fn mirror(_: &Params) -> Value {
    modules::load("raid1", "");
    let disks = disks();
    let [first, second] = [0, 1].map(|nth: usize| format!("/dev/{}", disks[nth].0));
    let create =
        "--create /dev/md/old --run --metadata=1.2 --level=1 --raid-devices=2 --homehost=oldhost --name=old";
    let mut arguments: Vec<&str> = create.split_whitespace().collect();
    arguments.extend([first.as_str(), second.as_str()]);
    programs::run("mdadm", &arguments);
    Value::Null
}

/// The last two disks as two paths of one, as multipathd would.
fn multipath(_: &Params) -> Value {
    modules::load("dm_multipath", "");
    modules::load("dm_service_time", "");
    let disks = disks();
    let [(one, first), (_, second)] = &disks[disks.len() - 2..] else { unreachable!("two") };
    let sectors = fs::read_to_string(format!("/sys/block/{one}/size")).expect("sysfs");
    let wwid = fs::read_to_string(format!("/sys/block/{one}/device/wwid")).expect("sysfs");
    let name = wwid.trim().strip_prefix("naa.").expect("a world wide name");
    let table = format!("0 {} multipath 0 0 1 1 service-time 0 2 2 {first} 1 1 {second} 1 1", sectors.trim());
    programs::run("dmsetup", &["create", "mpatha", "--uuid", &format!("mpath-3{name}"), "--table", &table]);
    Value::Null
}

/// A logical volume on the first disk.
fn volume(_: &Params) -> Value {
    modules::load("dm_mod", "");
    let (_, number) = disks().remove(0);
    let uuid = "LVM-Zq3bB1yX0cTgD7kQmP4rS8tVwYaHnJ2eXq0fG5hL9uKzR6sWcNdMvTbJyPiEoA3U";
    let table = format!("0 8192 linear {number} 2048");
    programs::run("dmsetup", &["create", "vg0-root", "--uuid", uuid, "--table", &table]);
    Value::Null
}

/// The last processor is turned off.
fn processor_off(_: &Params) -> Value {
    let present = fs::read_to_string("/sys/devices/system/cpu/present").expect("sysfs");
    let last = present.trim().rsplit(['-', ',']).next().expect("a number").to_owned();
    fs::write(format!("/sys/devices/system/cpu/cpu{last}/online"), "0").expect("a processor that goes");
    Value::Null
}
