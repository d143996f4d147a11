//! The queue, pure: at most one command runs, and everything that ran is kept
//! for the conductor, which reads the last entry.

use std::collections::VecDeque;

use serde_json::Value;
use wire::ipa::{CommandResult, CommandStatus, ErrorClass, Progress};

use super::{Failure, Mode, Outcome};

/// How many commands are remembered. A whole life of a node is some thirty
/// commands; a conductor only ever reads the last ones.
const MAX_HISTORY: usize = 256;

/// Every command since the agent started.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    history: VecDeque<CommandResult>,
    /// An asynchronous command ended and nobody has read the result yet.
    unread: bool,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How its text is worded.
    pub(crate) mode: Mode,
    /// What it returned.
    pub(crate) result: Result<Outcome, Failure>,
}

impl Queue {
    /// Take a command in, unless one is running.
    ///
    /// # Errors
    /// [`Failure`] of class `AgentIsBusy` naming the running command.
    pub(crate) fn admit(&mut self, id: &str, name: &str) -> Result<(), Failure> {
        if let Some(last) = self.history.back().filter(|last| last.command_status == CommandStatus::Running) {
            let text = format!("executing command {}", last.command_name);
            return Err(Failure::new(ErrorClass::AgentIsBusy, text));
        }
        if self.history.len() == MAX_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(CommandResult {
            id: id.to_owned(),
            command_name: name.to_owned(),
            command_status: CommandStatus::Running,
            command_error: None,
            command_result: None,
        });
        Ok(())
    }

    /// Note how far the running command is.
    pub(crate) fn report(&mut self, id: &str, progress: &Progress) {
        if let Some(entry) = self.entry(id).filter(|entry| entry.command_status == CommandStatus::Running) {
            running(entry)["progress"] = serde_json::json!(progress);
        }
    }

    /// Keep a document of one device while the command goes on with others.
    pub(crate) fn evidence(&mut self, id: &str, device: &str, document: &Value) {
        if let Some(entry) = self.entry(id).filter(|entry| entry.command_status == CommandStatus::Running) {
            // As in the result of the step: who reads it early reads it alike.
            running(entry)["clean_result"][device] = document.clone();
        }
    }

    /// What the running command is doing, for people.
    pub(crate) fn doing(&self) -> Option<String> {
        let last = self.history.back().filter(|last| last.command_status == CommandStatus::Running)?;
        let progress = last.command_result.as_ref()?.get("progress")?;
        let text = |key: &str| progress.get(key).and_then(Value::as_str);
        Some(format!("{}: {}", text("step")?, text("message")?))
    }

    /// Note how a command ended.
    pub(crate) fn finish(&mut self, id: &str, ended: Ended) {
        let Some(entry) = self.entry(id) else { return };
        (entry.command_result, entry.command_error) = (None, None);
        entry.command_status = match ended.result {
            Ok(outcome) => {
                let (status, result) = worded(outcome, ended.mode, &entry.command_name);
                entry.command_result = result;
                status
            }
            Err(failure) => {
                entry.command_error = Some(failure.on_the_wire());
                entry.command_result = failure.result;
                CommandStatus::Failed
            }
        };
        self.unread |= ended.mode == Mode::Async;
    }

    /// Forget a command whose parameters were refused.
    pub(crate) fn withdraw(&mut self, id: &str) {
        self.history.retain(|entry| entry.id != id);
    }

    /// All commands, oldest first.
    pub(crate) fn list(&mut self) -> Vec<CommandResult> {
        self.unread = false;
        self.history()
    }

    /// All commands, oldest first, for the log: nobody has read them by that.
    pub(crate) fn history(&self) -> Vec<CommandResult> {
        self.history.iter().cloned().collect()
    }

    /// One command. It counts as read once it has ended.
    pub(crate) fn find(&mut self, id: &str) -> Option<CommandResult> {
        let found = self.history.iter().find(|entry| entry.id == id)?;
        if found.command_status != CommandStatus::Running {
            self.unread = false;
        }
        Some(found.clone())
    }

    /// Whether the conductor should come and read.
    pub(crate) fn unread(&self) -> bool {
        self.unread
    }

    fn entry(&mut self, id: &str) -> Option<&mut CommandResult> {
        self.history.iter_mut().rev().find(|entry| entry.id == id)
    }
}

/// The object a running command shows.
fn running(entry: &mut CommandResult) -> &mut Value {
    entry.command_result.get_or_insert_with(|| serde_json::json!({}))
}

fn worded(outcome: Outcome, mode: Mode, name: &str) -> (CommandStatus, Option<Value>) {
    let succeeded = CommandStatus::Succeeded;
    match (outcome, mode) {
        (Outcome::Nothing, _) => (succeeded, None),
        (Outcome::Data(data), _) => (succeeded, Some(data)),
        (Outcome::Text(text), Mode::Sync) => (succeeded, Some(serde_json::json!({ "result": text }))),
        (Outcome::Text(text), Mode::Async) => {
            (succeeded, Some(serde_json::json!({ "result": format!("{name}: {text}") })))
        }
        (Outcome::VersionMismatch, _) => (CommandStatus::VersionMismatch, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(mode: Mode, outcome: Outcome) -> Ended {
        Ended { mode, result: Ok(outcome) }
    }

    #[test]
    fn one_command_runs_at_a_time() {
        let mut queue = Queue::default();
        queue.admit("1", "execute_clean_step").unwrap();
        let busy = queue.admit("2", "get_clean_steps").unwrap_err();
        assert_eq!(busy.class, ErrorClass::AgentIsBusy);
        assert_eq!(busy.details, "executing command execute_clean_step");
        assert_eq!(queue.list().len(), 1, "what was refused leaves no trace");
        queue.finish("1", ended(Mode::Async, Outcome::Nothing));
        queue.admit("2", "get_clean_steps").unwrap();
    }

    #[test]
    fn texts_are_wrapped_as_ironics_agent_wraps_them() {
        let mut queue = Queue::default();
        for (id, mode, want) in [("1", Mode::Sync, "done"), ("2", Mode::Async, "prepare_image: done")] {
            queue.admit(id, "prepare_image").unwrap();
            queue.finish(id, ended(mode, Outcome::Text("done".to_owned())));
            let result = queue.find(id).unwrap().command_result.unwrap();
            assert_eq!(result, serde_json::json!({ "result": want }));
        }
    }

    #[test]
    fn progress_is_seen_while_running_and_gone_after() {
        let mut queue = Queue::default();
        queue.admit("1", "execute_deploy_step").unwrap();
        queue.report("1", &Progress { bytes: 7, ..Progress::default() });
        assert_eq!(queue.find("1").unwrap().command_result.unwrap()["progress"]["bytes"], 7);
        let failure = Failure::new(ErrorClass::ImageWrite, "the disk failed at 1.0 MiB");
        queue.finish("1", Ended { mode: Mode::Async, result: Err(failure) });
        let found = queue.find("1").unwrap();
        assert_eq!((found.command_status, found.command_result), (CommandStatus::Failed, None));
        assert_eq!(found.command_error.unwrap().details, "the disk failed at 1.0 MiB");
        queue.report("1", &Progress::default());
        assert_eq!(queue.find("1").unwrap().command_result, None, "a late report changes nothing");
    }

    #[test]
    fn evidence_of_one_disk_is_seen_before_the_others_end_and_outlives_their_failure() {
        let mut queue = Queue::default();
        queue.admit("1", "execute_clean_step").unwrap();
        queue.evidence("1", "/dev/sda", &serde_json::json!("signed"));
        queue.report("1", &Progress { message: "2 disks".to_owned(), ..Progress::default() });
        let shown = queue.find("1").unwrap().command_result.unwrap();
        assert_eq!(
            (&shown["clean_result"]["/dev/sda"], &shown["progress"]["message"]),
            (&"signed".into(), &"2 disks".into())
        );
        assert_eq!(queue.doing().as_deref(), Some(": 2 disks"));
        let failure =
            Failure::new(ErrorClass::BlockDeviceErase, "/dev/sdb").with_result("what there is".into());
        queue.finish("1", Ended { mode: Mode::Async, result: Err(failure) });
        let found = queue.find("1").unwrap();
        assert_eq!(
            (found.command_status, found.command_result),
            (CommandStatus::Failed, Some("what there is".into()))
        );
        assert_eq!(queue.doing(), None);
    }

    #[test]
    fn a_result_is_unread_until_somebody_reads_it() {
        let mut queue = Queue::default();
        queue.admit("1", "execute_clean_step").unwrap();
        queue.find("1");
        queue.finish("1", ended(Mode::Async, Outcome::Nothing));
        assert!(queue.unread());
        queue.list();
        assert!(!queue.unread());
    }

    #[test]
    fn the_history_is_bounded() {
        let mut queue = Queue::default();
        for id in 0..=MAX_HISTORY {
            queue.admit(&id.to_string(), "sync").unwrap();
            queue.finish(&id.to_string(), ended(Mode::Sync, Outcome::Nothing));
        }
        assert_eq!(queue.list().len(), MAX_HISTORY);
        assert!(queue.find("0").is_none() && queue.find(&MAX_HISTORY.to_string()).is_some());
    }
}
