//! `billet-agent inventory --explain-root`: which disk root device hints choose,
//! and why each other is not it.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use model::{
    hints::{self, Explanation, RootDeviceHints},
    inventory::Disk,
};

/// What is to be explained.
#[derive(clap::Args)]
pub(super) struct Wanted {
    /// Tell which disk these root device hints choose, and why each other is not
    /// it, as in '{"size": ">= 100"}'; '{}' for the rule without hints. Exits with
    /// 1 when no disk suits.
    #[arg(long, value_name = "JSON", conflicts_with_all = ["format", "json"])]
    explain_root: Option<String>,
    /// The node's list `skip_block_devices`, as in '[{"name": "/dev/sda"}]'.
    #[arg(long, value_name = "JSON", requires = "explain_root")]
    skip_disks: Option<String>,
}

impl Wanted {
    /// Whether anything is to be explained.
    pub(super) fn is_asked(&self) -> bool {
        self.explain_root.is_some()
    }

    /// The explanation, when one is asked for; `left_out` has reasons against disks.
    pub(super) fn run(
        &self,
        disks: &[Disk],
        left_out: &dyn Fn(&Disk) -> Option<String>,
    ) -> anyhow::Result<Option<(String, ExitCode)>> {
        let Some(wanted) = &self.explain_root else { return Ok(None) };
        let wanted: RootDeviceHints = serde_json::from_str(wanted).context("--explain-root")?;
        let skip: Vec<RootDeviceHints> = match &self.skip_disks {
            Some(list) => serde_json::from_str(list).context("--skip-disks")?,
            None => Vec::new(),
        };
        let told = hints::explain(disks, Some(&wanted), &skip, left_out);
        let exit = if told.chosen().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        Ok(Some((draw(&told), exit)))
    }
}

/// The rule, and a line for each disk.
fn draw(told: &Explanation<'_>) -> String {
    let mut text = format!("{}\n\n", told.rule);
    let width = told.disks.iter().map(|(disk, _)| disk.path().len()).max().unwrap_or(0);
    for (disk, verdict) in &told.disks {
        let size = disk.size.to_string();
        let _ = writeln!(text, "  {:<width$}  {size:>10}  {verdict}", disk.path());
    }
    if let Err(none) = told.chosen() {
        let _ = writeln!(text, "\n{none}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::{Options, Root, scan};

    fn args(hints: &str, skip: Option<&str>) -> Wanted {
        Wanted { explain_root: Some(hints.to_owned()), skip_disks: skip.map(str::to_owned) }
    }

    fn told(hints: &str, skip: Option<&str>) -> (String, bool) {
        let root = Root::open(hardware_fixtures::machine("rack-nvme-sata").dir()).expect("recorded");
        let disks = scan(&root, &Options::default()).disks;
        let (text, exit) = args(hints, skip).run(&disks, &|_| None).expect("valid").expect("asked for");
        (text, exit == ExitCode::SUCCESS)
    }

    #[test]
    fn a_person_sees_every_disk_with_its_reason() {
        let (text, found) = told(r#"{"tran": "nvme", "size": "> 100"}"#, None);
        assert!(found, "{text}");
        assert!(
            text.starts_with("the first disk that matches all of: size > 100, tran s== nvme\n"),
            "{text}"
        );
        assert!(text.contains("/dev/nvme0n1") && text.contains("  chosen\n"), "{text}");
        assert!(text.contains("tran sata is not nvme\n"), "{text}");
        let (text, _) = told(r#"{"tran": "nvme"}"#, Some(r#"[{"name": "/dev/nvme0n1"}]"#));
        assert!(text.contains("skipped: skip_block_devices has name s== /dev/nvme0n1\n"), "{text}");
    }

    #[test]
    fn no_suitable_disk_is_a_failure_with_ironic_s_words() {
        let (text, found) = told(r#"{"serial": "nobody's"}"#, None);
        assert!(
            !found && text.contains("No suitable device was found for deployment using these hints"),
            "{text}"
        );
    }

    #[test]
    fn hints_that_are_none_are_refused_by_name() {
        for (hints, skip, says) in [
            (r#"{"colour": "red"}"#, None, "--explain-root"),
            ("{}", Some(r#"{"name": "/dev/sda"}"#), "--skip-disks"),
        ] {
            let err = args(hints, skip).run(&[], &|_| None).expect_err("refused");
            assert_eq!(err.to_string(), says);
        }
    }
}
