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
pub mod mutate;
mod tables;

/// One parser.
pub struct Target {
    /// Its name, and that of its directory in `corpus/`.
    pub name: &'static str,
    /// Run it once. What became of the input, in words: an error or a success.
    pub run: fn(&[u8]) -> String,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "qcow2", run: images::qcow2 },
    Target { name: "vmdk", run: images::vmdk },
    Target { name: "vhd", run: images::vhd },
    Target { name: "vhdx", run: images::vhdx },
    Target { name: "raw", run: images::raw },
    Target { name: "compressed", run: images::compressed },
    Target { name: "manifest", run: documents::manifest },
    Target { name: "checksum", run: documents::checksum },
    Target { name: "http", run: http::head },
    Target { name: "gpt", run: tables::gpt },
    Target { name: "mbr", run: tables::mbr },
    Target { name: "config-drive", run: tables::config_drive },
];
