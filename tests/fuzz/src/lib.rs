//! Every parser of bytes from outside, each as one function of `&[u8]`.
//!
//! seeds ─▶ [`mutate`] ─▶ [`Target::run`] ─▶ outcome, which is new or not
//!
//! `tests/survive.rs` runs them for seconds with every `cargo test`; the same
//! functions are what `fuzz_target!` of cargo-fuzz wants. A target panics when
//! an invariant is broken, and otherwise tells what became of the input, so
//! that inputs that get somewhere new are mutated further.

mod checksums;
pub mod corpus;
mod documents;
mod http;
mod images;
mod machines;
pub mod mutate;
mod superblocks;
mod tables;
mod told;

/// One parser.
pub struct Target {
    /// Its name, and that of its directory in `corpus/`.
    pub name: &'static str,
    /// Run it once. What became of the input, in words: an error or a success.
    pub run: fn(&[u8]) -> String,
    /// What it may allocate at once, in bytes, besides four times its input.
    pub memory: usize,
}

/// What the pipeline may allocate (64 MiB whatever the image), and what a
/// target itself holds: the disk twice, and copies of the input.
const PIPELINE: usize = (64 + 24) << 20;
/// What looking at a machine may allocate.
const MACHINE: usize = 16 << 20;
/// What reading one thing may allocate.
const SMALL: usize = 4 << 20;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "qcow2", run: images::qcow2, memory: PIPELINE },
    Target { name: "vmdk", run: images::vmdk, memory: PIPELINE },
    Target { name: "vhd", run: images::vhd, memory: PIPELINE },
    Target { name: "vhdx", run: images::vhdx, memory: PIPELINE },
    Target { name: "raw", run: images::raw, memory: PIPELINE },
    Target { name: "compressed", run: images::compressed, memory: PIPELINE },
    Target { name: "manifest", run: documents::manifest, memory: PIPELINE },
    Target { name: "checksum", run: documents::checksum, memory: PIPELINE },
    Target { name: "http", run: http::head, memory: PIPELINE },
    Target { name: "gpt", run: tables::gpt, memory: PIPELINE },
    Target { name: "mbr", run: tables::mbr, memory: PIPELINE },
    Target { name: "config-drive", run: tables::config_drive, memory: PIPELINE },
    Target { name: "signatures", run: superblocks::signatures, memory: MACHINE },
    Target { name: "recording", run: machines::recording, memory: MACHINE },
    Target { name: "record", run: machines::recorded, memory: MACHINE },
    Target { name: "archive", run: machines::archive, memory: MACHINE },
    Target { name: "smbios", run: machines::table, memory: SMALL },
    Target { name: "lldp", run: machines::frame, memory: SMALL },
    Target { name: "command-line", run: told::command_line, memory: SMALL },
    Target { name: "command", run: told::command, memory: SMALL },
];
