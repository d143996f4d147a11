//! Counters, in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

/// What is counted since the start. Labels come from closed sets, so the maps stay small.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Mutex<BTreeMap<(&'static str, String), u64>>,
}

const HELP: &[(&str, &str)] = &[
    ("billet_transitions_total", "State changes of nodes."),
    ("billet_erasures_total", "Disks whose erasure evidence was judged."),
    ("billet_heartbeats_total", "Heartbeats, by what became of them."),
    ("billet_http_responses_total", "HTTP responses, by status."),
];

impl Metrics {
    fn count(&self, name: &'static str, labels: String) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((name, labels)).or_default() += 1;
    }

    /// A node changed its state.
    pub fn transition(&self, from: &str, to: &str) {
        self.count("billet_transitions_total", format!("from=\"{from}\",to=\"{to}\""));
    }

    /// Evidence was judged.
    pub fn erasure(&self, verified: bool, method: &str) {
        let known = method.len() <= 40
            && method.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let method = if known { method } else { "other" };
        self.count("billet_erasures_total", format!("method=\"{method}\",verified=\"{verified}\""));
    }

    /// A heartbeat was answered.
    pub fn heartbeat(&self, accepted: bool) {
        self.count("billet_heartbeats_total", format!("accepted=\"{accepted}\""));
    }

    /// A request was answered.
    pub fn response(&self, status: u16) {
        self.count("billet_http_responses_total", format!("status=\"{status}\""));
    }

    /// The page. `states` is how many nodes are in each state now.
    #[must_use]
    pub fn render(&self, states: &[(String, i64)]) -> String {
        let mut page = String::from("# HELP billet_nodes Nodes by state.\n# TYPE billet_nodes gauge\n");
        for (state, count) in states {
            writeln!(page, "billet_nodes{{state=\"{state}\"}} {count}").expect("strings take text");
        }
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help) in HELP {
            writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter").expect("strings take text");
            for ((_, labels), count) in counters.iter().filter(|((known, _), _)| known == name) {
                writeln!(page, "{name}{{{labels}}} {count}").expect("strings take text");
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_prometheus_text() {
        let metrics = Metrics::default();
        metrics.heartbeat(true);
        metrics.heartbeat(true);
        metrics.erasure(false, "nvme.format\"}\n evil");
        let page = metrics.render(&[("active".to_owned(), 3)]);
        assert!(page.contains("billet_nodes{state=\"active\"} 3\n"), "{page}");
        assert!(page.contains("billet_heartbeats_total{accepted=\"true\"} 2\n"), "{page}");
        assert!(page.contains("billet_erasures_total{method=\"other\",verified=\"false\"} 1\n"), "{page}");
    }
}
