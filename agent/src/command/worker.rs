//! The one thread that runs commands.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
};

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
        let result = (job.command.run)(&mut machine, &job.params, &reporter);
        match &result {
            Ok(_) => tracing::info!(command = name, id = %job.id, "succeeded"),
            Err(Failure { class, details }) => {
                tracing::error!(command = name, id = %job.id, class = class.name(), details, "failed");
            }
        }
        board.finish(&job.id, Ended { mode: job.command.mode, result });
    }
}
