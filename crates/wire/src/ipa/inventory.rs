//! The inventory as an agent posts it and Ironic stores it. Keys stand in the
//! order Ironic's agent sends them; a value nobody knows is null, never missing
//! (but `bmc_mac`, which Ironic's agent leaves out).

use model::inventory as facts;
use serde::{Deserialize, Serialize};

/// What a machine is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// Processors.
    pub cpu: Cpu,
    /// Disks an image may be written to.
    pub disks: Vec<Disk>,
    /// Memory.
    pub memory: Memory,
    /// IPv4 address of the BMC; `0.0.0.0` when there is a BMC without one.
    pub bmc_address: Option<String>,
    /// IPv6 address of the BMC; `::/0` when there is a BMC without one.
    pub bmc_v6address: Option<String>,
    /// MAC of the BMC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc_mac: Option<String>,
    /// Who made the machine.
    pub system_vendor: SystemVendor,
    /// How it booted.
    pub boot: Boot,
    /// Its host name.
    pub hostname: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Kernel name.
    pub name: String,
    /// Permanent MAC.
    pub mac_address: String,
    /// First IPv4 address.
    pub ipv4_address: Option<String>,
    /// First IPv6 address, perhaps with `%scope`.
    pub ipv6_address: Option<String>,
    /// Whether a live cable is plugged in.
    pub has_carrier: bool,
    /// TLVs of the neighbour: type and hex.
    pub lldp: Option<Vec<(u8, String)>>,
    /// `0x8086`.
    pub vendor: Option<String>,
    /// `0x1533`.
    pub product: Option<String>,
    /// DHCP client id of an InfiniBand interface.
    pub client_id: Option<String>,
    /// The name the BIOS gives it.
    pub biosdevname: Option<String>,
    /// Mbit/s.
    pub speed_mbps: Option<u32>,
    /// The kernel's name of the device below it; a PCI address on real hardware.
    pub pci_address: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
}

/// The processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Marketing name.
    pub model_name: Option<String>,
    /// MHz, as text: `3000.0000`; empty when unknown.
    pub frequency: String,
    /// Logical processors.
    pub count: u32,
    /// `x86_64`.
    pub architecture: Option<String>,
    /// Feature flags.
    pub flags: Vec<String>,
    /// Sockets.
    pub socket_count: u32,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Device node: `/dev/sda`.
    pub name: String,
    /// Its model.
    pub model: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Whether it spins.
    pub rotational: bool,
    /// World wide name, all of it.
    pub wwn: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Its vendor.
    pub vendor: Option<String>,
    /// World wide name, all of it.
    pub wwn_with_extension: Option<String>,
    /// The second half of a long world wide name.
    pub wwn_vendor_extension: Option<String>,
    /// SCSI address: `0:0:0:0`.
    pub hctl: Option<String>,
    /// Link below `/dev/disk/by-path`.
    pub by_path: Option<String>,
    /// Bytes of a logical block.
    pub logical_sectors: u32,
    /// Bytes of a physical block.
    pub physical_sectors: u32,
    /// How it is attached: `sata`.
    pub tran: Option<String>,
}

/// The memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes the kernel can use.
    pub total: Option<u64>,
    /// MiB plugged in.
    pub physical_mb: Option<u64>,
}

/// Who made the machine; empty where unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemVendor {
    /// Product.
    pub product_name: String,
    /// Serial number.
    pub serial_number: String,
    /// Maker.
    pub manufacturer: String,
    /// BIOS or UEFI.
    pub firmware: Firmware,
}

/// The BIOS or UEFI; empty where unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// Maker.
    pub vendor: String,
    /// Version.
    pub version: String,
    /// Date.
    pub build_date: String,
}

/// How the machine booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// `bios` or `uefi`.
    pub current_boot_mode: facts::BootMode,
    /// `BOOTIF` as given.
    pub pxe_interface: Option<String>,
}

impl From<&facts::Inventory> for Inventory {
    fn from(found: &facts::Inventory) -> Self {
        let bmc = found.bmc.as_ref();
        Self {
            interfaces: found.nics.iter().map(Interface::from).collect(),
            cpu: Cpu::from(&found.cpu),
            disks: found.disks.iter().map(Disk::from).collect(),
            memory: Memory::from(&found.memory),
            bmc_address: bmc.map(|bmc| bmc.ipv4.map_or("0.0.0.0".to_owned(), |v4| v4.to_string())),
            bmc_v6address: bmc.map(|bmc| bmc.ipv6.map_or("::/0".to_owned(), |v6| v6.to_string())),
            bmc_mac: bmc.and_then(|bmc| bmc.mac).map(|mac| mac.to_string()),
            system_vendor: SystemVendor::from(&found.system_vendor),
            boot: Boot { current_boot_mode: found.boot.mode, pxe_interface: found.boot.interface.clone() },
            hostname: found.hostname.clone(),
        }
    }
}

impl From<&facts::Nic> for Interface {
    fn from(nic: &facts::Nic) -> Self {
        Self {
            name: nic.name.clone(),
            mac_address: nic.mac.to_string(),
            ipv4_address: nic.ipv4.map(|v4| v4.to_string()),
            ipv6_address: nic.ipv6.clone(),
            has_carrier: nic.has_carrier,
            lldp: super::collected::tlvs(nic),
            vendor: nic.ids.as_ref().map(|ids| ids.vendor.clone()),
            product: nic.ids.as_ref().map(|ids| ids.product.clone()),
            client_id: nic.client_id.clone(),
            biosdevname: nic.biosdevname.clone(),
            // As Ironic's agent: what it can do goes before what it does just now.
            speed_mbps: nic.maximum_speed_mbps.or(nic.speed_mbps),
            pci_address: nic.device.clone(),
            driver: nic.driver.clone(),
        }
    }
}

impl From<&facts::Cpu> for Cpu {
    fn from(cpu: &facts::Cpu) -> Self {
        Self {
            model_name: cpu.model_name.clone(),
            frequency: cpu.frequency.map(|frequency| frequency.to_string()).unwrap_or_default(),
            count: cpu.threads,
            architecture: cpu.architecture.clone(),
            flags: cpu.flags.clone(),
            socket_count: cpu.sockets,
        }
    }
}

impl From<&facts::Disk> for Disk {
    fn from(disk: &facts::Disk) -> Self {
        let wwn = disk.wwn.as_ref();
        let with_extension = wwn.and_then(|wwn| wwn.with_extension.clone());
        Self {
            name: disk.path(),
            model: disk.model.clone(),
            size: disk.size.0,
            rotational: disk.rotational,
            // As lsblk, which Ironic's agent asks: the long form when there is one.
            wwn: with_extension.clone().or_else(|| wwn.map(|wwn| wwn.id.clone())),
            serial: disk.serial.clone(),
            vendor: disk.vendor.clone(),
            wwn_with_extension: with_extension,
            wwn_vendor_extension: wwn.and_then(|wwn| wwn.vendor_extension.clone()),
            hctl: disk.hctl.clone(),
            by_path: disk.by_path.clone(),
            logical_sectors: disk.logical_block.into(),
            physical_sectors: disk.physical_block.into(),
            tran: disk.transport.map(|transport| transport.as_str().to_owned()),
        }
    }
}

impl From<&facts::Memory> for Memory {
    fn from(memory: &facts::Memory) -> Self {
        Self {
            total: memory.total.map(|total| total.0),
            physical_mb: memory.physical.map(|physical| physical.0 >> 20),
        }
    }
}

impl From<&facts::SystemVendor> for SystemVendor {
    fn from(vendor: &facts::SystemVendor) -> Self {
        let known = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            product_name: known(&vendor.product_name),
            serial_number: known(&vendor.serial_number),
            manufacturer: known(&vendor.manufacturer),
            firmware: Firmware {
                vendor: known(&vendor.firmware.vendor),
                version: known(&vendor.firmware.version),
                build_date: known(&vendor.firmware.build_date),
            },
        }
    }
}
