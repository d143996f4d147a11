//! Lookup and heartbeat: what a ramdisk may ask without a password.

use axum::{
    Extension, Json as Answer,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use model::{Mac, Secret};
use serde_json::{Map, Value};
use wire::ironic::{
    AgentContainers, Heartbeat, LookupConfig, LookupNode, LookupResponse, MASKED, Metrics, MetricsStatsd,
    Microversion,
};

use super::{Api, Failure, body};
use crate::{
    clock::Time,
    node::{Event, State as Life, Verdict, next},
    record::{Node, Token},
    store::Along,
    view,
};

/// Since when the endpoints exist.
const SINCE: Microversion = Microversion::v1(22);
/// More addresses than this are no server.
const ADDRESSES_LIMIT: usize = 256;
/// What is kept of an agent's last words, in characters.
const LONGEST_LAST_WORDS: usize = 1000;
/// Heartbeat fields and the version that brought them.
const FIELDS: &[(&str, u16)] = &[
    ("callback_url", 22),
    ("agent_version", 36),
    ("agent_token", 62),
    ("agent_verify_ca", 68),
    ("agent_status", 72),
    ("agent_status_message", 72),
];

pub(super) async fn lookup(
    State(api): State<Api>,
    Extension(version): Extension<Microversion>,
    RawQuery(query): RawQuery,
) -> Result<Answer<LookupResponse>, Failure> {
    if version < SINCE {
        return Err(Failure::not_found());
    }
    let (addresses, uuid) = asked_for(&query.unwrap_or_default());
    let found = match uuid {
        Some(ident) => api.store().find_node(&ident).await?,
        None if addresses.is_empty() => {
            return Err(Failure::bad_request(
                "At least one of 'addresses' and 'node_uuid' parameters is required",
            ));
        }
        None => match api.store().owner_of(&addresses).await? {
            Some(uuid) => api.store().node(uuid).await?,
            None => None,
        },
    };
    let node = found.ok_or_else(Failure::not_found)?;
    let (node, token) = hand_out(&api, &node).await?;
    Ok(Answer(answer(&api, &node, token)))
}

fn asked_for(query: &str) -> (Vec<Mac>, Option<String>) {
    let url = reqwest::Url::parse(&format!("http://query/?{query}"));
    let (mut addresses, mut uuid) = (Vec::new(), None);
    for (key, value) in url.iter().flat_map(reqwest::Url::query_pairs) {
        match key.as_ref() {
            "addresses" => addresses.extend(
                value.split(',').take(ADDRESSES_LIMIT).filter_map(|text| text.trim().parse::<Mac>().ok()),
            ),
            "node_uuid" if wire::ironic::is_uuid(&value) => uuid = Some(value.into_owned()),
            _ => {}
        }
    }
    (addresses, uuid)
}

/// The token, the first time; masked ever after, whatever version asks.
async fn hand_out(api: &Api, node: &Node) -> Result<(Node, Secret), Failure> {
    let fast_track = api.conductor.settings().fast_track;
    let random =
        Token::random().map_err(|error| Failure::server(&format!("no randomness for a token: {error}")))?;
    let changed = api.store().change(node.uuid, |node| {
        if !node.agent.awaited || !may_look_up(node.state, fast_track) {
            return Err(Failure::not_found());
        }
        let token = match node.agent.token_sha256 {
            Some(_) => None,
            None => {
                node.agent.token_sha256 = Some(Token::fingerprint(random.0.expose()));
                Some(random.0.clone())
            }
        };
        Ok(((node.clone(), token), Along::default()))
    });
    let (node, token) = changed.await?;
    tracing::info!(node = %node.title(), first = token.is_some(), "lookup");
    if let Some(token) = &token {
        api.conductor.learn_token(node.uuid, token.clone());
    }
    Ok((node, token.unwrap_or_else(|| Secret::new(MASKED))))
}

/// Ironic's `restrict_lookup`. Besides, an agent must be awaited: a system that
/// runs on the machine while its operation begins must not take the token, and
/// with it the whole cleaning, before the machine is off.
fn may_look_up(state: Life, fast_track: bool) -> bool {
    let word = state.provision_state();
    let always = ["deploying", "wait call-back", "cleaning", "clean wait", "inspecting", "inspect wait"];
    always.contains(&word) || (fast_track && ["enroll", "manageable", "available"].contains(&word))
}

fn answer(api: &Api, node: &Node, token: Secret) -> LookupResponse {
    let shown = view::node(node, api.base());
    let object = |key: &str| shown.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let id = node.uuid.to_string();
    LookupResponse {
        node: LookupNode {
            links: serde_json::from_value(view::links(api.base(), "nodes", &id)).unwrap_or_default(),
            uuid: id,
            properties: object("properties"),
            instance_info: object("instance_info"),
            driver_internal_info: object("driver_internal_info"),
        },
        config: LookupConfig {
            metrics: Metrics::default(),
            metrics_statsd: MetricsStatsd::default(),
            heartbeat_timeout: api.conductor.settings().heartbeat_timeout.as_secs(),
            agent_containers: AgentContainers::default(),
            agent_token: Some(token),
            agent_token_required: true,
            agent_md5_checksum_enable: false,
            disable_deep_image_inspection: false,
            permitted_image_formats: ["raw", "gpt", "qcow2"].map(str::to_owned).to_vec(),
            agent_skip_bmc_detect: node.text("driver") == Some("redfish"),
            enable_bios_bootloader_install: false,
            tls_min_version: Some("1.3".to_owned()),
            tls_cipher_suites: None,
        },
    }
}

pub(super) async fn heartbeat(
    State(api): State<Api>,
    Extension(version): Extension<Microversion>,
    Path(ident): Path<String>,
    body: Result<body::Json<{ body::SMALL }>, Failure>,
) -> Result<StatusCode, Failure> {
    let result = heard(&api, version, &ident, body).await;
    api.conductor.metrics().heartbeat(result.is_ok());
    if let Err(failure) = &result {
        tracing::info!(node = ident, %failure, "heartbeat refused");
    }
    result
}

async fn heard(
    api: &Api,
    version: Microversion,
    ident: &str,
    body: Result<body::Json<{ body::SMALL }>, Failure>,
) -> Result<StatusCode, Failure> {
    if version < SINCE {
        return Err(Failure::not_found());
    }
    let body = body?.object()?;
    known_fields(&body, version)?;
    let beat: Heartbeat = serde_json::from_value(Value::Object(body))
        .map_err(|error| Failure::bad_request(format!("Invalid heartbeat: {error}")))?;
    let node = api.store().find_node(ident).await?.ok_or_else(|| Failure::no_node(ident))?;
    let callback = beat.callback_url.as_deref().unwrap_or_default();
    if !callback.is_empty() && !callback.starts_with("http://") && !callback.starts_with("https://") {
        return Err(Failure::bad_request("An agent callback_url must be HTTP or HTTPS."));
    }
    let token = beat
        .agent_token
        .clone()
        .ok_or_else(|| Failure::bad_request("Agent token is required for heartbeat processing."))?;
    let state = api.store().change(node.uuid, |node| record(node, &beat, &token)).await?;
    api.conductor.learn_token(node.uuid, token);
    let (event, words) = match beat.agent_status.as_deref() {
        Some("error") => (end_of_agent(state), Some(last_words(&beat))),
        _ => (Event::Heartbeat, None),
    };
    if let Ok(Verdict::Go(..)) = next(state, event) {
        api.conductor.tell(node.uuid, event, words).await?;
    }
    Ok(StatusCode::ACCEPTED)
}

/// What it means that the agent ends by itself: what it did has failed, and
/// where nothing was begun, nobody will call.
fn end_of_agent(state: Life) -> Event {
    match next(state, Event::Failed) {
        Ok(Verdict::Go(..)) => Event::Failed,
        Ok(Verdict::Stay) | Err(_) => Event::TimedOut,
    }
}

fn last_words(beat: &Heartbeat) -> String {
    let said = beat.agent_status_message.as_deref().unwrap_or("it does not say why");
    let said: String = said.chars().take(LONGEST_LAST_WORDS).collect();
    format!("The agent ended and its machine restarts: {said}; see the console of the machine")
}

fn known_fields(body: &Map<String, Value>, version: Microversion) -> Result<(), Failure> {
    for key in body.keys() {
        let Some((_, since)) = FIELDS.iter().find(|(name, _)| name == key) else {
            return Err(Failure::bad_request(format!("Unexpected arguments: {key}")));
        };
        if version < Microversion::v1(*since) {
            return Err(Failure::bad_request(format!("Field \"{key}\" not recognised in this version")));
        }
    }
    Ok(())
}

/// Check a heartbeat against the node and keep what it says.
fn record(node: &mut Node, beat: &Heartbeat, token: &Secret) -> Result<(Life, Along), Failure> {
    let version = beat.agent_version.as_deref().filter(|version| !version.is_empty());
    let version = version.ok_or_else(|| {
        Failure::bad_request("Agent did not transmit a version, and a version is required. Please update the agent being used.")
    })?;
    // Digests are compared, so the time it takes tells nothing about the token.
    if node.agent.token_sha256 != Some(Token::fingerprint(token.expose())) {
        return Err(Failure::bad_request("Invalid or missing agent token received."));
    }
    let callback = beat.callback_url.as_deref().unwrap_or_default().trim_end_matches('/');
    if callback.starts_with("http://") {
        return Err(Failure::bad_request("TLS is required by configuration"));
    }
    let agent = &mut node.agent;
    for (name, old, new) in [
        ("callback_url", &agent.url, Some(callback)),
        ("agent_verify_ca", &agent.certificate, beat.agent_verify_ca.as_deref()),
    ] {
        if old.as_deref().is_some_and(|old| new.is_some_and(|new| new != old)) {
            return Err(Failure::bad_request(format!("Detected change in ramdisk provided \"{name}\"")));
        }
    }
    agent.url = Some(callback.to_owned()).filter(|url| !url.is_empty());
    agent.certificate = beat.agent_verify_ca.clone().or_else(|| agent.certificate.take());
    agent.version = Some(version.to_owned());
    agent.last_heartbeat = Some(Time::now());
    if node.state.provision_state().contains("wait") {
        node.known.provision_updated_at = Some(Time::now());
    }
    Ok((node.state, Along::default()))
}
