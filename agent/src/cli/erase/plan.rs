//! What would be done to which disk and why, for the person who decides.

use std::fmt::Write as _;

use erase::{Erased, Level, Method, Mode, Request, Subject, Verify};
use model::inventory::Disk;
use serde_json::{Value, json};

use crate::{
    command::chain,
    erasing::{self, NotErased, Ready, Wish},
};

/// One plan or refusal a disk.
pub(super) struct Plans {
    verify: Verify,
    disks: Vec<(Disk, Result<Ready, NotErased>)>,
}

impl Plans {
    /// Look at all the disks. Nothing is written.
    pub(super) fn of(disks: Vec<Disk>, request: Request) -> Self {
        let verify = request.policy.verify;
        let wish = Wish { request, express: false };
        let disks = disks.into_iter().map(|disk| {
            let outcome = erasing::look(&disk, &wish);
            (disk, outcome)
        });
        Self { verify, disks: disks.collect() }
    }

    /// Why which disk will not be erased. Who names a disk that the policy skips
    /// has to decide.
    pub(super) fn refusals(&self) -> Vec<String> {
        let refusal = |(disk, outcome): &(Disk, Result<Ready, NotErased>)| {
            outcome.as_ref().err().map(|err| format!("{}: {}", disk.path(), chain(err)))
        };
        self.disks.iter().filter_map(refusal).collect()
    }

    /// Those that may be erased.
    pub(super) fn ready(self) -> Vec<Ready> {
        self.disks.into_iter().filter_map(|(_, outcome)| outcome.ok()).collect()
    }

    /// A few lines a disk.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (disk, outcome) in &self.disks {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", title(disk));
            match outcome {
                Err(err) => {
                    let _ = writeln!(text, "  refused: {}", chain(err));
                }
                Ok(Ready { plan, .. }) => {
                    for (index, method) in plan.methods().iter().enumerate() {
                        let (level, rule) = method.level();
                        let order = if index == 0 { "by" } else { "else by" };
                        let _ = writeln!(text, "  {order} {}: {} ({rule})", method.name(), words(level));
                    }
                    let read = self.read_back(plan.methods());
                    let _ = writeln!(text, "  read back: {read}");
                    plan.notes().iter().for_each(|note| {
                        let _ = writeln!(text, "  note: {note}");
                    });
                }
            }
        }
        text
    }

    fn read_back(&self, methods: &[Method]) -> &'static str {
        match self.verify {
            _ if methods == [Method::Metadata] => "all that is erased",
            Verify::Sample => "some 5,000 blocks all over the disk, and the canaries",
            Verify::Full => "every block",
        }
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let disks: Vec<Value> = self.disks.iter().map(|(disk, outcome)| self.one(disk, outcome)).collect();
        json!({ "plan": disks, "refused": self.refusals() })
    }

    fn one(&self, disk: &Disk, outcome: &Result<Ready, NotErased>) -> Value {
        let mut one = json!({
            "device": disk.path(),
            "model": disk.model,
            "serial": disk.serial,
            "bytes": disk.size.0,
        });
        match outcome {
            Err(err) => one["refused"] = chain(err).into(),
            Ok(Ready { plan, .. }) => {
                let method = |method: &Method| {
                    let (level, rule) = method.level();
                    json!({ "method": method.name(), "level": level, "rule": rule })
                };
                one["methods"] = plan.methods().iter().map(method).collect();
                one["verify"] = json!(self.verify);
                one["notes"] = json!(plan.notes());
            }
        }
        one
    }
}

/// `/dev/sda: SAMSUNG MZ7, serial S123, 931.5 GiB`.
fn title(disk: &Disk) -> String {
    let known = |text: &Option<String>| {
        text.as_ref().map_or("unknown".to_owned(), |text| text.replace(char::is_control, "?"))
    };
    format!("{}: {}, serial {}, {}", disk.path(), known(&disk.model), known(&disk.serial), disk.size)
}

fn words(level: Level) -> &'static str {
    match level {
        Level::None => "no level",
        Level::Clear => "clear",
        Level::Purge => "purge",
    }
}

/// What was done to one disk, in a line.
pub(super) fn done(path: &str, erased: &Erased) -> String {
    let what = match erased.policy.mode {
        Mode::Full => "erased",
        Mode::Metadata => "cleared of partition tables and signatures; its data is still there",
    };
    let Subject { disk, .. } = &erased.subject;
    let serial = disk.serial.as_deref().map(|serial| format!(" (serial {serial})")).unwrap_or_default();
    let (level, _) = erased.method.level();
    let how = erased.method.name();
    format!("{path}{serial} is {what}: {how}, {}, {} read back", words(level), erased.proof.bytes)
}
