//! The kernel command line, read as Ironic's agent reads it.

use std::{collections::BTreeMap, fmt, io::Read as _, path::Path};

use model::{Mac, Secret};

use crate::modules::canonical;

/// The parameter that holds a pre-shared token; its value is never shown.
const TOKEN: &str = "ipa-agent-token";
/// More than any kernel accepts; a longer text is cut.
const MAX_BYTES: usize = 64 << 10;

/// Parameters of this boot: `key=value` words of `/proc/cmdline`.
///
/// Words are split at white space, without quoting; the first `=` splits a word;
/// the last word of a name wins; names are case-sensitive.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    values: BTreeMap<String, String>,
}

impl Params {
    /// Read `text`; words without `=` mean nothing to us.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.get(..MAX_BYTES).unwrap_or(text);
        let words = text.split_whitespace().filter_map(|word| word.split_once('='));
        Self { values: model::order::map(words.map(|(name, value)| (name.to_owned(), value.to_owned()))) }
    }

    /// Read the file at `path`, usually `/proc/cmdline`. One that cannot be read has no parameters.
    pub fn load(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let limit = MAX_BYTES as u64;
        let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        if let Err(err) = read {
            tracing::warn!(path = %path.display(), %err, "no kernel command line");
        }
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// The value of `name`, if it is not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The comma-separated values of `name`.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let values = self.get(name).into_iter().flat_map(|value| value.split(','));
        values.filter(|value| !value.is_empty()).collect()
    }

    /// Is `name` set to one of the words for yes? (`1`, `t`, `true`, `on`, `y`, `yes`.)
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        let value = self.get(name).map(str::to_ascii_lowercase);
        matches!(value.as_deref(), Some("1" | "t" | "true" | "on" | "y" | "yes"))
    }

    /// The number that `name` is set to.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// Ironic's base URLs, `ipa-api-url`, without trailing slashes.
    #[must_use]
    pub fn api_urls(&self) -> Vec<String> {
        self.list("ipa-api-url").into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect()
    }

    /// The NIC the machine was booted from, `BOOTIF`.
    #[must_use]
    pub fn boot_mac(&self) -> Option<Mac> {
        self.get("BOOTIF")?.parse().ok()
    }

    /// The token that virtual media carries.
    #[must_use]
    pub fn agent_token(&self) -> Option<Secret> {
        self.get(TOKEN).map(Secret::new)
    }

    /// The options for kernel module `name` (`name.option=value`), as `modprobe`
    /// passes them: separated by spaces.
    #[must_use]
    pub fn module_options(&self, name: &str) -> String {
        let options = self.values.iter().filter_map(|(key, value)| {
            let (module, option) = key.split_once('.')?;
            (canonical(module) == name).then(|| format!("{option}={value}"))
        });
        options.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value)| (name, if name == TOKEN { "******" } else { value });
        let pairs = self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        f.debug_map().entries(pairs.map(shown)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read_as_ironic_writes_it() {
        let params = Params::parse(
            "quiet nofb ipa-api-url=http://a:6385/,https://b/x/ ipa-debug=0 ipa-debug=True a=b=c e= \
             BOOTIF=01-52-54-00-aa-bb-cc ipa-lookup-timeout=30\n nvme-core.io_timeout=5 nvme_core.x=y",
        );
        assert_eq!(params.api_urls(), ["http://a:6385", "https://b/x"]);
        assert!(params.is_true("ipa-debug"), "the last one wins");
        assert!(!params.is_true("quiet"), "a word alone is no parameter");
        assert_eq!(params.get("a"), Some("b=c"));
        assert_eq!(params.get("e"), None);
        assert_eq!(params.get("A"), None);
        assert_eq!(params.number("ipa-lookup-timeout"), Some(30));
        assert_eq!(params.boot_mac().map(|mac| mac.to_string()).as_deref(), Some("52:54:00:aa:bb:cc"));
        assert_eq!(params.module_options("nvme_core"), "io_timeout=5 x=y");
        assert_eq!(params.module_options("nvme"), "");
    }

    #[test]
    fn the_token_is_not_shown() {
        let params = Params::parse("ipa-agent-token=hunter2 x=1");
        assert_eq!(params.agent_token(), Some(Secret::new("hunter2")));
        let shown = format!("{params:?}");
        assert!(!shown.contains("hunter2") && shown.contains("\"x\": \"1\""), "{shown}");
    }
}
