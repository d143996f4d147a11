//! The duties of PID 1: mounts, drivers, clock, children, power, and a loud end
//! when something fatal happens. Nothing here knows Ironic or the network.

pub mod modules;
