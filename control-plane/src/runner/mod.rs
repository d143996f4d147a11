//! The conductor: one task per node, events in order, effects after the store.
//!
//! ```text
//!             inbox (bounded)                     store.change()
//! API ──▶ Event ─────────▶ task of the node ──▶ next() ──▶ State + Effects
//!                             ▲                                 │ spawn
//!                             └───── Event ◀── perform() ◀──────┘
//! ```
//!
//! A transition drops what was being done and starts its own effects. Killed at
//! any line, the next start finds the state and the effects not yet done, and
//! every effect can be done twice.

mod agent_client;
mod clean;
mod deploy;
mod perform;
mod power;
mod proof;
mod settings;
mod transition;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::Secret;
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{
    metrics::Metrics,
    node::{Denied, Effect, Event, State, Verdict},
    store::{ChangeError, Store, StoreError},
};

pub(crate) use deploy::image_info;
pub use settings::{CleanPolicy, Settings};
pub(crate) use transition::chain;

/// Events that wait for one node's task. A sender waits when it is full:
/// nothing is dropped.
const INBOX: usize = 64;
/// How long a task waits before it tries again to store what happened.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Conducts all nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Conductor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    settings: Settings,
    metrics: Arc<Metrics>,
    /// Agents' tokens. Only their fingerprints are stored, so after a restart
    /// a token is known again with the agent's next heartbeat.
    tokens: Mutex<HashMap<Uuid, Secret>>,
    token_came: Notify,
    /// What running commands last said of themselves.
    progress: Mutex<HashMap<Uuid, Value>>,
    inboxes: Mutex<HashMap<Uuid, mpsc::Sender<Message>>>,
    /// Nodes whose power a user is changing: one change at a time.
    powering: Mutex<HashSet<Uuid>>,
    /// Held from the check that a node can be deployed until it is being
    /// deployed: a config drive must go to the deployment it came with.
    deploying: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Message {
    Happened {
        event: Event,
        words: Option<String>,
        reply: Option<oneshot::Sender<Result<Verdict, HandleError>>>,
    },
    Resume,
}

/// What came of doing something.
#[derive(Debug)]
struct Outcome {
    event: Event,
    words: Option<String>,
}

/// Why an event changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// No such node.
    #[error("node {node} could not be found")]
    NoSuchNode {
        /// Who was asked for.
        node: Uuid,
    },
    /// Not in this state.
    #[error(transparent)]
    Denied(Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The control plane is stopping.
    #[error("the control plane is stopping; try again")]
    Stopping,
}

impl From<ChangeError<Denied>> for HandleError {
    fn from(error: ChangeError<Denied>) -> Self {
        match error {
            ChangeError::NoSuchNode { node } => Self::NoSuchNode { node },
            ChangeError::Refused(denied) => Self::Denied(denied),
            ChangeError::Store(error) => Self::Store(error),
        }
    }
}

impl Conductor {
    /// A conductor that does nothing yet.
    #[must_use]
    pub fn new(store: Store, settings: Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                settings,
                metrics,
                tokens: Mutex::default(),
                token_came: Notify::new(),
                progress: Mutex::default(),
                inboxes: Mutex::default(),
                powering: Mutex::default(),
                deploying: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Go on with everything that was going on when the last process ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resume(&self) -> Result<(), StoreError> {
        for node in self.inner.store.nodes().await? {
            if node.state.is_busy() || !self.inner.store.pending_effects(node.uuid).await?.is_empty() {
                tracing::info!(node = %node.title(), state = node.state.name(), "resumed");
                // The inbox is new and empty: this cannot wait.
                let _ = self.inbox(node.uuid).send(Message::Resume).await;
            }
        }
        Ok(())
    }

    /// Tell a node's task what happened and wait until it is stored.
    ///
    /// # Errors
    /// [`HandleError`]; then nothing has changed.
    pub async fn tell(
        &self,
        node: Uuid,
        event: Event,
        words: Option<String>,
    ) -> Result<Verdict, HandleError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Happened { event, words, reply: Some(reply) };
        self.inbox(node).send(message).await.map_err(|_| HandleError::Stopping)?;
        answer.await.map_err(|_| HandleError::Stopping)?
    }

    /// Remember a token that was handed out or came with a heartbeat.
    pub fn learn_token(&self, node: Uuid, token: Secret) {
        lock(&self.inner.tokens).insert(node, token);
        self.inner.token_came.notify_waiters();
    }

    /// What the node's running command last said of itself.
    #[must_use]
    pub fn progress(&self, node: Uuid) -> Option<Value> {
        lock(&self.inner.progress).get(&node).cloned()
    }

    /// A node is gone: so is what is held of it.
    pub fn forget(&self, node: Uuid) {
        lock(&self.inner.inboxes).remove(&node);
        lock(&self.inner.tokens).remove(&node);
        lock(&self.inner.progress).remove(&node);
    }

    /// Ask a node's BMC for `action`, and watch in the background what comes of it.
    ///
    /// # Errors
    /// [`PowerError`]; then nothing is watched.
    pub async fn request_power(&self, node: Uuid, action: bmc::PowerAction) -> Result<(), PowerError> {
        let turn = Turn::take(&self.inner, node).ok_or(PowerError::Busy)?;
        if matches!(action, bmc::PowerAction::On | bmc::PowerAction::ForceRestart) {
            // Whatever boots may write to its disks.
            let forgotten = self.inner.change(node, |node| node.erase_journal = None).await;
            forgotten.map_err(|error| PowerError::Refused { words: chain(&error) })?;
        }
        let wanted = power::request(&self.inner, node, action)
            .await
            .map_err(|error| PowerError::Refused { words: chain(&error) })?;
        tokio::spawn(async move {
            if let Err(error) = power::confirm(&turn.inner, node, wanted).await {
                tracing::warn!(%node, error = chain(&error), "power");
            }
        });
        Ok(())
    }

    /// Until the answer is dropped, nobody else begins a deployment.
    pub async fn deploying(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.deploying.lock().await
    }

    /// The parameters it runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The store it keeps everything in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    fn inbox(&self, node: Uuid) -> mpsc::Sender<Message> {
        let mut inboxes = lock(&self.inner.inboxes);
        if let Some(inbox) = inboxes.get(&node).filter(|inbox| !inbox.is_closed()) {
            return inbox.clone();
        }
        let (sender, receiver) = mpsc::channel(INBOX);
        inboxes.insert(node, sender.clone());
        tokio::spawn(run_node(Arc::clone(&self.inner), node, receiver));
        sender
    }
}

/// Why a user's power request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// An earlier request is not confirmed yet.
    #[error("an earlier power request is not confirmed yet; try again")]
    Busy,
    /// The BMC or the driver settings object.
    #[error("{words}")]
    Refused {
        /// What they say, as one sentence.
        words: String,
    },
}

/// The right to change a node's power, given back when dropped.
struct Turn {
    inner: Arc<Inner>,
    node: Uuid,
}

impl Turn {
    fn take(inner: &Arc<Inner>, node: Uuid) -> Option<Self> {
        lock(&inner.powering).insert(node).then(|| Self { inner: Arc::clone(inner), node })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.inner.powering).remove(&self.node);
    }
}

/// A poisoned lock guards plain maps: they are whole whatever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task of one node.
async fn run_node(inner: Arc<Inner>, node: Uuid, mut inbox: mpsc::Receiver<Message>) {
    let mut work: Option<JoinHandle<Outcome>> = None;
    loop {
        let outcome = tokio::select! {
            message = inbox.recv() => match message {
                None => break,
                Some(Message::Resume) => {
                    work.get_or_insert_with(|| tokio::spawn(perform::all(Arc::clone(&inner), node)));
                    continue;
                }
                Some(Message::Happened { event, words, reply }) => {
                    let result = transition::handle(&inner, node, event, words).await;
                    if let Ok(Verdict::Go(state, effects)) = &result {
                        restart(&inner, node, *state, effects, &mut work).await;
                    }
                    let gone = matches!(result, Err(HandleError::NoSuchNode { .. }));
                    if let Some(reply) = reply {
                        let _ = reply.send(result); // whoever asked may have hung up
                    }
                    if gone { break }
                    continue;
                }
            },
            ended = wait_for(&mut work) => ended,
        };
        work = None;
        settle(&inner, node, outcome, &mut work).await;
    }
    if let Some(work) = work {
        work.abort();
    }
}

/// Store what came of the work; when the store fails, keep the outcome and try again.
async fn settle(inner: &Arc<Inner>, node: Uuid, outcome: Outcome, work: &mut Option<JoinHandle<Outcome>>) {
    match transition::handle(inner, node, outcome.event, outcome.words.clone()).await {
        Ok(Verdict::Go(state, effects)) => restart(inner, node, state, effects, work).await,
        Ok(Verdict::Stay) => {
            if let (Event::Failed, Some(words)) = (outcome.event, &outcome.words) {
                // The machine may still run; `last_error` keeps what came first.
                tracing::warn!(%node, words, "the machine of a failed operation could not be stopped");
            }
        }
        Err(HandleError::Store(error)) => {
            tracing::error!(%node, error = chain(&error), "could not store what happened; trying again");
            *work = Some(tokio::spawn(async move {
                tokio::time::sleep(STORE_RETRY).await;
                outcome
            }));
        }
        Err(error @ (HandleError::Denied(_) | HandleError::NoSuchNode { .. } | HandleError::Stopping)) => {
            tracing::debug!(%node, %error, "an outcome that nobody waits for any more");
        }
    }
}

/// Drop what was being done and begin what the new state wants.
async fn restart(
    inner: &Arc<Inner>,
    node: Uuid,
    state: State,
    effects: &[Effect],
    work: &mut Option<JoinHandle<Outcome>>,
) {
    if let Some(old) = work.take() {
        old.abort();
        let _ = old.await; // cancelled, or ended at this very moment: either way it is over
    }
    lock(&inner.progress).remove(&node);
    if !effects.is_empty() || state.is_busy() {
        *work = Some(tokio::spawn(perform::all(Arc::clone(inner), node)));
    }
}

/// The end of the work; never, when there is none.
async fn wait_for(work: &mut Option<JoinHandle<Outcome>>) -> Outcome {
    match work {
        None => std::future::pending().await,
        Some(handle) => handle.await.unwrap_or_else(|error| Outcome {
            event: Event::Failed,
            words: Some(format!("the control plane failed inside ({error}); report it, then try again")),
        }),
    }
}
