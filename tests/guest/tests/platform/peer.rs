//! The peers, started for one guest and ended with it. One that is not installed is
//! named, and its test skipped.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A peer starts in milliseconds; a hang is longer.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A process that ends with its test.
struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[&str]) -> Option<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(arguments).stdin(Stdio::null());
        Some(Self(command.spawn().unwrap_or_else(|err| panic!("{program}: {err}"))))
    }

    /// Wait until `there` is.
    fn ready<T>(&mut self, mut there: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Some(found) = there() {
                return found;
            }
            assert!(Instant::now() < end, "a peer does not start");
            assert!(self.0.try_wait().expect("a child").is_none(), "a peer has ended");
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `program` runs here.
fn installed(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("SKIPPED: {program} is not installed (Debian package {package})");
    }
    found.is_ok()
}

/// `ipmi_sim`: a controller with one channel to a LAN.
pub(crate) struct Controller {
    pub(crate) ipv4: &'static str,
    pub(crate) netmask: &'static str,
    pub(crate) gateway: &'static str,
    pub(crate) mac: &'static str,
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Controller {
    pub(crate) fn start() -> Option<Self> {
        if !installed("ipmi_sim", "openipmi") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        // An address that ends in the byte of a line's end.
        let (ipv4, netmask, gateway, mac) = ("10.9.8.10", "255.255.254.0", "10.9.8.1", "02:00:5e:00:00:07");
        let answers = format!(
            "#!/bin/sh\nshift\nfor of; do case $of in\nip_addr) is={ipv4};; ip_addr_src) is=static;; mac_addr) is={mac};;\n\
             subnet_mask) is={netmask};; default_gw_ip_addr) is={gateway};; default_gw_mac_addr) is={mac};;\n\
             *) is=0.0.0.0;; esac; echo \"$of:$is\"; done\n"
        );
        fs::write(path("lan"), answers).expect("room");
        fs::set_permissions(path("lan"), fs::Permissions::from_mode(0o755)).expect("ours");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let lan_port =
            UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let config = format!(
            "name \"billet\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {lan_port}\npriv_limit admin\n\
             allowed_auths_admin md5\nlan_config_program \"{}\"\nendlan\nserial 15 127.0.0.1 {port} codec VM\n",
            path("lan")
        );
        fs::write(path("config"), config).expect("room");
        let commands = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
            mc_enable 0x20\n";
        fs::write(path("commands"), commands).expect("room");
        let arguments = ["-n", "-p", "-c", &path("config"), "-f", &path("commands"), "-s", &path("state")];
        let mut process = Process::start("ipmi_sim", &arguments)?;
        let table = || fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        // Listening (state 0A); a connection would take QEMU's place.
        let listens = format!("0100007F:{port:04X} 00000000:0000 0A");
        process.ready(|| table().contains(&listens).then_some(()));
        Some(Self { ipv4, netmask, gateway, mac, port, _process: process, _folder: folder })
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let line = format!("socket,id=ipmi,host=127.0.0.1,port={},reconnect=1", self.port);
        let words = ["-chardev", &line, "-device", "ipmi-bmc-extern,id=bmc,chardev=ipmi"];
        let port = ["-device", "isa-ipmi-kcs,bmc=bmc"];
        words.into_iter().chain(port).map(str::to_owned).collect()
    }
}

/// Where the certificate of an RSA endorsement key lies.
const INDEX: u32 = 0x01c0_0002;
const OWNER: u32 = 0x4000_0001;
/// The owner writes; everybody reads. (Part 2, table 224.)
const ATTRIBUTES: u32 = 0x0206_0006;
const EMPTY_PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
/// Bytes written at a time.
const PIECE: usize = 512;

/// `swtpm` with the certificate of an endorsement key.
pub(crate) struct Tpm {
    pub(crate) sha256: String,
    socket: String,
    _process: Process,
    _folder: TempDir,
}

impl Tpm {
    pub(crate) fn start() -> Option<Self> {
        if !installed("swtpm", "swtpm") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let certificate = certificate(folder.path());
        fs::write(path("certificate"), &certificate).expect("room");
        let output = Command::new("sha256sum").arg(path("certificate")).output().expect("sha256sum runs");
        let sha256 = String::from_utf8_lossy(&output.stdout)[..64].to_owned();
        provision(folder.path(), &certificate);
        let (state, control) = (format!("dir={}", path("")), format!("type=unixio,path={}", path("control")));
        let arguments = ["socket", "--tpm2", "--tpmstate", &state, "--ctrl", &control];
        let mut process = Process::start("swtpm", &arguments)?;
        process.ready(|| Path::new(&path("control")).exists().then_some(()));
        Some(Self { sha256, socket: path("control"), _process: process, _folder: folder })
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let line = format!("socket,id=tpm,path={}", self.socket);
        let words =
            ["-chardev", &line, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"];
        words.into_iter().map(str::to_owned).collect()
    }

    /// What the agent should say of its keys.
    pub(crate) fn endorsement(&self) -> Value {
        json!([{"kind": "rsa-2048", "sha256": self.sha256}])
    }
}

/// A certificate, in DER.
fn certificate(folder: &Path) -> Vec<u8> {
    let key = folder.join("key").display().to_string();
    let arguments =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=endorsement", "-days", "9"];
    let output = Command::new("openssl").args(arguments).args(["-outform", "DER", "-keyout", &key]).output();
    output.expect("openssl runs").stdout
}

/// Have a TPM, whose state is in `folder`, keep `certificate`, with something behind it.
fn provision(folder: &Path, certificate: &[u8]) {
    let server = folder.join("server").display().to_string();
    let (state, address) = (format!("dir={}", folder.display()), format!("type=unixio,path={server}"));
    let arguments = [
        "socket",
        "--tpm2",
        "--tpmstate",
        &state,
        "--server",
        &address,
        "--flags",
        "not-need-init,startup-clear",
    ];
    let mut process = Process::start("swtpm", &arguments).expect("installed");
    let mut line = process.ready(|| UnixStream::connect(&server).ok());
    let stored = [certificate, &[0xff; 40]].concat();
    let length = u16::try_from(stored.len()).expect("short");
    let public = [
        &INDEX.to_be_bytes()[..],
        &0x000bu16.to_be_bytes(),
        &ATTRIBUTES.to_be_bytes(),
        &0u16.to_be_bytes(),
        &length.to_be_bytes(),
    ]
    .concat();
    const DEFINE_SPACE: u32 = 0x12a;
    const WRITE: u32 = 0x137;
    const SHUTDOWN: u32 = 0x145;
    let auth = OWNER.to_be_bytes();
    command(&mut line, DEFINE_SPACE, &[&auth, &EMPTY_PASSWORD, &[0, 0], &[0, 14], &public]);
    for (nth, piece) in stored.chunks(PIECE).enumerate() {
        let [length, at] = [piece.len(), nth * PIECE].map(|number| u16::try_from(number).expect("short"));
        let parts: [&[u8]; 6] =
            [&auth, &INDEX.to_be_bytes(), &EMPTY_PASSWORD, &length.to_be_bytes(), piece, &at.to_be_bytes()];
        command(&mut line, WRITE, &parts);
    }
    command(&mut line, SHUTDOWN, &[&[0, 0]]);
}

/// Send a command of the TPM and see it succeed.
fn command(line: &mut UnixStream, code: u32, parts: &[&[u8]]) {
    let body = parts.concat();
    let tag: u16 = if body.len() > 2 { 0x8002 } else { 0x8001 };
    let length = u32::try_from(10 + body.len()).expect("short");
    let sent = [&tag.to_be_bytes()[..], &length.to_be_bytes(), &code.to_be_bytes(), &body].concat();
    line.write_all(&sent).expect("a TPM that listens");
    let mut answer = [0; 4096];
    let length = line.read(&mut answer).expect("an answer");
    assert_eq!(answer[6..10], [0; 4], "command {code:#x}: {:02x?}", &answer[..length]);
}
