//! Switches, played by the other end of a cable in a network namespace of its own, and
//! frames of real ones: recorded with a machine, and those lldpd collected.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use inventory::{
    Options, Root, limits,
    lldp::{self, Patience},
    scan,
};
use model::inventory::Nic;

/// Set in the copy of this test that runs inside the namespace.
const INSIDE: &str = "BILLET_TEST_NAMESPACE";

/// Run `test` of this file again in a fresh network namespace. True inside; false (loudly)
/// where that is impossible.
fn in_namespace(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let is_root = fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("\nUid:\t0\t"));
    let missing = ["/usr/bin/unshare", "/usr/sbin/ip"].into_iter().find(|path| !Path::new(path).exists());
    if !is_root || missing.is_some() {
        eprintln!("SKIPPED {test}: needs root, and {missing:?}");
        return false;
    }
    let status = Command::new("unshare")
        .args(["--net", "--fork", "--kill-child"])
        .arg(env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare runs");
    assert!(status.success(), "{test} failed in its namespace");
    false
}

fn ip(line: &str) {
    let output = Command::new("ip").args(line.split(' ')).output().expect("ip runs");
    assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A cable between `name` and `name-far`, plugged in.
fn cable(name: &str) {
    ip(&format!("link add {name} type veth peer name {name}-far"));
    ip(&format!("link set {name} up"));
    ip(&format!("link set {name}-far up"));
}

/// As `scan` finds an interface that has hardware.
fn nic(name: &str) -> Nic {
    Nic { name: name.to_owned(), device: Some("0000:3b:00.0".to_owned()), ..Nic::default() }
}

/// A frame to `group` of the switch `name`; `damage` is what stands where its lifetime should.
fn frame(group: u8, name: &str, damage: Option<&[u8]>) -> Vec<u8> {
    let mut frame = [1, 0x80, 0xc2, 0, 0, group, 2, 0, 0, 0, 0, 1, 0x88, 0xcc].to_vec();
    for (kind, value) in [(1_u8, [b"\x07", name.as_bytes()].concat()), (2, b"\x05Ethernet1/7".to_vec())] {
        frame.extend([kind << 1, u8::try_from(value.len()).expect("short")]);
        frame.extend(value);
    }
    frame.extend(damage.unwrap_or(&[3 << 1, 2, 0, 120, 0, 0]));
    frame
}

/// Sends `frames` out of `interface` again and again, until it is dropped.
struct Switch(Option<(mpsc::Sender<()>, thread::JoinHandle<()>)>);

impl Switch {
    /// `pause` between two rounds.
    fn start(interface: &str, frames: Vec<Vec<u8>>, pause: Duration) -> Self {
        let index = sys::net::index(interface).expect("an interface");
        let mut socket = File::from(sys::packet::listen(index, 0x88cc, &[]).expect("a socket"));
        let (stop, stopped) = mpsc::channel();
        let sender = thread::spawn(move || {
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A full queue (ENOBUFS) loses frames, as wires do.
                frames.iter().for_each(|frame| drop(socket.write(frame)));
            }
        });
        Self(Some((stop, sender)))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some((stop, sender)) = self.0.take() {
            drop(stop);
            sender.join().expect("the sender ends");
        }
    }
}

#[test]
fn every_port_hears_its_own_switch() {
    if !in_namespace("every_port_hears_its_own_switch") {
        return;
    }
    let names = ["good", "late", "flood", "silent", "dark", "relay"];
    names.iter().for_each(|name| cable(name));
    ip("link set dark down");
    let pause = Duration::from_millis(20);
    let nonsense = frame(0x0e, "x", Some(&[0xfe, 0xff, 1]));
    let _switches = [
        Switch::start("good-far", vec![frame(0x0e, "leaf1", None)], pause),
        Switch::start("late-far", vec![nonsense.clone(), frame(3, "leaf2", None)], pause),
        Switch::start("flood-far", vec![nonsense; 500], Duration::from_millis(1)),
        Switch::start("relay-far", vec![frame(0, "leaf3", None)], pause),
        // What this machine says itself, on a port of which nobody answers.
        Switch::start("silent", vec![frame(0x0e, "ourselves", None)], pause),
    ];
    let mut nics: Vec<Nic> = names.iter().map(|name| nic(name)).collect();
    nics.push(nic("gone"));
    nics.push(Nic { name: "plain".to_owned(), ..Nic::default() });
    let start = Instant::now();
    let warnings = lldp::listen(&mut nics, Patience::of(Duration::from_secs(3)));
    let took = start.elapsed();
    assert!((3..10).contains(&took.as_secs()), "the silent ones are waited for: {took:?}");
    let heard = |name: &str| {
        let nic = nics.iter().find(|nic| nic.name == name).expect(name);
        nic.neighbour.as_ref().and_then(|neighbour| neighbour.chassis_id.as_deref())
    };
    assert_eq!(
        ["good", "late", "relay", "flood", "silent", "dark", "gone", "plain"].map(heard),
        [Some("leaf1"), Some("leaf2"), Some("leaf3"), Some("x"), None, None, None, None],
    );
    let reasons: Vec<_> = warnings.iter().map(|w| (w.path.as_str(), w.reason.as_str())).collect();
    let [(gone, no_device), (flood, flaw)] = reasons[..] else { panic!("{reasons:?}") };
    assert_eq!((gone, flood), ("kernel/net/gone/lldp", "kernel/net/flood/lldp"));
    assert!(no_device.contains("cannot be listened to") && flaw.contains("middle of a TLV"), "{reasons:?}");
}

#[test]
fn a_recorded_machine_tells_what_it_heard() {
    let root = tempfile::tempdir().expect("temporary directory");
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let listing = |heard: &[u8]| {
        format!(
            "sys/class/net/eth0/address = 02:00:00:00:00:01\nsys/class/net/eth0/device/vendor = 0x8086\n\
             kernel/net/eth0/lldp = {}\n",
            escaped(heard)
        )
    };
    let neighbour = |heard: &[u8]| {
        fs::write(root.path().join("sysfs.txt"), listing(heard)).expect("temporary file");
        let inventory = scan(&Root::open(root.path()).expect("a recording"), &Options::default());
        let warnings = inventory.warnings.iter().filter(|warning| warning.path.contains("lldp")).count();
        (inventory.nics[0].neighbour.clone(), warnings)
    };
    let (good, warnings) = neighbour(&frame(0x0e, "leaf1", None));
    assert_eq!((good.expect("a neighbour").port_id.as_deref(), warnings), (Some("Ethernet1/7"), 0));
    let (jumbo, warnings) = neighbour(&[frame(0x0e, "leaf1", None), vec![0; 9000]].concat());
    assert!(jumbo.is_none() && warnings == 1, "longer than any honest frame");
}

/// `sub` of the corpus, or `None` (loudly).
fn corpus(test: &str, sub: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join(sub);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED {test}: no {}; set BILLET_CORPUS", folder.display());
    None
}

/// The frames of a pcap file of the first machine that reads it (little-endian).
fn pcap(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).expect("a capture");
    let mut rest = bytes.get(24..).expect("a header");
    let mut frames = Vec::new();
    while let Some(header) = rest.get(..16) {
        let length = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        frames.push(rest[16..16 + length].to_vec());
        rest = &rest[16 + length..];
    }
    frames
}

/// Frames of lldpd's tests, and the files they are from.
fn lldpd(test: &str) -> Vec<(String, Vec<u8>)> {
    let Some(root) = corpus(test, "lldpd") else { return Vec::new() };
    let mut frames = Vec::new();
    for folder in [
        "integration/data",
        "fuzzing_seed_corpus/fuzz_lldp_seed_corpus",
        "fuzzing_seed_corpus/fuzz_cdp_seed_corpus",
    ] {
        for file in fs::read_dir(root.join(folder)).expect("a folder") {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            match name.ends_with(".pcap") {
                true => frames.extend(pcap(&path).into_iter().map(|frame| (name.clone(), frame))),
                false => frames.push((name, fs::read(&path).expect("a frame"))),
            }
        }
    }
    frames.sort();
    frames
}

#[test]
fn frames_of_real_switches_are_understood() {
    let frames = lldpd("frames_of_real_switches_are_understood");
    let shown: Vec<String> = frames
        .iter()
        .filter_map(|(name, frame)| Some((name, lldp::parse(frame)?)))
        .map(|(name, found)| {
            let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
            format!(
                "{name}: {} {} {:?}s {:?} vlan {:?} mtu {:?} {:?} {} {:?}",
                text(&found.chassis_id),
                text(&found.port_id),
                found.lifetime_s,
                text(&found.system_name),
                found.untagged_vlan,
                found.mtu,
                found.capabilities,
                found.management_addresses.join(","),
                found.flaw,
            )
        })
        .collect();
    let all = r#"["other", "repeater", "bridge", "wlan", "router", "telephone", "docsis", "station", "c-vlan", "s-vlan", "relay"]"#;
    let want = [
        r#"8023bt.pcap: c0:64:e4:a9:9b:80 Gi1/0/2 Some(120)s "cisco-bt-switch" vlan Some(1) mtu None ["bridge"] 192.168.1.1 None"#,
        r#"connectx.pcap: 50:6b:4b:f6:1e:b3 50:6b:4b:f6:1e:b1 Some(48)s "-" vlan None mtu None []  None"#,
        r#"lldp.0.raw: 00:17:d1:a8:35:bf 00:17:d1:a8:36:02 Some(120)s "-" vlan None mtu None []  None"#,
        r#"lldp.1.raw: 00:16:17:2f:a1:b6 00:16:17:2f:a1:b6 Some(120)s "naruto.XXXXXXXXXXXXXXXXXXX" vlan None mtu Some(1500) ["bridge", "router"] 10.238.80.75 None"#,
        &format!(
            r#"med-loc-malformed.pcap: 0x0ac0de9d0a74 3e:3e:3e:3e:3e:3e Some(16)s "defensics" vlan None mtu None {all}  None"#
        ),
        r#"sg200.pcap: 00:35:35:35:35:35 g1 Some(120)s "-" vlan None mtu None []  None"#,
    ];
    assert!(frames.is_empty() || shown == want, "{shown:#?}");
}

#[test]
fn no_mutation_of_a_real_frame_is_too_much() {
    let frames = lldpd("no_mutation_of_a_real_frame_is_too_much");
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).expect("31 bits") % below.max(1)
    };
    for (name, frame) in &frames {
        for length in 0..=frame.len() {
            let _ = lldp::parse(&frame[..length]);
        }
        for _ in 0..100_000 / frames.len() {
            let mut frame = frame.clone();
            for _ in 0..=next(8) {
                let at = next(frame.len());
                frame[at] = u8::try_from(next(256)).expect("a byte");
            }
            frame.truncate(frame.len() - next(frame.len() / 4));
            let Some(found) = lldp::parse(&frame) else { continue };
            assert!(found.tlvs.len() <= limits::LLDP_TLVS, "{name}");
        }
    }
}
