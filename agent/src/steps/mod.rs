//! What this agent can do: one row a command, one row a step.
//!
//! A conductor asks for the list of steps of a phase ([`table`]), then orders
//! them one by one ([`execute`]); everything else is a command of its own.

mod bootloader;
mod checksum;
mod download;
mod erase;
mod execute;
mod logs;
mod machine;
mod nvram;
mod pattern;
mod pstore;
mod standby;
mod table;
mod volume;
mod write_image;

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod tests;

pub(crate) use machine::{Ending, Machine, Settings, lent, view};
pub(crate) use table::MANAGER_VERSION;

use crate::command::{Command, Mode, anything};

/// Every command.
pub(crate) const COMMANDS: &[Command<Machine>] = &[
    Command {
        extension: "clean",
        name: "get_clean_steps",
        mode: Mode::Sync,
        validate: anything,
        run: execute::get_clean,
    },
    Command {
        extension: "clean",
        name: "execute_clean_step",
        mode: Mode::Async,
        validate: anything,
        run: execute::clean,
    },
    Command {
        extension: "deploy",
        name: "get_deploy_steps",
        mode: Mode::Sync,
        validate: anything,
        run: execute::get_deploy,
    },
    Command {
        extension: "deploy",
        name: "execute_deploy_step",
        mode: Mode::Async,
        validate: anything,
        run: execute::deploy,
    },
    Command {
        extension: "service",
        name: "get_service_steps",
        mode: Mode::Sync,
        validate: anything,
        run: execute::get_service,
    },
    Command {
        extension: "service",
        name: "execute_service_step",
        mode: Mode::Async,
        validate: anything,
        run: execute::service,
    },
    Command {
        extension: "standby",
        name: "prepare_image",
        mode: Mode::Async,
        validate: write_image::validate,
        run: write_image::prepare_image,
    },
    Command {
        extension: "standby",
        name: "get_partition_uuids",
        mode: Mode::Sync,
        validate: anything,
        run: standby::get_partition_uuids,
    },
    Command { extension: "standby", name: "sync", mode: Mode::Sync, validate: anything, run: standby::sync },
    Command {
        extension: "standby",
        name: "power_off",
        mode: Mode::Async,
        validate: anything,
        run: standby::power_off,
    },
    Command {
        extension: "standby",
        name: "run_image",
        mode: Mode::Async,
        validate: anything,
        run: standby::run_image,
    },
    Command {
        extension: "image",
        name: "install_bootloader",
        mode: Mode::Async,
        validate: anything,
        run: bootloader::install,
    },
    Command {
        extension: "log",
        name: "collect_system_logs",
        mode: Mode::Sync,
        validate: anything,
        run: logs::collect_system_logs,
    },
    Command {
        extension: "poll",
        name: "get_hardware_info",
        mode: Mode::Sync,
        validate: anything,
        run: logs::get_hardware_info,
    },
];
