//! Redfish, as DMTF DSP0266 has it: find the system, read it, act on it.

mod client;
mod resource;
mod system;

use std::{sync::OnceLock, time::Duration};

use serde_json::{Map, Value, json};

use self::{
    client::{Client, Visit},
    system::System,
};
use crate::{
    BmcError, BootDevice, BootMode, ConfigError, Persistence, PowerAction, PowerState, config::Settings,
};

/// How patient the client is. The default suits real controllers, which are slow.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// To open a connection.
    pub connect: Duration,
    /// For one request and its answer.
    pub request: Duration,
    /// Before the second try; doubled before each further one.
    pub backoff: Duration,
    /// Tries of a request that is safe to repeat.
    pub tries: u32,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(60),
            backoff: Duration::from_millis(500),
            tries: 3,
        }
    }
}

/// A Redfish service and the one system in it that is meant.
#[derive(Debug)]
pub struct Redfish {
    client: Client,
    system: OnceLock<String>,
}

impl Redfish {
    /// From a node's `driver_info`. Makes no connection.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key.
    pub fn new(driver_info: &Map<String, Value>, timings: Timings) -> Result<Self, ConfigError> {
        let settings = Settings::parse(driver_info)?;
        let system = OnceLock::new();
        if let Some(path) = &settings.system {
            let path = path.trim_end_matches('/').to_owned();
            system.set(path).expect("INVARIANT: the cell was made empty two lines above");
        }
        Ok(Self { client: Client::new(settings, timings)?, system })
    }

    /// Whether the system is on.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn power_state(&self) -> Result<PowerState, BmcError> {
        let mut visit = self.client.visit().await?;
        let answer = self.read(&mut visit).await.and_then(|system| system.power());
        visit.leave().await;
        answer
    }

    /// Do `action`; nothing when the system is there already.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn set_power(&self, action: PowerAction) -> Result<(), BmcError> {
        let mut visit = self.client.visit().await?;
        let answer = self.reset(&mut visit, action).await;
        visit.leave().await;
        answer
    }

    /// Override the next boot.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn set_boot(
        &self,
        device: BootDevice,
        persistence: Persistence,
        mode: Option<BootMode>,
    ) -> Result<(), BmcError> {
        let mut visit = self.client.visit().await?;
        let answer = self.override_boot(&mut visit, device, persistence, mode).await;
        visit.leave().await;
        answer
    }

    /// The firmware interface, when the service tells.
    ///
    /// # Errors
    /// [`BmcError`].
    pub async fn boot_mode(&self) -> Result<Option<BootMode>, BmcError> {
        let mut visit = self.client.visit().await?;
        let answer = self.read(&mut visit).await.map(|system| system.boot_mode());
        visit.leave().await;
        answer
    }

    async fn read(&self, visit: &mut Visit<'_>) -> Result<System, BmcError> {
        let path = match self.system.get() {
            Some(path) => path.clone(),
            None => {
                let found = system::find(visit).await?;
                self.system.get_or_init(|| found).clone()
            }
        };
        System::read(visit, &path).await
    }

    async fn reset(&self, visit: &mut Visit<'_>, action: PowerAction) -> Result<(), BmcError> {
        let system = self.read(visit).await?;
        let Some(wanted) = system.resets_for(action) else { return Ok(()) };
        let reset = system.reset_action(visit).await?;
        let kind = reset.choose(wanted)?;
        visit.post(&reset.target, &json!({ "ResetType": kind })).await
    }

    async fn override_boot(
        &self,
        visit: &mut Visit<'_>,
        device: BootDevice,
        persistence: Persistence,
        mode: Option<BootMode>,
    ) -> Result<(), BmcError> {
        let system = self.read(visit).await?;
        let body = system.boot_patch(device, persistence, mode)?;
        match visit.patch(&system.path, system.etag.as_deref(), &body).await {
            // Somebody changed the resource between our read and our write: look again, once.
            Err(BmcError::Refused { status: 412, .. }) => {
                let system = self.read(visit).await?;
                let body = system.boot_patch(device, persistence, mode)?;
                visit.patch(&system.path, system.etag.as_deref(), &body).await
            }
            other => other,
        }
    }
}
