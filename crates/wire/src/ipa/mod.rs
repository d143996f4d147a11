//! The deploy agent's own API: commands, their results, steps and what an
//! inspection posts.

mod api;
mod collected;
mod command;
mod dmi;
mod error_class;
mod extra_hardware;
mod image_info;
mod inspection;
mod inventory;
mod step;

pub use api::{Discovery, Fault, Link, MediaType, Status, Version};
pub use collected::{
    Collection, NumaCore, NumaMemory, NumaNic, NumaTopology, PciDevice, Tlv, UsbDevice, lldp_raw, pci_devices,
};
pub use command::{
    CommandError, CommandRequest, CommandResult, CommandStatus, Commands, DeviceProgress, Progress,
};
pub use dmi::Dmi;
pub use error_class::ErrorClass;
pub use extra_hardware::{Row, extra_hardware};
pub use image_info::ImageInfo;
pub use inspection::{Configuration, Inspection, Manager};
pub use inventory::{Boot, Cpu, Disk, Firmware, Interface, Inventory, Memory, SystemVendor};
pub use step::{
    CleanSteps, DeploySteps, NodeView, ServiceSteps, Step, StepArgument, StepCall, StepsByManager,
};
