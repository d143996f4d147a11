//! A controller without hardware, for tests and for `fake-hardware` nodes.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use crate::{BmcError, BootDevice, BootMode, Persistence, PowerAction, PowerState};

/// One thing that was asked of a [`Fake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `set_power`.
    Power(PowerAction),
    /// `set_boot`.
    Boot(BootDevice, Persistence, Option<BootMode>),
}

#[derive(Debug)]
struct State {
    power: PowerState,
    mode: Option<BootMode>,
    calls: Vec<Call>,
}

/// How many calls a fake remembers; older ones are forgotten.
const CALLS_LIMIT: usize = 1024;

/// All fakes of this process. A `Bmc` is made anew for every use, as a real one
/// would be; the "hardware" behind it has to stay, so it lives here.
static HARDWARE: LazyLock<Mutex<BTreeMap<String, Arc<Mutex<State>>>>> = LazyLock::new(Mutex::default);

/// A machine that is only a power state and a list of what was asked of it.
#[derive(Clone, Debug)]
pub struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// The fake machine of `node`: off at first, the same one at every call.
    #[must_use]
    pub fn of(node: &str) -> Self {
        let mut hardware = HARDWARE.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(State { power: PowerState::Off, mode: None, calls: Vec::new() }));
        Self(Arc::clone(hardware.entry(node.to_owned()).or_insert_with(new)))
    }

    /// What was asked so far, oldest first; reading power is not recorded.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.with(|state| state.calls.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, call: Call, change: impl FnOnce(&mut State)) {
        self.with(|state| {
            if state.calls.len() == CALLS_LIMIT {
                state.calls.remove(0);
            }
            state.calls.push(call);
            change(state);
        });
    }

    #[expect(clippy::unnecessary_wraps, reason = "one shape for every driver")]
    pub(crate) fn power_state(&self) -> Result<PowerState, BmcError> {
        Ok(self.with(|state| state.power))
    }

    #[expect(clippy::unnecessary_wraps, reason = "one shape for every driver")]
    pub(crate) fn set_power(&self, action: PowerAction) -> Result<(), BmcError> {
        self.record(Call::Power(action), |state| {
            state.power = match action {
                PowerAction::On | PowerAction::ForceRestart => PowerState::On,
                PowerAction::ForceOff | PowerAction::GracefulShutdown => PowerState::Off,
            };
        });
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "one shape for every driver")]
    pub(crate) fn set_boot(
        &self,
        device: BootDevice,
        persistence: Persistence,
        mode: Option<BootMode>,
    ) -> Result<(), BmcError> {
        self.record(Call::Boot(device, persistence, mode), |state| state.mode = mode.or(state.mode));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "one shape for every driver")]
    pub(crate) fn boot_mode(&self) -> Result<Option<BootMode>, BmcError> {
        Ok(self.with(|state| state.mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bmc;

    #[tokio::test]
    async fn a_fake_keeps_its_state_between_uses_and_apart_from_others() {
        let bmc =
            |node| Bmc::for_node(node, "fake-hardware", &serde_json::Map::new()).expect("no settings needed");
        bmc("a").set_boot(BootDevice::Pxe, Persistence::Once, Some(BootMode::Uefi)).await.expect("fake");
        bmc("a").set_power(PowerAction::On).await.expect("fake");
        assert_eq!(bmc("a").power_state().await.expect("fake"), PowerState::On);
        assert_eq!(bmc("a").boot_mode().await.expect("fake"), Some(BootMode::Uefi));
        assert_eq!(bmc("b").power_state().await.expect("fake"), PowerState::Off);
        assert_eq!(
            Fake::of("a").calls(),
            [
                Call::Boot(BootDevice::Pxe, Persistence::Once, Some(BootMode::Uefi)),
                Call::Power(PowerAction::On)
            ]
        );
    }
}
