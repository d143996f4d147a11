//! The port: one enum over the drivers, and the words of power and boot.

use serde_json::{Map, Value};

use crate::{BmcError, ConfigError, Fake, Redfish, Timings};

/// Whether a machine is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// Running, or on its way there; a machine still shutting down is On.
    On,
    /// Off.
    Off,
}

/// What to do to a machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerAction {
    /// Switch on.
    On,
    /// Cut the power.
    ForceOff,
    /// Ask the operating system to shut down.
    GracefulShutdown,
    /// Reset at once; a machine that is off is switched on.
    ForceRestart,
}

/// What to boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// The network.
    Pxe,
    /// The first disk.
    Disk,
}

/// How long a boot device stays chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// For the next boot only.
    Once,
    /// Until changed.
    Continuous,
}

/// Which firmware interface the machine boots with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootMode {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// A server's management controller.
#[derive(Debug)]
pub enum Bmc {
    /// DMTF Redfish over HTTP(S).
    Redfish(Box<Redfish>),
    /// No hardware: a power state in this process.
    Fake(Fake),
}

impl Bmc {
    /// The controller of `node`, from its Ironic `driver` and `driver_info`.
    ///
    /// `redfish`, `redfish_address` (URL), optional `redfish_system_id` (a path, else the
    /// only system), `redfish_username`, `redfish_password`, `redfish_auth_type`
    /// (`auto`, `basic`, `session`) and `redfish_verify_ca` (bool, or a PEM
    /// file). `fake-hardware` reads nothing and keeps its state under `node` for
    /// as long as the process lives. Makes no connection.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key that is missing or wrong, never its secret.
    pub fn for_node(node: &str, driver: &str, driver_info: &Map<String, Value>) -> Result<Bmc, ConfigError> {
        match driver {
            "redfish" => Ok(Bmc::Redfish(Box::new(Redfish::new(driver_info, Timings::default())?))),
            "fake-hardware" => Ok(Bmc::Fake(Fake::of(node))),
            other => Err(ConfigError::UnknownDriver { driver: other.to_owned() }),
        }
    }

    /// [`for_node`](Self::for_node) when there is one node only: all
    /// `fake-hardware` made so shares one power state.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_node(driver: &str, driver_info: &Map<String, Value>) -> Result<Bmc, ConfigError> {
        Self::for_node("", driver, driver_info)
    }

    /// Whether the machine is on.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn power_state(&self) -> Result<PowerState, BmcError> {
        match self {
            Bmc::Redfish(redfish) => redfish.power_state().await,
            Bmc::Fake(fake) => fake.power_state(),
        }
    }

    /// Do `action`. No error when the machine is there already. Returns when the
    /// controller has accepted it; poll [`power_state`](Self::power_state) for the effect.
    ///
    /// # Errors
    /// [`BmcError::Unsupported`] when this controller cannot do it, such as a
    /// graceful shutdown: forcing is the caller's decision.
    pub async fn set_power(&self, action: PowerAction) -> Result<(), BmcError> {
        match self {
            Bmc::Redfish(redfish) => redfish.set_power(action).await,
            Bmc::Fake(fake) => fake.set_power(action),
        }
    }

    /// Choose what the machine boots next. `mode` is left as it is when `None`.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn set_boot(
        &self,
        device: BootDevice,
        persistence: Persistence,
        mode: Option<BootMode>,
    ) -> Result<(), BmcError> {
        match self {
            Bmc::Redfish(redfish) => redfish.set_boot(device, persistence, mode).await,
            Bmc::Fake(fake) => fake.set_boot(device, persistence, mode),
        }
    }

    /// The firmware interface of the next boot; `None` when the controller does not say.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn boot_mode(&self) -> Result<Option<BootMode>, BmcError> {
        match self {
            Bmc::Redfish(redfish) => redfish.boot_mode().await,
            Bmc::Fake(fake) => fake.boot_mode(),
        }
    }
}
