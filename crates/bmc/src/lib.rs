//! The management controller of a server: power, and what it boots next.
//!
//! ```text
//! driver + driver_info ──Bmc::for_node()──▶ Bmc ──power_state / set_power / set_boot / boot_mode──▶ answer
//!                                   └─▶ ConfigError                                        └─▶ BmcError
//! ```
//!
//! Every call is bounded in time and in tries, and says at its end what the
//! controller answered. No call waits for a machine to reach a power state: the
//! caller polls, because only it knows how long it is willing to wait.

mod bmc;
mod config;
mod error;
mod fake;
mod redfish;

pub use bmc::{Bmc, BootDevice, BootMode, Persistence, PowerAction, PowerState};
pub use config::ConfigError;
pub use error::BmcError;
pub use fake::{Call, Fake};
pub use redfish::{Redfish, Timings};
