//! The control plane as the agent calls it: discovery, lookup, heartbeat,
//! inspection. One call each; who retries is decided elsewhere.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use model::Mac;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use wire::ironic::{ApiError, Heartbeat, LookupResponse, Microversion, Root};

use crate::config::Config;
use fetch::Trust;

/// The largest answer read. A lookup of a node with a long history of steps is
/// some 50 KiB.
const MAX_ANSWER: usize = 4 << 20;

/// The newest version whose lookup this agent knows.
const LOOKUP_VERSION: Microversion = Microversion::v1(62);

/// The newest version whose heartbeat this agent knows: it carries the certificate.
const HEARTBEAT_VERSION: Microversion = Microversion::v1(68);

/// The first whose heartbeat carries a status.
pub(crate) const STATUS_VERSION: Microversion = Microversion::v1(72);

/// What is assumed of a control plane that does not tell.
const OLDEST_VERSION: Microversion = Microversion::v1(31);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody answered.
    #[error("cannot reach {url}")]
    Unreachable {
        /// What was called.
        url: String,
        /// What happened.
        #[source]
        err: reqwest::Error,
    },
    /// The answer is no.
    #[error("{url} answers {status}: {text}")]
    Refused {
        /// What was called.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// What the answer says.
        text: String,
    },
    /// The answer is not what was asked for.
    #[error("{url} does not answer as Ironic does ({flaw}): {text}")]
    Nonsense {
        /// What was called.
        url: String,
        /// What is wrong with it.
        flaw: String,
        /// Its beginning.
        text: String,
    },
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The bundle cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// The HTTP library refuses.
    #[error("cannot make an HTTPS client; is {bundle} a bundle of PEM certificates?")]
    Make {
        /// The bundle.
        bundle: String,
        /// What it says.
        #[source]
        err: reqwest::Error,
    },
}

/// The control plane.
pub(crate) struct Ironic {
    client: Client,
    /// The one that answered last is first.
    urls: Mutex<Vec<String>>,
    request_id: Option<String>,
}

impl Ironic {
    /// A client as `config` wants it.
    ///
    /// # Errors
    /// [`ClientError`]: the certificates cannot be read.
    pub(crate) fn new(config: &Config) -> Result<Self, ClientError> {
        Ok(Self {
            client: client(config)?,
            urls: Mutex::new(config.api_urls.clone()),
            request_id: config.request_id.clone(),
        })
    }

    /// The newest version that the control plane speaks. One that answers
    /// without saying is taken for an old one.
    ///
    /// # Errors
    /// [`CallError`] when nobody answers, or not as Ironic does.
    pub(crate) async fn version(&self) -> Result<Microversion, CallError> {
        let root: Root = match self.call(|url| self.client.get(format!("{url}/"))).await? {
            (url, answer) if answer.status().is_success() => parse(&url, answer).await?,
            (url, answer) => {
                let refused = refused(url, answer).await;
                tracing::warn!(%refused, "the control plane does not tell its version");
                return Ok(OLDEST_VERSION);
            }
        };
        Ok(root.default_version.version)
    }

    /// Who am I, and how shall I behave?
    ///
    /// # Errors
    /// [`CallError`]; 404 means: nobody expects this machine.
    pub(crate) async fn lookup(
        &self,
        speaks: Microversion,
        macs: &[Mac],
        node: Option<&str>,
    ) -> Result<LookupResponse, CallError> {
        let addresses = macs.iter().map(Mac::to_string).collect::<Vec<_>>().join(",");
        let mut query = vec![("addresses", addresses.as_str())];
        query.extend(node.map(|uuid| ("node_uuid", uuid)));
        let version = speaks.min(LOOKUP_VERSION).to_string();
        let (url, answer) = self
            .call(|url| {
                let request = self.client.get(format!("{url}/v1/lookup")).query(&query);
                request.header(Microversion::HEADER, &version)
            })
            .await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(url, answer).await);
        }
        parse(&url, answer).await
    }

    /// I am here.
    ///
    /// # Errors
    /// [`CallError`]; 409 means: the node is locked, come again.
    pub(crate) async fn heartbeat(
        &self,
        speaks: Microversion,
        node: &str,
        heartbeat: &Heartbeat,
    ) -> Result<(), CallError> {
        let says = heartbeat.agent_status.is_some() || heartbeat.agent_status_message.is_some();
        let newest = if says { STATUS_VERSION } else { HEARTBEAT_VERSION };
        let version = speaks.min(newest).to_string();
        let (url, answer) = self
            .call(|url| {
                let request = self.client.post(format!("{url}/v1/heartbeat/{node}")).json(heartbeat);
                request.header(Microversion::HEADER, &version)
            })
            .await?;
        match answer.status() {
            StatusCode::ACCEPTED => Ok(()),
            _ => Err(refused(url, answer).await),
        }
    }

    /// Post what an inspection found to the first of `urls` that answers; the
    /// node's UUID comes back. No version header: Ironic knows this call by that.
    ///
    /// # Errors
    /// [`CallError`]; 404 means: nobody expects an inspection of this machine.
    pub(crate) async fn inspected(&self, urls: &[String], body: &[u8]) -> Result<String, CallError> {
        let mut unreachable = None;
        for url in urls {
            let request = self.client.post(url.as_str()).header("Content-Type", "application/json");
            match self.identified(request).body(body.to_vec()).send().await {
                Ok(answer) if answer.status().is_success() => {
                    let answer: Inspected = parse(url, answer).await?;
                    return Ok(answer.uuid);
                }
                Ok(answer) => return Err(refused(url.clone(), answer).await),
                Err(err) => unreachable = Some(gone(url.clone(), err)),
            }
        }
        Err(unreachable.unwrap_or_else(|| CallError::Nonsense {
            url: "nobody".to_owned(),
            flaw: "no URL to post to".to_owned(),
            text: String::new(),
        }))
    }

    /// Try the URLs in turn until one answers at all; it is tried first from then on.
    async fn call(&self, request: impl Fn(&str) -> RequestBuilder) -> Result<(String, Response), CallError> {
        let urls = self.urls();
        let mut last = None;
        for (place, url) in urls.iter().enumerate() {
            match self.identified(request(url)).send().await {
                Ok(answer) => {
                    self.prefer(place, url);
                    return Ok((url.clone(), answer));
                }
                Err(err) => last = Some(gone(url.clone(), err)),
            }
        }
        Err(last.unwrap_or_else(|| CallError::Nonsense {
            url: "nobody".to_owned(),
            flaw: "no API URL is known".to_owned(),
            text: String::new(),
        }))
    }

    fn identified(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header("Accept", "application/json");
        match &self.request_id {
            Some(id) => request.header("X-OpenStack-Request-ID", id),
            None => request,
        }
    }

    /// `host:port` of the URL that answered last.
    pub(crate) fn peer(&self) -> Option<String> {
        let url = reqwest::Url::parse(self.urls().first()?).ok()?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }

    fn urls(&self) -> Vec<String> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn prefer(&self, place: usize, url: &str) {
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        if urls.get(place).is_some_and(|found| found == url) {
            urls[..=place].rotate_right(1);
        }
    }
}

/// Ironic answers 202 with more, or less, than this.
#[derive(serde::Deserialize)]
#[serde(from = "InspectedAnswer")]
struct Inspected {
    uuid: String,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum InspectedAnswer {
    Bare { uuid: String },
    Full { node: wire::ironic::LookupNode },
}

impl From<InspectedAnswer> for Inspected {
    fn from(answer: InspectedAnswer) -> Self {
        match answer {
            InspectedAnswer::Bare { uuid } => Self { uuid },
            InspectedAnswer::Full { node } => Self { uuid: node.uuid },
        }
    }
}

fn client(config: &Config) -> Result<Client, ClientError> {
    let builder = Client::builder().no_proxy().timeout(config.pace.request);
    let (builder, bundle) = match &config.trust {
        Trust::Anybody => {
            (builder.tls_danger_accept_invalid_certs(true).tls_certs_only([]), "insecure".to_owned())
        }
        Trust::Bundle(path) => (builder.tls_certs_only(certificates(path)?), path.display().to_string()),
    };
    builder.build().map_err(|err| ClientError::Make { bundle, err })
}

/// Nothing, when there is no file: then nobody is believed.
fn certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let pem = match fs::read(path) {
        Ok(pem) => pem,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(ClientError::Bundle { path: path.to_owned(), err }),
    };
    reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|err| ClientError::Make { bundle: path.display().to_string(), err })
}

fn gone(url: String, err: reqwest::Error) -> CallError {
    CallError::Unreachable { url, err: err.without_url() }
}

async fn refused(url: String, answer: Response) -> CallError {
    let status = answer.status();
    match read(&url, answer).await {
        Ok(body) => CallError::Refused { url, status, text: ApiError::text_of(&body) },
        Err(err) => err,
    }
}

async fn parse<T: serde::de::DeserializeOwned>(url: &str, answer: Response) -> Result<T, CallError> {
    let body = read(url, answer).await?;
    crate::json::parse(&body).map_err(|err| CallError::Nonsense {
        url: url.to_owned(),
        flaw: err.to_string(),
        text: ApiError::text_of(&body),
    })
}

async fn read(url: &str, mut answer: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|err| gone(url.to_owned(), err))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(CallError::Nonsense {
                url: url.to_owned(),
                flaw: format!("more than {MAX_ANSWER} bytes"),
                text: ApiError::text_of(&body),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
