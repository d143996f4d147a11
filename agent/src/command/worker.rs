//! The one thread that runs commands.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, mpsc},
    thread,
};

use wire::ipa::ErrorClass;

use super::{Board, Ended, Failure, Job, Reporter};

/// Start the thread. It ends when the board is gone.
///
/// # Errors
/// When the thread cannot be made.
pub(crate) fn start<M: Send + 'static>(
    machine: M,
    jobs: mpsc::Receiver<Job<M>>,
    board: Arc<Board<M>>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("commands".to_owned()).spawn(move || run(machine, &jobs, &board))
}

fn run<M: 'static>(mut machine: M, jobs: &mpsc::Receiver<Job<M>>, board: &Arc<Board<M>>) {
    while let Ok(job) = jobs.recv() {
        let name = job.command.name;
        tracing::info!(command = name, id = %job.id, "started");
        let reporter = Reporter::new(Arc::clone(board), job.id.clone());
        // A bug must not leave the command RUNNING forever. In the ramdisk the
        // panic hook restarts the machine before this returns.
        let run = AssertUnwindSafe(|| (job.command.run)(&mut machine, &job.params, &reporter));
        let result = panic::catch_unwind(run).unwrap_or_else(|_| Err(bug(name)));
        match &result {
            Ok(_) => tracing::info!(command = name, id = %job.id, "succeeded"),
            Err(Failure { class, details, result: _ }) => {
                tracing::error!(command = name, id = %job.id, class = class.name(), details, "failed");
            }
        }
        board.finish(&job.id, Ended { mode: job.command.mode, result });
    }
}

fn bug(name: &str) -> Failure {
    let text = format!("billet-agent has a bug in {name}; its log has the place: report it, and power-cycle");
    Failure::new(ErrorClass::CommandExecution, text)
}
