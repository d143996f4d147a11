//! The ComputerSystem resource: what it says, and what may be asked of it.

use serde_json::{Value, json};

use super::{
    client::Visit,
    resource::{link, texts},
};
use crate::{BmcError, BootDevice, BootMode, Persistence, PowerAction, PowerState};

/// How many system paths an error lists.
const MEMBERS_SHOWN: usize = 8;

/// One ComputerSystem as read.
#[derive(Debug)]
pub(super) struct System {
    pub(super) path: String,
    pub(super) etag: Option<String>,
    body: Value,
}

/// The action that resets a system.
#[derive(Debug)]
pub(super) struct Reset {
    pub(super) target: String,
    /// `None` when the service does not list them.
    allowed: Option<Vec<String>>,
}

/// The path of the only system of the service.
pub(super) async fn find(visit: &mut Visit<'_>) -> Result<String, BmcError> {
    const ROOT: &str = "/redfish/v1/";
    let (root, _) = visit.get(ROOT).await?;
    let systems = link(&root["Systems"], ROOT, "a Systems link")?;
    let (collection, _) = visit.get(&systems).await?;
    let members = collection["Members"].as_array().map(Vec::as_slice).unwrap_or_default();
    match members {
        [only] => link(only, &systems, "a member link"),
        several => Err(BmcError::WhichSystem {
            members: several
                .iter()
                .take(MEMBERS_SHOWN)
                .filter_map(|member| Some(member["@odata.id"].as_str()?.to_owned()))
                .collect(),
        }),
    }
}

impl System {
    pub(super) async fn read(visit: &mut Visit<'_>, path: &str) -> Result<Self, BmcError> {
        let (body, etag) = visit.get(path).await?;
        let etag = etag.or_else(|| Some(body["@odata.etag"].as_str()?.to_owned()));
        Ok(Self { path: path.to_owned(), etag, body })
    }

    /// A system powering off is still on; one powering on is as good as on.
    pub(super) fn power(&self) -> Result<PowerState, BmcError> {
        match self.body["PowerState"].as_str() {
            Some("On" | "PoweringOn" | "PoweringOff" | "Paused") => Ok(PowerState::On),
            Some("Off") => Ok(PowerState::Off),
            other => Err(BmcError::NotRedfish {
                what: format!("GET {}", self.path),
                got: format!("PowerState {:?}", other.unwrap_or("null")),
            }),
        }
    }

    /// The reset types that do `action`, best first; `None` when nothing is to be done.
    pub(super) fn resets_for(&self, action: PowerAction) -> Option<&'static [&'static str]> {
        let now = self.body["PowerState"].as_str();
        match (action, now) {
            (PowerAction::On, Some("On" | "PoweringOn"))
            | (PowerAction::ForceOff | PowerAction::GracefulShutdown, Some("Off"))
            | (PowerAction::GracefulShutdown, Some("PoweringOff")) => None,
            (PowerAction::On, _) | (PowerAction::ForceRestart, Some("Off")) => Some(&["On", "ForceOn"]),
            (PowerAction::ForceOff, _) => Some(&["ForceOff"]),
            (PowerAction::GracefulShutdown, _) => Some(&["GracefulShutdown"]),
            (PowerAction::ForceRestart, _) => Some(&["ForceRestart", "PowerCycle"]),
        }
    }

    /// Where to reset, and which types are allowed: listed in the action itself,
    /// or in the ActionInfo it points to.
    pub(super) async fn reset_action(&self, visit: &mut Visit<'_>) -> Result<Reset, BmcError> {
        const LIST: &str = "ResetType@Redfish.AllowableValues";
        let action = &self.body["Actions"]["#ComputerSystem.Reset"];
        let target = super::resource::local(action["target"].as_str(), &self.path, "a Reset action")?;
        let mut allowed = texts(&action[LIST]);
        if let (None, Some(info)) = (&allowed, action["@Redfish.ActionInfo"].as_str()) {
            let info = super::resource::local(Some(info), &self.path, "an ActionInfo link")?;
            let (info, _) = visit.get(&info).await?;
            allowed = info["Parameters"]
                .as_array()
                .and_then(|all| all.iter().find(|one| one["Name"] == "ResetType"))
                .and_then(|one| texts(&one["AllowableValues"]));
        }
        Ok(Reset { target, allowed })
    }

    pub(super) fn boot_mode(&self) -> Option<BootMode> {
        match self.body["Boot"]["BootSourceOverrideMode"].as_str() {
            Some("UEFI") => Some(BootMode::Uefi),
            Some("Legacy") => Some(BootMode::Bios),
            _ => None,
        }
    }

    /// The body that overrides the boot. The mode goes along only when it
    /// changes: some controllers refuse to be told what they know.
    pub(super) fn boot_patch(
        &self,
        device: BootDevice,
        persistence: Persistence,
        mode: Option<BootMode>,
    ) -> Result<Value, BmcError> {
        let target = match device {
            BootDevice::Pxe => "Pxe",
            BootDevice::Disk => "Hdd",
        };
        self.offers("BootSourceOverrideTarget", target)?;
        let enabled = match persistence {
            Persistence::Once => "Once",
            Persistence::Continuous => "Continuous",
        };
        self.offers("BootSourceOverrideEnabled", enabled)?;
        let mut boot = json!({"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled});
        if let Some(mode) = mode.filter(|&mode| self.boot_mode() != Some(mode)) {
            let mode = match mode {
                BootMode::Bios => "Legacy",
                BootMode::Uefi => "UEFI",
            };
            self.offers("BootSourceOverrideMode", mode)?;
            boot["BootSourceOverrideMode"] = mode.into();
        }
        Ok(json!({ "Boot": boot }))
    }

    /// An empty or missing list says nothing; a list without `value` says no.
    fn offers(&self, property: &str, value: &str) -> Result<(), BmcError> {
        match texts(&self.body["Boot"][format!("{property}@Redfish.AllowableValues")]) {
            Some(offered) if !offered.iter().any(|one| one == value) => {
                Err(BmcError::Unsupported { wanted: format!("set {property} to {value}"), offered })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Reset {
    /// The first of `wanted` that the system allows.
    pub(super) fn choose(&self, wanted: &[&'static str]) -> Result<&'static str, BmcError> {
        let allows = |kind: &str| self.allowed.as_ref().is_none_or(|list| list.iter().any(|one| one == kind));
        wanted.iter().copied().find(|kind| allows(kind)).ok_or_else(|| BmcError::Unsupported {
            wanted: format!("reset with {}", wanted.join(" or ")),
            offered: self.allowed.clone().unwrap_or_default(),
        })
    }
}
