//! Tables in documents, between marks that say who wrote them.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Put `text` into the document at `path`, between the marks of `benchmark`.
///
/// # Errors
/// When the marks are not there, or the file cannot be written.
pub(crate) fn publish(path: &Path, benchmark: &str, text: &str) -> Result<()> {
    let begin = format!("<!-- {benchmark}: written by `make {benchmark} BENCH=--commit` -->");
    let end = format!("<!-- /{benchmark} -->");
    let old = fs::read_to_string(path)?;
    let (before, rest) =
        old.split_once(&begin).with_context(|| format!("{} has no {begin}", path.display()))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("{} has no {end}", path.display()))?;
    fs::write(path, format!("{before}{begin}\n{text}{end}{after}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_gets_the_table_between_its_marks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures.md");
        let marked = |text: &str| {
            format!(
                "before\n<!-- bench-x: written by `make bench-x BENCH=--commit` -->\n{text}<!-- /bench-x -->\nafter\n"
            )
        };
        fs::write(&path, marked("old\n")).unwrap();
        for _ in 0..2 {
            publish(&path, "bench-x", "\nnew\n\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), marked("\nnew\n\n"));
        }
        fs::write(&path, "no marks").unwrap();
        assert!(publish(&path, "bench-x", "").is_err());
    }
}
