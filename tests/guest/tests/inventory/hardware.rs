//! What QEMU is told, twice: as its arguments, and as what the agent must find.

use std::fmt::Write as _;

use guest::machine::Machine;
use tempfile::NamedTempFile;

/// A disk that a guest has.
pub(crate) struct Disk {
    pub(crate) serial: String,
    pub(crate) mib: u64,
    /// udev's `ID_WWN`, where QEMU gives it one.
    pub(crate) wwn: Option<String>,
    pub(crate) transport: Option<&'static str>,
}

/// A network card that a guest has.
pub(crate) struct Nic {
    pub(crate) mac: String,
    pub(crate) driver: &'static str,
}

/// The hardware of one guest.
#[derive(Default)]
pub(crate) struct Hardware {
    pub(crate) arguments: Vec<String>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) nics: Vec<Nic>,
    /// Sockets, cores in each, threads in each of those.
    pub(crate) processors: Option<(u32, u32, u32)>,
    pub(crate) memory_mib: u32,
    pub(crate) files: Vec<NamedTempFile>,
}

impl Hardware {
    /// Arguments as one writes them in a shell.
    pub(crate) fn qemu(&mut self, arguments: &str) -> &mut Self {
        self.arguments.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// So many sockets, cores in each, and threads in each core.
    pub(crate) fn processors(&mut self, sockets: u32, cores: u32, threads: u32) -> &mut Self {
        self.processors = Some((sockets, cores, threads));
        self.qemu(&format!("-smp sockets={sockets},cores={cores},threads={threads}"))
    }

    /// An empty file of `mib` MiB that QEMU has open as `n-node`.
    pub(crate) fn file(&mut self, node: &str, mib: u64) -> &mut Self {
        let file = NamedTempFile::new().expect("a temporary file");
        file.as_file().set_len(mib << 20).expect("a file system with holes");
        let path = file.path().display().to_string();
        self.files.push(file);
        self.qemu(&format!("-blockdev driver=raw,node-name=n-{node},file.driver=file,file.filename={path}"))
    }

    /// A disk: `device` is QEMU's, and what it is told in QEMU's words.
    pub(crate) fn disk(
        &mut self,
        serial: &str,
        mib: u64,
        transport: &'static str,
        device: &str,
    ) -> &mut Self {
        self.file(serial, mib);
        self.told(serial, mib, transport, device)
    }

    /// A disk of the file that is open as `n-node`.
    pub(crate) fn told(&mut self, node: &str, mib: u64, transport: &'static str, device: &str) -> &mut Self {
        let wwn = device.split(',').find_map(|option| option.strip_prefix("wwn=")).map(str::to_owned);
        let transport = Some(transport).filter(|transport| !transport.is_empty());
        self.disks.push(Disk { serial: node.to_owned(), mib, wwn, transport });
        self.qemu(&format!("-device {device},drive=n-{node},serial={node}"))
    }

    /// A network card that leads nowhere.
    pub(crate) fn nic(&mut self, device: &str, driver: &'static str) -> &mut Self {
        let nth = self.nics.len();
        self.qemu(&format!("-netdev hubport,id=net{nth},hubid={nth}"));
        self.nic_on(&format!("net{nth}"), device, driver)
    }

    /// A network card on `netdev`.
    pub(crate) fn nic_on(&mut self, netdev: &str, device: &str, driver: &'static str) -> &mut Self {
        let mut mac = String::from("52:54:00:b1:1e");
        write!(mac, ":{:02x}", self.nics.len() + 1).expect("a String takes everything");
        self.qemu(&format!("-device {device},netdev={netdev},mac={mac},romfile="));
        self.nics.push(Nic { mac, driver });
        self
    }

    /// A machine with this hardware.
    pub(crate) fn machine(&self) -> Machine {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let counts = format!("guest-disks={} guest-nics={}", self.disks.len(), self.nics.len());
        Machine::new().memory_mib(self.memory_mib).arguments(&arguments).parameters(&counts)
    }
}
