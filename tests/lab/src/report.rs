//! What a run measured: the JSON whose names issue 2 fixes, and a table for people.

use std::fmt::Write as _;

use model::Bytes;
use serde::Serialize;

/// The whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One entry a server.
    pub servers: Vec<Server>,
    /// True only when every server's story was true to its end.
    pub ok: bool,
}

/// One server. A figure is null when the story did not get that far.
#[derive(Debug, Serialize)]
pub struct Server {
    /// The node's name.
    pub name: String,
    /// `bios` or `uefi`.
    pub firmware: &'static str,
    /// From iPXE's first word on the console to the agent's first heartbeat of that boot.
    pub ipxe_to_heartbeat_s: Option<f64>,
    /// From asking for inspection to `manageable`.
    pub inspect_s: Option<f64>,
    /// The image deployed.
    pub image: Image,
    /// From power on to the deployed system's word on its console.
    pub first_boot_s: Option<f64>,
    /// How its disks were erased in the end.
    pub erase: Erase,
    /// True only when every step, and every check of the lab's own, was good.
    pub ok: bool,
}

/// The image deployed.
#[derive(Debug, Serialize)]
pub struct Image {
    /// `qcow2`, `raw.zst`, …
    pub format: &'static str,
    /// Its length as downloaded.
    pub bytes: u64,
    /// How long the agent's step that writes it ran, to within a poll of the API.
    pub seconds: Option<f64>,
}

/// How the disks were erased in the end.
#[derive(Debug, Serialize)]
pub struct Erase {
    /// The method its evidence names; of several disks, all.
    pub method: Option<String>,
    /// True when billetd and `billet-agent evidence verify` both accept the evidence of every disk.
    pub evidence_verified: bool,
}

impl Report {
    /// The run's report, of its servers.
    #[must_use]
    pub fn new(servers: Vec<Server>) -> Self {
        let ok = !servers.is_empty() && servers.iter().all(|server| server.ok);
        Report { servers, ok }
    }

    /// The table that ends a run.
    #[must_use]
    pub fn table(&self) -> String {
        let head = [
            "node",
            "firmware",
            "iPXE to heartbeat",
            "inspection",
            "image",
            "written in",
            "first boot",
            "erased by",
            "evidence",
            "all true",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.servers.iter().map(Server::row));
        layout(&rows)
    }
}

impl Server {
    fn row(&self) -> [String; 10] {
        let image = format!("{} {}", Bytes(self.image.bytes), self.image.format);
        [
            self.name.clone(),
            self.firmware.to_owned(),
            seconds(self.ipxe_to_heartbeat_s),
            seconds(self.inspect_s),
            image,
            seconds(self.image.seconds),
            seconds(self.first_boot_s),
            self.erase.method.clone().unwrap_or_else(|| "-".to_owned()),
            if self.erase.evidence_verified { "verified" } else { "NOT VERIFIED" }.to_owned(),
            if self.ok { "yes" } else { "NO" }.to_owned(),
        ]
    }
}

fn seconds(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"))
}

/// Columns as wide as their widest cell, two spaces apart.
fn layout<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
            let _ = write!(text, "{cell:width$}  "); // a String takes everything
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn server(ok: bool) -> Server {
        Server {
            name: "bios-0".to_owned(),
            firmware: "bios",
            ipxe_to_heartbeat_s: Some(6.25),
            inspect_s: None,
            image: Image { format: "qcow2", bytes: 3 << 20, seconds: Some(4.0) },
            first_boot_s: None,
            erase: Erase { method: None, evidence_verified: false },
            ok,
        }
    }

    #[test]
    fn the_json_has_exactly_the_fixed_names() {
        let json = serde_json::to_string(&Report::new(vec![server(true)])).unwrap();
        assert_eq!(
            json,
            r#"{"servers":[{"name":"bios-0","firmware":"bios","ipxe_to_heartbeat_s":6.25,"inspect_s":null,"#
                .to_owned()
                + r#""image":{"format":"qcow2","bytes":3145728,"seconds":4.0},"first_boot_s":null,"#
                + r#""erase":{"method":null,"evidence_verified":false},"ok":true}],"ok":true}"#
        );
    }

    #[test]
    fn one_false_server_or_none_at_all_makes_a_false_run() {
        assert!(Report::new(vec![server(true), server(true)]).ok);
        assert!(!Report::new(vec![server(true), server(false)]).ok);
        assert!(!Report::new(Vec::new()).ok);
    }

    #[test]
    fn the_table_says_what_is_not_known_and_not_true() {
        let table = Report::new(vec![server(false)]).table();
        assert!(table.contains("3.0 MiB qcow2  4.0 s") && table.contains("NOT VERIFIED  NO"), "{table}");
    }
}
