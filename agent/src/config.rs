//! What this agent was told: by the kernel command line, and by hands.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use fetch::Trust;
use init::Params;
use model::Secret;
use wire::ironic::Microversion;

/// The agent's port in Ironic's contract.
pub(crate) const PORT: u16 = 9999;

/// How an inspection is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Full URLs to post to.
    pub(crate) urls: Vec<String>,
    /// What to collect.
    pub(crate) collectors: Vec<String>,
    /// How long addresses are waited for; zero: not at all.
    pub(crate) address_wait: Duration,
    /// Whether every interface with a cable is waited for, or that of the boot.
    pub(crate) all_addresses: bool,
    /// How long switches are listened to when none says anything more; `None`:
    /// not at all.
    pub(crate) lldp: Option<Duration>,
}

/// What is collected when nobody says what.
const COLLECTORS: [&str; 2] = ["default", "logs"];

/// How long an inspection waits for addresses: Ironic's agent's default.
const ADDRESS_WAIT_S: u64 = 60;

/// How long switches may be silent; they speak every 30 s.
const LLDP_S: u64 = 30;

/// No inspection waits longer, whatever it is told: Ironic gives up after 30 minutes.
const LONGEST_WAIT_S: u64 = 900;

/// How long things wait. Tests make it short.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// The first pause between lookups; it grows to `retry_max`.
    pub(crate) retry_min: Duration,
    /// The longest pause between tries of anything.
    pub(crate) retry_max: Duration,
    /// After a failed heartbeat, at least.
    pub(crate) heartbeat_retry: Duration,
    /// Between an ended command's heartbeats, until the result is read: a
    /// conductor that still holds the node's lock drops the first one.
    pub(crate) forced_gap: Duration,
    /// One HTTP request.
    pub(crate) request: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            heartbeat_retry: Duration::from_secs(5),
            forced_gap: Duration::from_secs(5),
            request: Duration::from_secs(30),
        }
    }
}

/// Everything the agent was told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Ironic's base URLs. Empty: only inspection.
    pub(crate) api_urls: Vec<String>,
    /// When and where to inspect.
    pub(crate) inspection: Option<Inspection>,
    /// A pre-shared token (virtual media).
    pub(crate) token: Option<Secret>,
    /// Sent along as `X-OpenStack-Request-ID`.
    pub(crate) request_id: Option<String>,
    /// Whose certificates are believed.
    pub(crate) trust: Trust,
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Where it is seen from outside; empty: our address on the way to Ironic.
    pub(crate) advertise: Vec<IpAddr>,
    /// With which port.
    pub(crate) advertise_port: Option<u16>,
    /// `BOOTIF`, as it came.
    pub(crate) boot_interface: Option<String>,
    /// Ironic's newest version, if it must not be asked.
    pub(crate) api_version: Option<Microversion>,
    /// Exactly these disks exist; empty: all.
    pub(crate) only_disks: Vec<PathBuf>,
    /// Where the time comes from: `rtc` or `ntp`.
    pub(crate) clock_source: &'static str,
    /// How long things wait.
    pub(crate) pace: Pace,
    /// How patiently images are fetched.
    pub(crate) downloads: fetch::Pace,
}

/// Why the parameters cannot be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Anybody on the wire could answer.
    #[error("{name}=mdns: finding a control plane by mDNS is refused, since anybody may answer; give a URL")]
    Mdns {
        /// The parameter.
        name: &'static str,
    },
    /// Not an address.
    #[error("{name}={text} is not {want}")]
    Malformed {
        /// The parameter.
        name: &'static str,
        /// Its value.
        text: String,
        /// What it should be.
        want: &'static str,
    },
    /// Nobody to talk to.
    #[error(
        "neither ipa-api-url nor ipa-inspection-callback-url is given: this agent has nobody to talk to; \
         check the kernel command line the boot service sends"
    )]
    Nobody,
}

impl Config {
    /// Follow kernel parameters.
    ///
    /// # Errors
    /// [`ConfigError`] naming the parameter that cannot be followed.
    pub(crate) fn from_params(params: &Params) -> Result<Self, ConfigError> {
        let api_urls = params.api_urls();
        let config = Self {
            inspection: inspection(params, &api_urls),
            api_urls,
            token: params.agent_token(),
            request_id: params.get("ipa-global-request-id").map(str::to_owned),
            trust: trust(params),
            listen: listen(params)?,
            advertise: addresses(params)?,
            advertise_port: port(params, "ipa-advertise-port")?,
            boot_interface: params.get("BOOTIF").map(str::to_owned),
            api_version: parsed(params, "ipa-ironic-api-version", "a version such as 1.68")?,
            only_disks: Vec::new(),
            clock_source: "rtc",
            pace: pace(params),
            downloads: downloads(params),
        };
        config.checked()
    }

    /// Refuse what cannot work or must not be done.
    ///
    /// # Errors
    /// [`ConfigError::Mdns`], [`ConfigError::Nobody`].
    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        if self.api_urls.iter().any(|url| url == "mdns") {
            return Err(ConfigError::Mdns { name: "ipa-api-url" });
        }
        let inspected = self.inspection.as_ref().map_or(&[][..], |inspection| &inspection.urls);
        if inspected.iter().any(|url| url == "mdns") {
            return Err(ConfigError::Mdns { name: "ipa-inspection-callback-url" });
        }
        if self.api_urls.is_empty() && inspected.is_empty() {
            return Err(ConfigError::Nobody);
        }
        Ok(self)
    }
}

/// Inspection is done when its URL is given, or its collectors and an API.
fn inspection(params: &Params, api_urls: &[String]) -> Option<Inspection> {
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut collectors = owned(params.list("ipa-inspection-collectors"));
    let mut urls = owned(params.list("ipa-inspection-callback-url"));
    if urls.is_empty() && !collectors.is_empty() {
        urls = api_urls.iter().map(|url| format!("{url}/v1/continue_inspection")).collect();
    }
    if collectors.is_empty() {
        collectors = owned(COLLECTORS.to_vec());
    }
    if urls.is_empty() {
        return None;
    }
    if params.get("ipa-inspection-benchmarks").is_some() {
        tracing::warn!("ipa-inspection-benchmarks is given: this agent measures nothing");
    }
    let listens = params.is_true("ipa-collect-lldp") || collectors.iter().any(|name| name == "lldp");
    Some(Inspection {
        urls,
        collectors,
        address_wait: seconds(params, "ipa-inspection-dhcp-wait-timeout", ADDRESS_WAIT_S),
        all_addresses: params.is_true("ipa-inspection-dhcp-all-interfaces"),
        lldp: listens.then(|| seconds(params, "ipa-lldp-timeout", LLDP_S)),
    })
}

/// Whole seconds; Ironic's agent takes `30.0` too. What is no number is told, and the default counts.
fn seconds(params: &Params, name: &str, default: u64) -> Duration {
    let told = params.get(name).map(|text| text.split('.').next().unwrap_or_default().parse::<u64>());
    let seconds = match told {
        Some(Ok(seconds)) => seconds,
        Some(Err(err)) => {
            tracing::warn!("{name}: {err}; it is {default} s");
            default
        }
        None => default,
    };
    Duration::from_secs(seconds.min(LONGEST_WAIT_S))
}

fn trust(params: &Params) -> Trust {
    if params.is_true("ipa-insecure") { Trust::Anybody } else { Trust::system() }
}

fn listen(params: &Params) -> Result<SocketAddr, ConfigError> {
    let host = parsed(params, "ipa-listen-host", "an IP address")?;
    let port = port(params, "ipa-listen-port")?.unwrap_or(PORT);
    Ok(SocketAddr::new(host.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port))
}

fn addresses(params: &Params) -> Result<Vec<IpAddr>, ConfigError> {
    Ok(parsed(params, "ipa-advertise-host", "an IP address")?.into_iter().collect())
}

fn port(params: &Params, name: &'static str) -> Result<Option<u16>, ConfigError> {
    parsed(params, name, "a port")
}

fn parsed<T: std::str::FromStr>(
    params: &Params,
    name: &'static str,
    want: &'static str,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let malformed = |_| ConfigError::Malformed { name, text: text.to_owned(), want };
    text.parse().map(Some).map_err(malformed)
}

/// How patiently images are fetched, by Ironic's names where it has some.
/// `billet-image-download-floor` is in KiB/s, and 0 for none;
/// `billet-image-download-total` in seconds.
fn downloads(params: &Params) -> fetch::Pace {
    let mut pace = fetch::Pace::default();
    let seconds = |name| params.number(name).map(Duration::from_secs);
    if let Some(limit) = seconds("ipa-image-download-connection-timeout").filter(|limit| !limit.is_zero()) {
        (pace.connect, pace.stall) = (limit, limit);
    }
    if let Some(retries) = params.number("ipa-image-download-connection-retries") {
        pace.retries = u32::try_from(retries).unwrap_or(u32::MAX);
    }
    if let Some(delay) = seconds("ipa-image-download-connection-retry-interval") {
        pace.delay = delay;
    }
    // Ours: Ironic's agent waits for drips for ever.
    if let Some(rate) = params.number("billet-image-download-floor") {
        let window = fetch::Floor::DEFAULT.window;
        let bytes = rate.saturating_mul(1024).saturating_mul(window.as_secs());
        pace.floor = (rate > 0).then_some(fetch::Floor { bytes, window });
    }
    pace.total = seconds("billet-image-download-total").filter(|limit| !limit.is_zero());
    pace
}

fn pace(params: &Params) -> Pace {
    let mut pace = Pace::default();
    if let Some(seconds) = params.number("ipa-http-request-timeout").filter(|seconds| *seconds > 0) {
        pace.request = Duration::from_secs(seconds);
    }
    pace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, ConfigError> {
        Config::from_params(&Params::parse(text))
    }

    #[test]
    fn images_are_fetched_as_patiently_as_told() {
        let told = "ipa-api-url=http://a ipa-image-download-connection-timeout=7 \
                    ipa-image-download-connection-retries=2 ipa-image-download-connection-retry-interval=1";
        let pace = config(told).unwrap().downloads;
        assert_eq!((pace.connect.as_secs(), pace.retries, pace.delay.as_secs()), (7, 2, 1));
        let pace = config("ipa-api-url=http://a").unwrap().downloads;
        assert_eq!((pace.retries, pace.floor, pace.total), (9, Some(fetch::Floor::DEFAULT), None));
        let told = "ipa-api-url=http://a billet-image-download-floor=8 billet-image-download-total=3600";
        let pace = config(told).unwrap().downloads;
        assert_eq!(pace.floor.map(|floor| floor.bytes), Some(8 * 1024 * 60));
        assert_eq!(pace.total.map(|total| total.as_secs()), Some(3600));
        assert_eq!(
            config("ipa-api-url=http://a billet-image-download-floor=0").unwrap().downloads.floor,
            None
        );
    }

    #[test]
    fn inspection_happens_when_it_is_asked_for() {
        let urls = |text| config(text).unwrap().inspection.map(|inspection| inspection.urls);
        assert_eq!(urls("ipa-api-url=http://a/"), None);
        assert_eq!(
            urls("ipa-api-url=http://a/ ipa-inspection-collectors=default"),
            Some(vec!["http://a/v1/continue_inspection".to_owned()])
        );
        assert_eq!(urls("ipa-inspection-callback-url=http://b/x"), Some(vec!["http://b/x".to_owned()]));
    }

    #[test]
    fn an_inspection_waits_and_listens_as_told() {
        let inspection = |text: &str| {
            let wanted = config(&format!("ipa-inspection-callback-url=http://b/x {text}")).unwrap();
            let wanted = wanted.inspection.unwrap();
            (wanted.address_wait.as_secs(), wanted.all_addresses, wanted.lldp.map(|time| time.as_secs()))
        };
        for (text, want) in [
            ("", (60, false, None)),
            ("ipa-inspection-dhcp-wait-timeout=0 ipa-inspection-dhcp-all-interfaces=1", (0, true, None)),
            ("ipa-inspection-collectors=default,lldp", (60, false, Some(30))),
            ("ipa-collect-lldp=1 ipa-lldp-timeout=5", (60, false, Some(5))),
            ("ipa-inspection-dhcp-wait-timeout=99999999999", (900, false, None)),
            ("ipa-inspection-dhcp-wait-timeout=soon ipa-collect-lldp=1", (60, false, Some(30))),
            ("ipa-collect-lldp=1 ipa-lldp-timeout=5.0", (60, false, Some(5))),
        ] {
            assert_eq!(inspection(text), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for (text, want) in [
            ("", "nobody to talk to"),
            ("ipa-api-url=mdns", "ipa-api-url=mdns"),
            ("ipa-inspection-callback-url=mdns", "ipa-inspection-callback-url=mdns"),
            ("ipa-api-url=http://a ipa-listen-port=99999", "ipa-listen-port=99999 is not a port"),
            ("ipa-api-url=http://a ipa-advertise-host=x", "ipa-advertise-host=x is not an IP address"),
        ] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn tls_is_verified_unless_told_otherwise() {
        assert_eq!(config("ipa-api-url=http://a").unwrap().trust, Trust::system());
        assert_eq!(config("ipa-api-url=http://a ipa-insecure=1").unwrap().trust, Trust::Anybody);
    }
}
