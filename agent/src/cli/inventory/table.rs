//! An inventory on one screen, for a person: what the machine is, what is in it,
//! what is wrong with it. Like disks share a line when there are many; everything
//! is in the JSON.

mod devices;
mod disks;
mod machine;
mod network;

use model::inventory::{Inventory, Warning};

/// Columns of a line; what is longer is cut.
const WIDTH: usize = 120;

/// Warnings shown.
const WARNINGS: usize = 8;

/// Rows of cells; those in a column are as wide as the widest of them.
type Rows = Vec<Vec<String>>;

pub(super) fn draw(inventory: &Inventory) -> String {
    let mut text = String::new();
    columns(&mut text, &machine::rows(inventory), "");
    section(&mut text, "disks", &disks::rows(&inventory.disks));
    section(&mut text, "network", &network::rows(&inventory.nics));
    section(&mut text, "neighbours", &network::neighbours(&inventory.nics));
    section(&mut text, "devices", &devices::rows(inventory));
    section(&mut text, "worth a look", &devices::notices(inventory));
    section(&mut text, "could not be read", &warnings(&inventory.warnings));
    text
}

fn warnings(warnings: &[Warning]) -> Rows {
    let shown = warnings.iter().take(WARNINGS);
    let mut rows: Rows = shown.map(|warning| vec![warning.path.clone(), warning.reason.clone()]).collect();
    more(&mut rows, warnings.len(), WARNINGS);
    rows
}

/// Say that there are more than are shown.
fn more(rows: &mut Rows, all: usize, shown: usize) {
    if all > shown {
        rows.push(vec![format!("and {} more: --format json", all - shown)]);
    }
}

/// What is known of `parts`, with `between` between.
fn joined<const N: usize>(parts: [Option<String>; N], between: &str) -> String {
    let known: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    known.join(between)
}

/// `2 cores`, `1 core`.
fn counted(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

/// `4 × ` before what there are several of.
fn times(number: usize, what: &str) -> String {
    if number == 1 { what.to_owned() } else { format!("{number} × {what}") }
}

fn section(text: &mut String, title: &str, rows: &Rows) {
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(title);
        text.push('\n');
        columns(text, rows, "  ");
    }
}

/// Rows with their columns aligned. A row of one cell is a sentence and may be
/// as long as it likes.
fn columns(text: &mut String, rows: &Rows, indent: &str) {
    let cells =
        |column: usize| rows.iter().filter(|row| row.len() > 1).filter_map(move |row| row.get(column));
    let width = |column: usize| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..most).map(width).collect();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            if *width > 0 || row.len() == 1 {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', (width + 2).saturating_sub(cell.chars().count())));
            }
        }
        text.push_str(&cut(line.trim_end()));
        text.push('\n');
    }
}

/// At most [`WIDTH`] columns, and nothing that a terminal would obey: names come
/// from devices.
fn cut(line: &str) -> String {
    let length = line.chars().count();
    let kept = if length > WIDTH { WIDTH - 1 } else { length };
    let mut text: String =
        line.chars().take(kept).map(|each| if each.is_control() { '?' } else { each }).collect();
    if kept < length {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use model::{
        Bytes,
        inventory::{Disk, Memory, MemoryModule, Neighbour, Nic, UsbDevice},
    };

    use super::*;

    #[test]
    fn no_line_is_wider_than_a_screen_and_none_moves_the_cursor() {
        let rows = vec![
            vec!["a".to_owned(), "\x1b[2J\u{9b}31m\n".to_owned(), "x".repeat(200)],
            vec!["longer".to_owned(), String::new(), "y".to_owned()],
            vec!["and 3 more".to_owned()],
        ];
        let mut text = String::new();
        columns(&mut text, &rows, "  ");
        assert!(!text.chars().any(|each| each.is_control() && each != '\n'), "{text:?}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("  a       ?[2J?31m?  xxx"), "{text}");
        assert!(text.ends_with("y\n  and 3 more\n"), "{text}");
    }

    #[test]
    fn the_largest_machine_fits_a_few_screens() {
        let name = |kind: &str, number: u64| format!("{kind}{number}");
        let disk = |number| Disk { name: name("sd", number), size: Bytes(number), ..Disk::default() };
        let nic = |number| Nic {
            name: name("eth", number),
            neighbour: Some(Neighbour::default()),
            ..Nic::default()
        };
        let module =
            |number| MemoryModule { part_number: Some(name("DIMM", number)), ..MemoryModule::default() };
        let warning = |number| Warning { path: name("sys/", number), reason: "is odd".to_owned() };
        let text = draw(&Inventory {
            disks: (0..500).map(disk).collect(),
            nics: (0..300).map(nic).collect(),
            usb: vec![UsbDevice::default(); 200],
            memory: Memory { modules: (0..96).map(module).collect(), ..Memory::default() },
            warnings: (0..1000).map(warning).collect(),
            ..Inventory::default()
        });
        assert!(text.lines().count() < 100, "{text}");
        for more in [
            "and 468 more",
            "and 284 more",
            "and 192 more",
            "and 92 kinds more: --format json",
            "and 992 more",
        ] {
            assert!(text.contains(more), "{more} is not in {text}");
        }
    }
}
