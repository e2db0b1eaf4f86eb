//! Charts of dots, one for each contender.

use super::names::{axis, class, times};
use crate::report::digits;
use crate::results::{Placed, Row, Spread};
use crate::svg::{Dot, Unit, dots, nanoseconds};
use std::fmt::Write as _;

/// The first figure of each contender.
pub fn first_figures(placed: &Placed) -> Vec<&Row> {
    placed.rows.iter().fold(Vec::new(), |mut firsts: Vec<&Row>, row| {
        if firsts.iter().all(|seen| seen.who != row.who) {
            firsts.push(row);
        }
        firsts
    })
}

/// A dot for one contender; `to`: whose ratio is written beside it.
pub fn dot(row: &Row, name: String, to: Option<&str>, bytes: Option<usize>) -> Dot {
    let Spread { p25, p50, p75, .. } = row.value;
    let value = if row.figure.ends_with("_ns") { nanoseconds(p50) } else { digits(p50) };
    let ratio = row.ratios.iter().find(|ratio| to.is_none_or(|to| to == ratio.to));
    let ratio = ratio.map_or_else(String::new, |ratio| format!(", {}×", times(ratio.ratio.p50)));
    let rate = bytes.filter(|_| row.figure == "message_ns").map(|bytes| bytes as f64 / p50);
    let rate = rate.filter(|rate| *rate >= 1.0).map_or_else(String::new, |rate| format!(", {rate:.0} GB/s"));
    Dot { class: class(&row.who), name, values: [p25, p50, p75], value: format!("{value}{ratio}{rate}") }
}

/// A chart of dots of one figure.
pub fn figure_chart(page: &mut String, title: &str, figure: &str, all: &[Dot], beside: &str) {
    let unit = if figure.ends_with("_ns") { Unit::Time } else { Unit::Plain };
    let what = format!("{}{beside}", axis(figure));
    let _ = write!(page, "<div class=\"scroll\">{}</div>", dots(title, all, unit, &what, false));
}

/// A dot for each contender, by its first figure; the fastest on top.
pub fn contenders(page: &mut String, title: &str, placed: &Placed, bytes: Option<usize>) {
    let own = placed.best_peer.as_ref().or(placed.limit.as_ref()).map(|verdict| verdict.own.family.as_str());
    let mut rows = first_figures(placed);
    let Some(figure) = rows.first().map(|row| row.figure.as_str()) else { return };
    rows.sort_by(|a, b| a.value.p50.total_cmp(&b.value.p50));
    let all: Vec<_> = rows.iter().map(|row| dot(row, row.who.to_string(), own, bytes)).collect();
    let to = own.or_else(|| rows.iter().flat_map(|row| &row.ratios).map(|ratio| ratio.to.as_str()).next());
    let beside = to.map_or_else(String::new, |to| format!("; at the right, how many times that of {to}"));
    figure_chart(page, title, figure, &all, &beside);
}
