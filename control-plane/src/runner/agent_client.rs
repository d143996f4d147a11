//! The agent's API, as a conductor uses it.

use std::time::{Duration, Instant};

use model::Secret;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use wire::ipa::{CommandResult, CommandStatus, Commands, Fault};

use super::{Inner, Outcome, clean, lock, perform::EffectError, proof, transition::chain};
use crate::{
    node::{Event, State},
    record::Node,
};

/// One HTTP exchange, Ironic's `[agent]command_timeout`.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// A command that is waited for may take longer: logs of a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a command is posted when the connection fails.
const TRIES: usize = 3;
/// Pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// The largest answer taken: logs in base64.
const ANSWER_LIMIT: usize = 32 << 20;
/// The most a command may say of its progress, in bytes of JSON.
const PROGRESS_LIMIT: usize = 16 << 10;

/// Why an agent did not do what it was asked. Never holds its token.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error(
        "no answer from the agent at {url}; check the network between it and billetd, and its serial console"
    )]
    Unreachable {
        url: String,
        #[source]
        err: reqwest::Error,
    },
    #[error(
        "the agent at {url} refuses its own token: it was restarted in the middle of the operation; start again"
    )]
    Restarted { url: String },
    #[error("the agent at {url} answered {status}: {fault}")]
    Refused { url: String, status: u16, fault: String },
    #[error("the agent at {url} answered something unreadable; is another program listening there?")]
    Garbled {
        url: String,
        #[source]
        err: serde_json::Error,
    },
    #[error("the answer of the agent at {url} is larger than {ANSWER_LIMIT} bytes")]
    TooLarge { url: String },
    #[error("the certificate of the agent at {url} is not usable")]
    Certificate {
        url: String,
        #[source]
        err: reqwest::Error,
    },
    #[error("no heartbeat since billetd started; look at the machine's serial console")]
    Silent,
}

impl AgentError {
    fn is_lost_connection(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Restarted { .. }
            | Self::Refused { .. }
            | Self::Garbled { .. }
            | Self::TooLarge { .. }
            | Self::Certificate { .. }
            | Self::Silent => false,
        }
    }
}

/// One node's agent.
pub(super) struct AgentClient {
    http: reqwest::Client,
    url: String,
    token: Secret,
}

impl AgentClient {
    fn new(url: &str, certificate: Option<&str>, token: Secret) -> Result<Self, AgentError> {
        let failed = |err| AgentError::Certificate { url: url.to_owned(), err };
        let roots = match certificate {
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(failed)?,
            None => Vec::new(),
        };
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(failed)?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    async fn exchange<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        limit: Duration,
    ) -> Result<T, AgentError> {
        // The URL holds the token: it must not reach an error.
        let lost =
            |err: reqwest::Error| AgentError::Unreachable { url: self.url.clone(), err: err.without_url() };
        let mut answer = request
            .query(&[("agent_token", self.token.expose())])
            .timeout(limit)
            .send()
            .await
            .map_err(lost)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(AgentError::TooLarge { url: self.url.clone() });
            }
            body.extend_from_slice(&chunk);
        }
        if status == 401 {
            return Err(AgentError::Restarted { url: self.url.clone() });
        }
        if status >= 400 {
            let fault = serde_json::from_slice::<Fault>(&body).map_or_else(
                |_| String::from_utf8_lossy(&body).chars().take(200).collect(),
                |fault| fault.faultstring,
            );
            return Err(AgentError::Refused { url: self.url.clone(), status, fault });
        }
        serde_json::from_slice(&body).map_err(|err| AgentError::Garbled { url: self.url.clone(), err })
    }

    /// Every command so far, oldest first.
    pub(super) async fn commands(&self) -> Result<Vec<CommandResult>, AgentError> {
        let request = self.http.get(format!("{}/v1/commands/", self.url));
        self.exchange::<Commands>(request, EXCHANGE_TIMEOUT).await.map(|list| list.commands)
    }

    /// Run a command, once.
    pub(super) async fn command(
        &self,
        name: &str,
        params: Map<String, Value>,
        wait: bool,
    ) -> Result<CommandResult, AgentError> {
        let request = self
            .http
            .post(format!("{}/v1/commands/", self.url))
            .query(&[("wait", if wait { "true" } else { "false" })])
            .json(&json!({"name": name, "params": params}));
        self.exchange(request, if wait { WAIT_TIMEOUT } else { EXCHANGE_TIMEOUT }).await
    }

    /// Start a command that runs on, or find it started: the command list says
    /// whether an earlier try (of this or of a killed process) arrived. `seen`
    /// is the last command that is known to be older.
    pub(super) async fn start(
        &self,
        name: &str,
        params: &Map<String, Value>,
        seen: Option<&str>,
    ) -> Result<CommandResult, AgentError> {
        let bare = name.rsplit('.').next().unwrap_or(name);
        let mut tries = 0;
        loop {
            tries += 1;
            let attempt = async {
                let commands = self.commands().await?;
                let ours =
                    |last: &&CommandResult| last.command_name == bare && Some(last.id.as_str()) != seen;
                match commands.last().filter(ours) {
                    Some(started) => Ok(started.clone()),
                    None => self.command(name, params.clone(), false).await,
                }
            };
            match attempt.await {
                Err(error) if error.is_lost_connection() && tries < TRIES => {
                    tokio::time::sleep(RETRY_PAUSE).await
                }
                result => return result,
            }
        }
    }
}

/// What a failed command says of itself: details, else message, else class.
pub(super) fn reason(result: &CommandResult) -> String {
    match (&result.command_error, result.command_status) {
        (Some(error), _) if !error.details.is_empty() => error.details.clone(),
        (Some(error), _) if !error.message.is_empty() => error.message.clone(),
        (Some(error), _) => error.class.clone(),
        (None, CommandStatus::VersionMismatch) => {
            "the agent has other steps than it said before; start the operation again".to_owned()
        }
        (None, CommandStatus::Running | CommandStatus::Succeeded | CommandStatus::Failed) => {
            "the agent gave no reason; see its logs".to_owned()
        }
    }
}

impl Inner {
    /// Name what failed, and where.
    pub(super) fn agent_failed(&self, node: &Node, step: &str) -> impl Fn(AgentError) -> EffectError {
        let (node, step) = (node.title(), step.to_owned());
        move |err| EffectError::Agent { node: node.clone(), step: step.clone(), err }
    }

    /// The agent, if it can be spoken to without waiting.
    pub(super) fn agent_now(&self, node: &Node) -> Result<Option<AgentClient>, EffectError> {
        let token = lock(&self.tokens).get(&node.uuid).cloned();
        let (Some(url), Some(token)) = (&node.agent.url, token) else { return Ok(None) };
        AgentClient::new(url, node.agent.certificate.as_deref(), token)
            .map(Some)
            .map_err(self.agent_failed(node, "connecting"))
    }

    /// The agent. After a restart its token comes with its next heartbeat.
    pub(super) async fn agent(&self, node: &Node) -> Result<AgentClient, EffectError> {
        let began = Instant::now();
        loop {
            let came = self.token_came.notified();
            tokio::pin!(came);
            came.as_mut().enable(); // from here on no notification is missed
            let fresh = self.node(node.uuid).await?;
            if let Some(agent) = self.agent_now(&fresh)? {
                return Ok(agent);
            }
            let left = self.settings.silence_timeout.saturating_sub(began.elapsed());
            if timeout(left, came).await.is_err() {
                return Err(self.agent_failed(node, "connecting")(AgentError::Silent));
            }
        }
    }

    /// Run a command and have its result.
    pub(super) async fn ask(
        &self,
        node: &Node,
        name: &str,
        params: Map<String, Value>,
    ) -> Result<CommandResult, EffectError> {
        let agent = self.agent(node).await?;
        let mut tries = 0;
        let result = loop {
            tries += 1;
            match agent.command(name, params.clone(), true).await {
                Err(error) if error.is_lost_connection() && tries < TRIES => {
                    tokio::time::sleep(RETRY_PAUSE).await
                }
                result => break result.map_err(self.agent_failed(node, name))?,
            }
        };
        match result.command_status {
            CommandStatus::Succeeded => Ok(result),
            CommandStatus::Running | CommandStatus::Failed | CommandStatus::VersionMismatch => {
                Err(EffectError::Step { node: node.title(), step: name.to_owned(), details: reason(&result) })
            }
        }
    }

    /// Poll command `id` until it ends; its progress is kept meanwhile, and so is
    /// the evidence of each disk that ended, also when the command fails. A lost
    /// connection is borne for the silence timeout.
    pub(super) async fn follow(
        &self,
        node: &Node,
        step: &str,
        id: &str,
    ) -> Result<CommandResult, EffectError> {
        let mut answered = Instant::now();
        let mut kept = 0;
        loop {
            let agent = self.agent(node).await?;
            match agent.commands().await {
                Ok(commands) => {
                    answered = Instant::now();
                    let Some(result) = commands.into_iter().find(|command| command.id == id) else {
                        let url = agent.url.clone();
                        return Err(self.agent_failed(node, step)(AgentError::Restarted { url }));
                    };
                    match result.command_status {
                        CommandStatus::Running => {
                            kept = proof::take_early(self, node, step, &result, kept).await?;
                            self.keep_progress(node, result.command_result);
                        }
                        CommandStatus::Succeeded => return Ok(result),
                        CommandStatus::Failed | CommandStatus::VersionMismatch => {
                            proof::take_result(self, node, step, &result).await?;
                            let (node, step) = (node.title(), step.to_owned());
                            return Err(EffectError::Step { node, step, details: reason(&result) });
                        }
                    }
                }
                Err(error)
                    if error.is_lost_connection() && answered.elapsed() < self.settings.silence_timeout =>
                {
                    tracing::debug!(node = %node.title(), step, error = chain(&error), "the agent does not answer; trying again");
                }
                Err(error) => return Err(self.agent_failed(node, step)(error)),
            }
            tokio::time::sleep(self.settings.poll_interval).await;
        }
    }

    fn keep_progress(&self, node: &Node, result: Option<Value>) {
        let progress = result.and_then(|mut result| result.get_mut("progress").map(Value::take));
        if let Some(progress) = progress.filter(|progress| progress.to_string().len() <= PROGRESS_LIMIT) {
            lock(&self.progress).insert(node.uuid, progress);
        }
    }
}

/// Follow the node's running step to its end.
pub(super) async fn watch(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    let Some(id) = node.operation.command.clone() else {
        // Its end was stored just before a restart.
        return Ok(super::perform::event(Event::StepEnded));
    };
    let erasing = node.state != State::DeployWaitWrite;
    let step = if erasing {
        node.operation.step().map(clean::step_name).unwrap_or_default()
    } else {
        "write_image".to_owned()
    };
    let result = inner.follow(node, &step, &id).await?;
    if erasing {
        proof::take_result(inner, node, &step, &result).await?;
    } else {
        inner.change(node.uuid, |node| node.operation.ends(&id)).await?;
    }
    Ok(super::perform::event(Event::StepEnded))
}
