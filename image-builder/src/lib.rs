//! Builds what machines boot: the ramdisk with the agent, a small test system, a Debian.
//!
//! ```text
//! package ─▶ kernel ─▶ selection ─▶ drivers ─▶ ramdisk      (billet-image ramdisk)
//!               └────────────────────▶ os ─┐
//! any image ─▶ manifest, packed                              (billet-image manifest)
//! mmdebstrap ───────────────────▶ debian ──┴▶ whole_disk ─▶ formats   (billet-image os, debian)
//! ```

pub mod archive;
pub mod compress;
pub mod debian;
pub mod digest;
pub mod drivers;
pub mod formats;
pub mod grub;
pub mod kernel;
pub mod manifest;
pub mod modinfo;
pub mod os;
pub mod package;
pub mod place;
pub mod program;
pub mod ramdisk;
pub mod selection;
pub mod skeleton;
pub mod table;
pub mod whole_disk;
