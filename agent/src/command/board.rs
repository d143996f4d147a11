//! Where the API, the worker and the heartbeat meet: the queue behind a lock,
//! a bell that rings at every change, and the way to the worker.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use serde_json::Value;
use tokio::sync::watch;
use wire::ipa::{CommandRequest, CommandResult, CommandStatus, ErrorClass, Progress};

use super::{Command, Ended, Failure, Mode, Params, Queue};

/// A command on its way to the worker.
pub(crate) struct Job<M: 'static> {
    /// Its id.
    pub(crate) id: String,
    /// Its row.
    pub(crate) command: &'static Command<M>,
    /// Its arguments.
    pub(crate) params: Params,
}

/// Why a command was not taken in; it is answered as an HTTP error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// The fault string.
    pub(crate) faultstring: String,
}

impl Refused {
    /// Worded `<class message>: <details>`, as Ironic's agent does.
    fn by(failure: &Failure) -> Self {
        Self {
            status: failure.class.code(),
            faultstring: format!("{}: {}", failure.class.message(), failure.details),
        }
    }
}

/// The commands of one agent.
pub(crate) struct Board<M: 'static> {
    queue: Mutex<Queue>,
    changed: watch::Sender<u64>,
    jobs: mpsc::SyncSender<Job<M>>,
    commands: &'static [Command<M>],
}

impl<M: 'static> Board<M> {
    /// A board serving `commands`, and where its worker takes jobs from.
    pub(crate) fn new(commands: &'static [Command<M>]) -> (Self, mpsc::Receiver<Job<M>>) {
        // The queue admits one command at a time: one place is enough.
        let (jobs, taken) = mpsc::sync_channel(1);
        let board = Self { queue: Mutex::default(), changed: watch::Sender::new(0), jobs, commands };
        (board, taken)
    }

    /// Take a command in and start it.
    ///
    /// # Errors
    /// [`Refused`]: malformed or unknown name, refused parameters, busy agent.
    pub(crate) fn submit(&self, request: CommandRequest) -> Result<(String, Mode), Refused> {
        let command = self.row(&request.name).map_err(|failure| Refused::by(&failure))?;
        (command.validate)(&request.params).map_err(|failure| Refused::by(&failure))?;
        let id = uuid::Uuid::new_v4().to_string();
        let mut queue = self.queue();
        queue.admit(&id, command.name).map_err(|failure| Refused::by(&failure))?;
        let job = Job { id: id.clone(), command, params: request.params };
        if self.jobs.try_send(job).is_err() {
            queue.withdraw(&id);
            let text = "Agent is busy: its worker has not taken the previous command yet; try again";
            return Err(Refused { status: 409, faultstring: text.to_owned() });
        }
        Ok((id, command.mode))
    }

    fn row(&self, name: &str) -> Result<&'static Command<M>, Failure> {
        let (extension, command) = name.split_once('.').ok_or_else(|| {
            let text = "Command name must be of the form <extension>.<name>";
            Failure::new(ErrorClass::InvalidCommand, text)
        })?;
        if let Some(row) = self.commands.iter().find(|row| row.extension == extension && row.name == command)
        {
            return Ok(row);
        }
        Err(if self.commands.iter().any(|row| row.extension == extension) {
            Failure::new(ErrorClass::InvalidCommand, format!("Unknown command: {command}"))
        } else {
            let text = format!("Extension with id {extension} not found.");
            Failure::new(ErrorClass::RequestedObjectNotFound, text)
        })
    }

    /// Wait until command `id` has ended. None when there is no such command.
    pub(crate) async fn ended(&self, id: &str) -> Option<CommandResult> {
        let mut changes = self.changed.subscribe();
        loop {
            let found = self.find(id)?;
            if found.command_status != CommandStatus::Running {
                return Some(found);
            }
            // The sender lives in self, so a change cannot fail to come.
            changes.changed().await.ok()?;
        }
    }

    /// One command.
    pub(crate) fn find(&self, id: &str) -> Option<CommandResult> {
        self.queue().find(id)
    }

    /// All commands, oldest first.
    pub(crate) fn list(&self) -> Vec<CommandResult> {
        self.queue().list()
    }

    /// All commands, oldest first, without counting as read.
    pub(crate) fn history(&self) -> Vec<CommandResult> {
        self.queue().history()
    }

    /// Whether a result waits for the conductor.
    pub(crate) fn unread(&self) -> bool {
        self.queue().unread()
    }

    /// The bell that rings whenever a command ends.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Note how far a command is.
    pub(crate) fn report(&self, id: &str, progress: &Progress) {
        self.queue().report(id, progress);
    }

    /// Keep a document of one device while command `id` goes on with others.
    pub(crate) fn evidence(&self, id: &str, device: &str, document: &Value) {
        self.queue().evidence(id, device, document);
    }

    /// What the running command is doing, for people.
    pub(crate) fn doing(&self) -> Option<String> {
        self.queue().doing()
    }

    /// Note how a command ended, and ring.
    pub(crate) fn finish(&self, id: &str, ended: Ended) {
        self.queue().finish(id, ended);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere leaves the queue whole: each change is one call.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
