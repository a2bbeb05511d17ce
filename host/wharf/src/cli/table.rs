//! Plain tables: columns as wide as their widest cell, two spaces between them.

use std::fmt;

/// A table with a heading.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heading: &[&str]) -> Self {
        Self {
            rows: vec![heading.iter().map(|cell| cell.to_uppercase()).collect()],
        }
    }

    /// Adds a row. Further lines of a cell come below its first.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let height = cells
            .iter()
            .map(|cell| cell.lines().count())
            .max()
            .unwrap_or(0)
            .max(1);
        for line in 0..height {
            let line = cells
                .iter()
                .map(|cell| cell.lines().nth(line).unwrap_or_default().to_owned());
            self.rows.push(line.collect());
        }
    }
}

/// `1 event`, `2 events`.
pub fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_further_lines_stand_below() {
        let mut table = Table::new(&["asset", "action"]);
        table.row(["stream SHOP".into(), "create".into()]);
        table.row(["x".into(), "differs\nin one field".into()]);
        let text = table.to_string();
        assert_eq!(
            text,
            "ASSET        ACTION\nstream SHOP  create\nx            differs\n             in one field\n"
        );
    }
}
