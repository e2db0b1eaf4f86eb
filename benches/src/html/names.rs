//! Names, sizes and times as the page writes them.

use crate::results::{Placed, Who};
use crate::svg::escaped;

/// Has a colour of its own.
pub const STANDARD: &str = "std::sync::mpsc";

/// Day and time, UTC.
pub fn date(time: u64) -> String {
    // Days since 1 March of the year 0, by the calendar's 400-year cycle.
    let days = time / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (hour, minute) = (time % 86_400 / 3600, time % 3600 / 60);
    format!("{}-{month:02}-{day:02} {hour:02}:{minute:02} UTC", era * 400 + year + later)
}

/// Each once, in order.
pub fn unique<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    all.fold(Vec::new(), |mut seen, one| {
        if !seen.contains(&one) {
            seen.push(one);
        }
        seen
    })
}

/// Bytes of a column, to sort by; what is no size comes last.
pub fn size(column: &str) -> u64 {
    let (number, unit) = column.split_once(' ').unwrap_or((column, ""));
    let unit = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        _ => return u64::MAX,
    };
    number.parse::<u64>().map_or(u64::MAX, |number| number << unit)
}

/// With a capital letter.
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Two digits that mean something.
pub fn times(ratio: f64) -> String {
    if ratio >= 9.95 { format!("{ratio:.0}") } else { format!("{ratio:.2}") }
}

pub fn named(who: &Who) -> String {
    escaped(&who.to_string())
}

pub fn class(who: &Who) -> &'static str {
    if who.is_own() {
        "own"
    } else if who.is_limit() {
        "limit"
    } else if who.family.starts_with(STANDARD) {
        "std"
    } else {
        "peer"
    }
}

/// What an axis measures, in words.
pub fn axis(figure: &str) -> String {
    match figure {
        "message_ns" => "time for each message, median".to_owned(),
        "round_trip_p50_ns" => "time of a round trip, median".to_owned(),
        "processor_share" => "share of a processor".to_owned(),
        other => other.trim_end_matches("_ns").replace('_', " "),
    }
}

pub fn place(placed: &Placed) -> String {
    placed.placement.as_ref().map_or_else(String::new, |name| format!(", {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let told = [0, 951_782_400, 1_709_164_740, 1_798_761_599].map(date);
        let days = ["1970-01-01 00:00", "2000-02-29 00:00", "2024-02-28 23:59", "2026-12-31 23:59"];
        assert_eq!(told, days.map(|day| format!("{day} UTC")));
    }

    #[test]
    fn sizes_are_sorted_by_their_bytes() {
        let mut columns = ["mix", "1 MiB", "16 B", "4 KiB", "8 B"];
        columns.sort_by_key(|column| size(column));
        assert_eq!(columns, ["8 B", "16 B", "4 KiB", "1 MiB", "mix"]);
    }
}
