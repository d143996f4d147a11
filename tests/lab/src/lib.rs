//! The lab: virtual servers behind Redfish on a wire of their own, for the demo and the tests.
//!
//! ```text
//!  one namespace a run ┌───────────────────────────────────────────────────────────────┐
//!                      │ billetd :6385 ──Redfish──▶ BMC :8001+n ──QMP──▶ QEMU (server n) │
//!                      │    │ 172.22.0.1                                   │ two NICs    │
//!                      │  br0 ═══════ DHCP, TFTP (dnsmasq), HTTP ══════════╧═════ taps   │
//!                      └───────────────────────────────────────────────────────────────┘
//! ```

pub mod billetd;
pub mod console;
pub mod demo;
pub mod evidence;
pub mod image;
pub mod isolation;
pub mod life;
pub mod machine;
pub mod medium;
pub mod network;
mod qmp;
pub mod redfish;
pub mod report;
pub mod selfcheck;
pub mod show;
pub mod spec;
