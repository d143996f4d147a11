//! Sectors that a drive hides from the kernel: they are shown before anything is
//! erased, or nothing is, for what is not addressed keeps its data.

use serde_json::{Value, json};

use crate::{CommandError, Drive, Hidden, Mode, Subject, zones::Zones};

impl Hidden {
    /// True when the drive would show more than it does.
    fn is_more(self) -> bool {
        self.native > self.shown
    }

    /// What people should know before.
    pub(crate) fn note(self) -> String {
        let Hidden { shown, native, made_with } = self;
        let area = |more| format!("{more} sectors in a host protected area, which are shown and erased");
        let overlay =
            |more| format!("{more} sectors behind a configuration overlay (DCO), which keep what they hold");
        let more = self.is_more().then(|| area(native.saturating_sub(shown)));
        let made_with = made_with.map(|made_with| overlay(made_with.saturating_sub(native)));
        format!("it hides {}", more.into_iter().chain(made_with).collect::<Vec<_>>().join(", and "))
    }

    /// For the certificate: what the drive has by its own word, in bytes.
    pub(crate) fn record(self, block: u64) -> [(&'static str, Value); 3] {
        let bytes = |sectors: u64| sectors.saturating_mul(block);
        [
            ("native_bytes", bytes(self.native).into()),
            ("hpa", self.is_more().into()),
            ("dco", json!(self.made_with.map(bytes))),
        ]
    }
}

/// Have the drive show what it hides, before a full erase; `subject` and `zones`
/// grow with it.
///
/// # Errors
/// [`CommandError`]; something stays hidden.
pub(crate) fn show(
    hidden: Option<Hidden>,
    mode: Mode,
    drive: &mut impl Drive,
    (subject, zones): (&mut Subject, &mut Zones),
    notes: &mut Vec<String>,
) -> Result<(), CommandError> {
    if mode != Mode::Full || !hidden.is_some_and(Hidden::is_more) {
        return Ok(());
    }
    let Some(answer) = drive.restore_size()? else {
        return Err(CommandError::Unsupported { command: "a way to show what it hides" });
    };
    let native = hidden.map_or(0, |hidden| hidden.native.saturating_mul(drive.block().get()));
    if drive.size().0 < native {
        let reason = format!("it shows {} of {}; destroy it", drive.size(), model::Bytes(native));
        return Err(CommandError::Refused { command: "to show what it hides", reason, answer });
    }
    notes.push(format!("it shows all of its sectors now: {}", answer.words()));
    subject.disk.size = drive.size();
    *zones = Zones::whole(subject);
    Ok(())
}

/// After a full erase: a drive that was locked, or erased itself, when it was asked
/// what it hides said nothing then.
///
/// # Errors
/// [`CommandError`]; it hid something that was not erased, or that is not known. A drive that
/// does not know the question, or refuses it, is taken at its word.
pub(crate) fn is_none_left(mode: Mode, drive: &mut impl Drive) -> Result<(), CommandError> {
    if mode == Mode::Metadata {
        return Ok(());
    }
    match drive.restore_size() {
        Ok(None) | Err(CommandError::Unsupported { .. } | CommandError::Refused { .. }) => Ok(()),
        Ok(Some(answer)) => {
            let reason = "a part of it was hidden until now; erase it again".to_owned();
            Err(CommandError::Refused { command: "to be erased as a whole", reason, answer })
        }
        Err(error) => Err(error),
    }
}
