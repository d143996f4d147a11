//! A lease from a real DHCP server (dnsmasq), in a network namespace of its own.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use network::{Lease, Network, NetworkError, Options};

/// Set in the copy of this test that runs inside the namespace.
const INSIDE: &str = "BILLET_TEST_NAMESPACE";

/// Run `test` of this file again in a fresh network namespace, where it may do as
/// it likes. Returns true inside. False (loudly) where that is impossible.
fn in_namespace(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let missing = ["/usr/sbin/dnsmasq", "/usr/bin/unshare", "/usr/sbin/ip"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    if let Some(path) = missing {
        eprintln!("SKIPPED {test}: needs {path}");
        return false;
    }
    let status = Command::new("unshare")
        .args(["--net", "--pid", "--mount", "--fork", "--kill-child"])
        .arg(env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare runs");
    if status.code() == Some(1) && !is_root() {
        eprintln!("SKIPPED {test}: needs root for a network namespace");
        return false;
    }
    assert!(status.success(), "{test} failed in its namespace");
    false
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|text| text.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

fn ip(line: &str) -> String {
    let output = Command::new("ip").args(line.split(' ')).output().expect("ip runs");
    assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The other ends of two cables, `boot` and `other`, in a namespace of their own,
/// and a DHCP server that waits there to be started.
struct Server {
    shell: Child,
    orders: ChildStdin,
}

impl Server {
    /// Plug in the cables; nobody answers yet.
    fn plug_in(directory: &Path) -> Self {
        let directory = directory.display();
        let script = format!(
            "echo ready; read links; \
             ip addr add 10.77.1.1/24 dev s-boot; ip addr add 10.77.2.1/24 dev s-other; \
             ip link set s-boot up; ip link set s-other up; echo plugged; read serve; \
             exec dnsmasq --no-daemon --conf-file=/dev/null --port=0 --user=root --domain=lab.example \
             --dhcp-range=10.77.1.50,10.77.1.60,2m --dhcp-range=10.77.2.50,10.77.2.60,2m \
             --dhcp-option=option:ntp-server,10.77.1.9 --dhcp-option=option:mtu,1400 \
             --dhcp-option=option:dns-server,10.77.1.8 \
             --dhcp-leasefile={directory}/leases --pid-file={directory}/pid"
        );
        let mut shell = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a namespace");
        let mut answers = BufReader::new(shell.stdout.take().expect("piped")).lines();
        let mut orders = shell.stdin.take().expect("piped");
        assert_eq!(answers.next().expect("an answer").expect("text"), "ready");
        let pid = shell.id();
        for (name, mac) in [("boot", "01"), ("other", "02")] {
            ip(&format!("link add {name} address 02:00:00:00:00:{mac} type veth peer name s-{name}"));
            ip(&format!("link set s-{name} netns {pid}"));
        }
        writeln!(orders, "links").expect("it listens");
        assert_eq!(answers.next().expect("an answer").expect("text"), "plugged");
        Self { shell, orders }
    }

    /// From now on the server answers.
    fn serve(&mut self) {
        writeln!(self.orders, "serve").expect("it listens");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn options(directory: &Path) -> Options {
    Options {
        boot_mac: Some("02:00:00:00:00:01".parse().expect("a MAC")),
        resolv_conf: directory.join("resolv.conf"),
        say: |line| eprintln!("{line}"),
        ..Options::default()
    }
}

#[test]
fn the_boot_nic_gets_its_lease_and_the_default_route() {
    if !in_namespace("the_boot_nic_gets_its_lease_and_the_default_route") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Server::plug_in(directory.path());
    server.serve();
    let up = network::up(&options(directory.path())).expect("a lease");
    let lease = &up.interfaces[0];
    assert_eq!(lease.name, "boot");
    assert_eq!((lease.prefix, lease.gateway), (24, Some(Ipv4Addr::new(10, 77, 1, 1))));
    assert_eq!((lease.ntp.as_slice(), lease.mtu), ([Ipv4Addr::new(10, 77, 1, 9)].as_slice(), Some(1400)));
    let resolv = fs::read_to_string(directory.path().join("resolv.conf")).expect("written");
    assert_eq!(resolv, "search lab.example\nnameserver 10.77.1.8\n");
    let source = network::source_address_for("192.0.2.1:80").expect("a default route");
    assert_eq!(source, IpAddr::from(lease.address));
    the_kernel_uses(lease);
}

/// The kernel has what the lease says, as `ip` shows it.
fn the_kernel_uses(lease: &Lease) {
    let address = lease.address;
    let shown = ip("-4 -oneline address show dev boot");
    let wanted = format!("inet {address}/24 brd 10.77.1.255 scope global noprefixroute boot");
    assert!(shown.contains(&wanted), "{shown}");
    assert!(ip("link show dev boot").contains(" mtu 1400 "));
    assert!(ip("link show dev lo").contains("LOWER_UP"), "the loopback interface is up");
    let routes = ip("route show dev boot");
    let wanted = [
        format!("default via 10.77.1.1 proto static src {address} metric 100 onlink"),
        format!("10.77.1.0/24 proto static scope link src {address} metric 100"),
    ];
    assert_eq!(routes.lines().map(str::trim_end).collect::<Vec<_>>(), wanted);
}

#[test]
fn a_server_that_comes_late_is_still_found() {
    if !in_namespace("a_server_that_comes_late_is_still_found") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Server::plug_in(directory.path());
    let network = Network::start(&options(directory.path())).expect("started");
    let err = network.wait(Duration::from_secs(1)).expect_err("nobody serves");
    assert!(matches!(err, NetworkError::NoLease { .. }), "{err}");
    assert!(err.to_string().contains("boot 02:00:00:00:00:01 has a link and no answer"), "{err}");
    server.serve();
    let up = network.wait(Duration::from_secs(30)).expect("a lease in the end");
    assert_eq!(up.interfaces[0].name, "boot");
}

#[test]
fn a_nic_that_is_pulled_out_takes_its_lease_along() {
    if !in_namespace("a_nic_that_is_pulled_out_takes_its_lease_along") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Server::plug_in(directory.path());
    server.serve();
    let network = Network::start(&options(directory.path())).expect("started");
    network.wait(Duration::from_secs(30)).expect("a lease");
    ip("link delete boot");
    let limit = Instant::now() + Duration::from_secs(10);
    while network.leases().iter().any(|lease| lease.name == "boot") {
        assert!(Instant::now() < limit, "the kernel's news was not heard");
        thread::yield_now();
    }
}
