//! Guests for tests: Debian's kernel with a program of ours as PID 1 in QEMU, and drives that misbehave.
//!
//! ```text
//!  test ──▶ Boot (kernel, initramfs with erase-guest) ──▶ Machine ──▶ Guest (QEMU)
//!                      Drive (a file full of secrets) ────┘             │ erase-guest: rows
//!  test ◀── Drive::survivors() ◀── rows, marks (JSON on ttyS1) ◀────────┘
//! ```
//!
//! A row is one named test inside the guest, with the kernel's real ioctls. The
//! test on the host chooses rows, attaches drives, and reads every byte of each
//! drive's file when the guest is off.

pub mod boot;
pub mod debian;
pub mod drive;
pub mod inside;
pub mod machine;
pub mod modules;
mod place;
pub mod programs;
pub mod qmp;
pub mod report;
pub mod secret;
