//! The deploy agent's own API: commands, their results, steps and what an
//! inspection posts.

mod api;
mod command;
mod error_class;
mod image_info;
mod inspection;
mod inventory;
mod step;

pub use api::{Discovery, Fault, Link, MediaType, Status, Version};
pub use command::{
    CommandError, CommandRequest, CommandResult, CommandStatus, Commands, DeviceProgress, Progress,
};
pub use error_class::ErrorClass;
pub use image_info::ImageInfo;
pub use inspection::{Collection, Configuration, Inspection, Manager};
pub use inventory::{Boot, Cpu, Disk, Firmware, Interface, Inventory, Memory, SystemVendor};
pub use step::{
    CleanSteps, DeploySteps, NodeView, ServiceSteps, Step, StepArgument, StepCall, StepsByManager,
};
