//! What would be done to which disk and why, for the person who decides.

use std::fmt::Write as _;

use erase::{Level, Method, Plan, Request, Verify};
use model::inventory::Disk;
use serde_json::{Value, json};

use crate::{
    command::chain,
    erasing::{self, Planned, Wish},
};

/// One plan or refusal a disk.
pub(super) struct Plans {
    pub(super) disks: Vec<Disk>,
    pub(super) wish: Wish,
    pub(super) planned: Planned,
}

impl Plans {
    /// Look at all the disks. Nothing is written.
    pub(super) fn of(disks: Vec<Disk>, request: Request) -> Self {
        let wish = Wish { request, express: false };
        let (mut looked, mut unknown) = (Vec::new(), Vec::new());
        for (index, disk) in disks.iter().enumerate() {
            match erasing::look(index, disk, &wish) {
                Ok(one) => looked.push(one),
                Err(err) => unknown.push((index, err)),
            }
        }
        let mut planned = erasing::plan(looked, &wish);
        planned.refused.extend(unknown);
        Self { disks, wish, planned }
    }

    /// Why which disk will not be erased. Who names a disk that the policy skips
    /// has to decide.
    pub(super) fn refusals(&self) -> Vec<String> {
        let refused = self.planned.refused.iter();
        refused.map(|(index, err)| format!("{}: {}", self.disks[*index].path(), chain(err))).collect()
    }

    fn outcome(&self, index: usize) -> Result<&Plan, String> {
        let refused = self.planned.refused.iter().find(|(other, _)| *other == index);
        if let Some((_, err)) = refused {
            return Err(chain(err));
        }
        let ready = self.planned.groups.iter().flatten().find(|ready| ready.looked.index == index);
        ready.map(|ready| &ready.plan).ok_or_else(|| "no plan was made for it".to_owned())
    }

    /// A few lines a disk.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (index, disk) in self.disks.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", title(disk));
            match self.outcome(index) {
                Err(why) => {
                    let _ = writeln!(text, "  refused: {why}");
                }
                Ok(plan) => {
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
        match self.wish.request.policy.verify {
            _ if methods == [Method::Metadata] => "all that is erased",
            Verify::Sample => "some 5,000 blocks all over the disk, and the canaries",
            Verify::Full => "every block",
        }
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let disks: Vec<Value> = (0..self.disks.len()).map(|index| self.one(index)).collect();
        json!({ "plan": disks, "refused": self.refusals() })
    }

    fn one(&self, index: usize) -> Value {
        let disk = &self.disks[index];
        let mut one = json!({
            "device": disk.path(),
            "model": disk.model,
            "serial": disk.serial,
            "bytes": disk.size.0,
        });
        match self.outcome(index) {
            Err(why) => one["refused"] = why.into(),
            Ok(plan) => {
                let method = |method: &Method| {
                    let (level, rule) = method.level();
                    json!({ "method": method.name(), "level": level, "rule": rule })
                };
                one["methods"] = plan.methods().iter().map(method).collect();
                one["verify"] = json!(self.wish.request.policy.verify);
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
