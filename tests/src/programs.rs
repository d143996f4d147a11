//! `billetd` and `billet-agent` as processes, ended when dropped.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lab::billetd::{Api, Node};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything here may take; a hang is longer.
const LIMIT: Duration = Duration::from_secs(240);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Short waits, so that an image server that is gone is given up in a moment.
const AGENT_PARAMETERS: &str =
    "ipa-image-download-connection-retries=2 ipa-image-download-connection-retry-interval=1";

/// A program of ours: `dist/` has what `make dist` built; `BILLET_DIST` may name
/// another folder, for work on one program.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    let path = std::env::var_os("BILLET_DIST").map_or(dist, PathBuf::from).join(name);
    assert!(path.is_file(), "{} is missing: run `make dist` first", path.display());
    path
}

/// A process, killed when dropped, with what it said.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|err| panic!("{command:?}: {err}"));
        Self { child, log }
    }

    /// Everything it said so far.
    ///
    /// # Panics
    /// When its log is gone.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned()
    }

    /// Wait until it has said `text`.
    ///
    /// # Panics
    /// When it does not within the limit.
    pub fn wait_to_say(&self, text: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.said().contains(text) {
            assert!(Instant::now() < deadline, "nobody said {text:?}:\n{}", self.said());
            std::thread::sleep(POLL);
        }
    }

    /// Kill it, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A control plane with a node for this machine, whose BMC is a fake.
pub struct House {
    /// Its API.
    pub api: Api,
    /// Where it serves.
    pub url: String,
    /// `billetd` itself.
    pub billetd: Process,
    port: u16,
    dir: TempDir,
    cleans: &'static str,
}

impl House {
    /// Start `billetd` on a free port with an empty database.
    ///
    /// # Panics
    /// When it does not serve.
    pub async fn open() -> Self {
        Self::open_cleaning("metadata").await
    }

    /// As [`Self::open`], with a `billetd` that cleans `what`: `metadata` or `full`.
    ///
    /// # Panics
    /// As [`Self::open`].
    pub async fn open_cleaning(what: &'static str) -> Self {
        let port = free_port();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let url = format!("http://127.0.0.1:{port}");
        let billetd = Self::start(port, &dir, what);
        let api = Api::new(&url).expect("a client");
        let house = Self { api, url, billetd, port, dir, cleans: what };
        house.serves().await;
        house
    }

    fn start(port: u16, dir: &TempDir, cleans: &str) -> Process {
        let mut command = Command::new(program("billetd"));
        command
            .args([
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--clean-steps",
                cleans,
                "--heartbeat-timeout",
                "5",
            ])
            .arg("--database")
            .arg(dir.path().join("billet.sqlite"));
        Process::start(command, dir.path().join("billetd.log"))
    }

    async fn serves(&self) {
        let deadline = Instant::now() + LIMIT;
        while self.api.get("/v1").await.is_err() {
            assert!(Instant::now() < deadline, "billetd does not serve:\n{}", self.billetd.said());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Start `billetd` again on the same database, after it was killed.
    ///
    /// # Panics
    /// When it does not serve.
    pub async fn reopen(&mut self) {
        self.billetd = Self::start(self.port, &self.dir, self.cleans);
        self.serves().await;
    }

    /// Enroll this machine: a node, and a port with the MAC of its first NIC.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn enroll(&self) -> String {
        let node = json!({"name": "this-machine", "driver": "fake-hardware"});
        let node = self.api.call(reqwest::Method::POST, "/v1/nodes", Some(&node)).await.expect("a node");
        let id = node["uuid"].as_str().expect("a uuid").to_owned();
        let port = json!({"node_uuid": id, "address": first_mac()});
        self.api.call(reqwest::Method::POST, "/v1/ports", Some(&port)).await.expect("a port");
        id
    }

    /// Start a virtual server with `memory_mib` of memory that boots our ramdisk
    /// and has this machine's MAC and the disk that `blockdev` is (QEMU's JSON,
    /// node `disk`). It sees this machine at 10.0.2.2, and its disk as `/dev/vda`.
    ///
    /// # Panics
    /// When QEMU does not start.
    #[must_use]
    pub fn guest(&self, name: &str, memory_mib: u32, blockdev: &[Value]) -> Process {
        self.guest_with(name, memory_mib, blockdev, &[])
    }

    /// As [`Self::guest`], with these arguments of QEMU before the others.
    ///
    /// # Panics
    /// As [`Self::guest`].
    #[must_use]
    pub fn guest_with(&self, name: &str, memory_mib: u32, blockdev: &[Value], more: &[&str]) -> Process {
        let ramdisk = program("ramdisk-vm/vmlinuz").with_file_name("");
        let agent = free_port();
        let parameters = format!(
            "console=ttyS0 ipa-api-url=http://10.0.2.2:{} ipa-advertise-host=127.0.0.1 \
             ipa-advertise-port={agent} {AGENT_PARAMETERS}",
            self.port
        );
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(more)
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"])
            .args(["-machine", "q35,accel=tcg,graphics=off", "-cpu", "max,la57=off"])
            .args(["-m", &memory_mib.to_string(), "-append", &parameters, "-kernel"])
            .arg(ramdisk.join("vmlinuz"))
            .arg("-initrd")
            .arg(ramdisk.join("initramfs"))
            .args(["-netdev", &format!("user,id=net,hostfwd=tcp:127.0.0.1:{agent}-:9999")])
            .args(["-device", &format!("virtio-net-pci,netdev=net,romfile=,mac={}", first_mac())])
            .args(["-device", "virtio-blk-pci,drive=disk,rerror=report,werror=report"]);
        for node in blockdev {
            command.args(["-blockdev", &node.to_string()]);
        }
        Process::start(command, self.dir.path().join(format!("{name}.log")))
    }

    /// Start an agent that sees `disk` and nothing else.
    #[must_use]
    pub fn agent(&self, name: &str, disk: &Path) -> Process {
        let mut command = Command::new(program("billet-agent"));
        command
            .args(["run", "--api-url", &self.url, "--listen", "127.0.0.1:0", "--advertise-host", "127.0.0.1"])
            .args(["--kernel-params", AGENT_PARAMETERS, "--only-disk"])
            .arg(disk);
        Process::start(command, self.dir.path().join(format!("{name}.log")))
    }

    /// Ask for `verb`, and wait until the node has come to `state`.
    ///
    /// # Panics
    /// When it ends elsewhere.
    pub async fn provision(&self, id: &str, verb: &str, state: &str) -> Node {
        let before = self.api.node(id).await.expect("the node");
        self.api.provision(id, verb, json!({})).await.unwrap_or_else(|err| panic!("{verb}: {err:#}"));
        self.wait_since(&before, id, state).await
    }

    /// Wait until the node has come to `state` since it was as `before`.
    ///
    /// # Panics
    /// When it does not within the limit.
    pub async fn wait_since(&self, before: &Node, id: &str, state: &str) -> Node {
        let deadline = Instant::now() + LIMIT;
        loop {
            let node = self.api.node(id).await.expect("the node");
            let moved = node.text("/provision_updated_at") != before.text("/provision_updated_at");
            if moved && node.state() == state {
                return node;
            }
            assert!(
                Instant::now() < deadline,
                "the node is {:?}, want {state:?}; last_error: {:?}\n{}",
                node.state(),
                node.text("/last_error"),
                self.billetd.said()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// From enrolled to `available`, with an agent that cleans `disk`.
    ///
    /// # Panics
    /// When it ends elsewhere.
    pub async fn make_available(&self, id: &str, disk: &Path) {
        self.provision(id, "manage", "manageable").await;
        let before = self.provision(id, "provide", "clean wait").await;
        let _agent = self.agent("cleaning", disk);
        self.wait_since(&before, id, "available").await;
    }

    /// Name the image of the next deployment, and the disk it is for.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn image(&self, id: &str, url: &str, sha256: &str, disk: &Path) {
        let set = |path: &str, value: &str| json!({"op": "add", "path": format!("/instance_info/{path}"), "value": value});
        // Disks of these tests are smaller than what Ironic's default rule takes.
        let hint = json!({"op": "add", "path": "/instance_info/root_device", "value": {"name": disk}});
        let patch = json!([
            set("image_source", url),
            set("image_os_hash_algo", "sha256"),
            set("image_os_hash_value", sha256),
            hint
        ]);
        self.api
            .call(reqwest::Method::PATCH, &format!("/v1/nodes/{id}"), Some(&patch))
            .await
            .expect("instance_info");
    }

    /// Deploy with an agent that sees `disk`, and wait until the node has come to `state`.
    ///
    /// # Panics
    /// When it ends elsewhere.
    pub async fn deploy(&self, id: &str, disk: &Path, state: &str) -> Node {
        let before = self.provision(id, "active", "wait call-back").await;
        let _agent = self.agent("deploying", disk);
        self.wait_since(&before, id, state).await
    }
}

/// The disk of a [`House::guest`] in the file at `path`.
#[must_use]
pub fn raw_disk(path: &Path) -> Value {
    json!({"driver": "raw", "node-name": "disk", "file": {"driver": "file", "filename": path}})
}

/// A URL of this machine as a [`House::guest`] sees it.
#[must_use]
pub fn seen_by_guest(url: &str) -> String {
    url.replace("127.0.0.1", "10.0.2.2")
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// The MAC address by which the agent will ask who it is.
///
/// # Panics
/// When this machine has no NIC that the inventory tells of.
#[must_use]
pub fn first_mac() -> String {
    let output = Command::new(program("billet-agent"))
        .args(["inventory", "--format", "ironic"])
        .output()
        .expect("billet-agent runs");
    let inventory: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mac = &inventory["interfaces"][0]["mac_address"];
    mac.as_str().unwrap_or_else(|| panic!("no NIC in {inventory:#}")).to_owned()
}
