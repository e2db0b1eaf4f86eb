//! The small table of ratios.

use super::names::{named, size, times, unique};
use super::section::Section;
use crate::results::{Spread, Verdict};
use crate::svg::escaped;
use std::fmt::Write as _;

/// The small table: peer time / shmq time, one cell for each workload.
pub fn medians(page: &mut String, placement: &str, sections: &[&Section]) {
    let cells = || sections.iter().flat_map(|section| section.cells(placement));
    let mut columns = unique(cells().map(|(cell, _)| cell.column.as_str()));
    columns.sort_by_key(|column| size(column));
    page.push_str("<div class=\"scroll\"><table><tr><th>workload");
    for column in &columns {
        let _ = write!(page, "<th>{}", escaped(column));
    }
    page.push_str("</tr>");
    for section in sections {
        let cells: Vec<_> = section.cells(placement).collect();
        if cells.is_empty() {
            continue;
        }
        if sections.len() > 1 {
            let (span, name) = (columns.len() + 1, escaped(section.name));
            let _ = write!(page, "<tr class=\"group\"><td colspan=\"{span}\">{name}</tr>");
        }
        for row in unique(cells.iter().map(|(cell, _)| cell.row.as_str())) {
            let _ = write!(page, "<tr><td>{}", escaped(row));
            for column in &columns {
                let at = cells.iter().find(|(cell, _)| cell.row == row && cell.column == *column);
                match at.and_then(|(_, placed)| placed.best_peer.as_ref()) {
                    Some(verdict) => leader(page, verdict),
                    None => page.push_str("<td class=\"soft\">–"),
                }
            }
            page.push_str("</tr>");
        }
    }
    page.push_str("</table></div>");
}

/// One cell: the ratio, and who is ahead.
fn leader(page: &mut String, verdict: &Verdict) {
    let Verdict { own, other, ratio: Spread { p25, p50, p75, .. } } = verdict;
    let (class, family) = if *p50 < 1.0 { ("behind", other.family.as_str()) } else { ("ahead", "shmq") };
    let _ = write!(
        page,
        "<td class=\"{class}\" title=\"{} / {}: {p50:.2} [{p25:.2} {p75:.2}]\">{}<span>{}</span>",
        named(other),
        named(own),
        times(*p50),
        escaped(family)
    );
}
