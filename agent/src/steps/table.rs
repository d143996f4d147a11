//! The steps of each phase. A step is a row; what is not in a table is not
//! offered to a conductor, and cannot be run.

use ::erase::FIELDS as POLICY_FIELDS;
use serde_json::{Map, Value};
use wire::ipa;

use super::{Machine, erase, nvram, pstore, write_image};
use crate::command::{Failure, Reporter};

/// Named in step lists and versions: a conductor sends back the version it was
/// told, and Ironic's own managers are called so.
pub(super) const MANAGER: &str = "GenericHardwareManager";

/// The manager's version key and version.
pub(crate) const MANAGER_VERSION: (&str, &str) = ("generic_hardware_manager", "1.2");

/// What a step does, with its arguments; its result is kept as it is.
type Run = fn(&mut Machine, &Map<String, Value>, &Reporter) -> Result<Value, Failure>;

/// A step.
pub(super) struct Step {
    /// The hardware interface it belongs to.
    pub(super) interface: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Higher runs first; 0 runs only when asked for.
    pub(super) priority: i64,
    /// Its arguments.
    pub(super) arguments: &'static [Argument],
    /// Does it.
    pub(super) run: Run,
}

/// An argument of a step.
pub(super) struct Argument {
    /// Its name.
    pub(super) name: &'static str,
    /// For people.
    pub(super) description: &'static str,
    /// Whether the step refuses to run without it.
    pub(super) required: bool,
}

/// When a node is cleaned.
pub(super) const CLEAN_STEPS: &[Step] = &[
    Step { interface: "deploy", name: "erase_devices", priority: 10, arguments: &[], run: erase::devices },
    Step {
        interface: "deploy",
        name: "erase_devices_metadata",
        priority: 99,
        arguments: &[],
        run: erase::metadata,
    },
    Step {
        interface: "deploy",
        name: "erase_devices_express",
        priority: 0,
        arguments: &[],
        run: erase::express,
    },
    Step {
        interface: "deploy",
        name: "erase_devices_with_policy",
        priority: 0,
        arguments: &POLICY,
        run: erase::with_policy,
    },
    Step { interface: "deploy", name: "erase_pstore", priority: 0, arguments: &[], run: pstore::erase },
    CLEAN_NVRAM,
];

/// Every field of a policy is an argument of `erase_devices_with_policy`.
const POLICY: [Argument; POLICY_FIELDS.len()] = {
    let mut arguments =
        [const { Argument { name: "", description: "", required: false } }; POLICY_FIELDS.len()];
    let mut at = 0;
    while at < arguments.len() {
        let (name, description) = POLICY_FIELDS[at];
        arguments[at] = Argument { name, description, required: false };
        at += 1;
    }
    arguments
};

/// Ironic's agent lists it for cleaning and for deployment.
const CLEAN_NVRAM: Step = Step {
    interface: "deploy",
    name: "clean_uefi_nvram",
    priority: 0,
    arguments: &[Argument {
        name: "match_patterns",
        description: "Json blob contains a list of regex patterns where any UEFI NVRAM entry matching that \
                      pattern will be deleted. Default value is '[\"^HD\\(\", \"shim.*\\.efi\", \"grub.*\\.efi\"]'",
        required: false,
    }],
    run: nvram::clean,
};

/// When a node is deployed. `write_image` has no arguments in the list, because
/// Ironic's has none: conductors pass `image_info` and `configdrive` unasked.
pub(super) const DEPLOY_STEPS: &[Step] = &[
    Step {
        interface: "deploy",
        name: "erase_devices_metadata",
        priority: 0,
        arguments: &[],
        run: erase::metadata,
    },
    CLEAN_NVRAM,
    Step { interface: "deploy", name: "write_image", priority: 0, arguments: &[], run: write_image::step },
];

/// When an active node is serviced.
pub(super) const SERVICE_STEPS: &[Step] =
    &[Step { interface: "deploy", name: "write_image", priority: 0, arguments: &[], run: write_image::step }];

/// Which table, and how its results are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two tenants.
    Clean,
    /// For the next tenant.
    Deploy,
    /// For the present tenant.
    Service,
}

impl Phase {
    /// `clean`, `deploy` or `service`: what keys and errors are named after.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Deploy => "deploy",
            Self::Service => "service",
        }
    }

    /// Its steps.
    pub(super) fn steps(self) -> &'static [Step] {
        match self {
            Self::Clean => CLEAN_STEPS,
            Self::Deploy => DEPLOY_STEPS,
            Self::Service => SERVICE_STEPS,
        }
    }

    /// As a conductor wants to see them. Only clean steps say whether they can
    /// be aborted; all of ours can, since the conductor does it by power.
    pub(super) fn listed(self) -> Vec<ipa::Step> {
        self.steps().iter().map(|step| step.listed((self == Self::Clean).then_some(true))).collect()
    }
}

impl Step {
    fn listed(&self, abortable: Option<bool>) -> ipa::Step {
        let argument = |argument: &Argument| {
            let told = ipa::StepArgument {
                description: argument.description.to_owned(),
                required: argument.required,
            };
            (argument.name.to_owned(), told)
        };
        ipa::Step {
            step: self.name.to_owned(),
            priority: self.priority,
            interface: self.interface.to_owned(),
            reboot_requested: false,
            abortable,
            argsinfo: (!self.arguments.is_empty()).then(|| self.arguments.iter().map(argument).collect()),
        }
    }
}
