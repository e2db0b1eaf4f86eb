//! Sizes, durations and modes as people write them.

pub use shmq_core::text::{plain, shown};
use std::time::Duration;

const SIZES: [(&str, u64); 13] = [
    ("", 1),
    ("B", 1),
    ("K", 1 << 10),
    ("KIB", 1 << 10),
    ("KB", 1000),
    ("M", 1 << 20),
    ("MIB", 1 << 20),
    ("MB", 1_000_000),
    ("G", 1 << 30),
    ("GIB", 1 << 30),
    ("GB", 1_000_000_000),
    ("T", 1 << 40),
    ("TIB", 1 << 40),
];

const DURATIONS: [(&str, f64); 6] =
    [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Looks any closer together would disturb by their number; any further apart show nothing.
const PACES: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3600);

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..digits], text[digits..].trim_start())
}

/// `4096`, `64KiB`, `1MB`: bytes. K, M, G and T are the binary units, as KiB and its kin are.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write 4096, 64KiB or 1MiB");
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_uppercase();
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number.checked_mul(*factor).ok_or_else(|| format!("{text:?} is more than can be counted"))
}

/// As [`size`], at least one byte.
pub fn some_bytes(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("it must be at least one byte".into()),
        bytes => Ok(bytes),
    }
}

/// As [`some_bytes`], and not more than what can be counted through: 1 EiB takes years.
pub fn stream(text: &str) -> Result<u64, String> {
    match some_bytes(text)? {
        bytes if bytes <= 1 << 60 => Ok(bytes),
        _ => Err(format!("{text:?} is too much; 1 EiB, or 1048576TiB, is the most")),
    }
}

/// As [`some_bytes`]. Its option may stand without a size, so that what follows it can be meant as something else.
pub fn chunk(text: &str) -> Result<u64, String> {
    some_bytes(text).map_err(|why| format!("{why}; if it is the file to send, name it before --chunk"))
}

/// `5s`, `250ms`, `0.5s`, `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 5s, 250ms or 2m");
    let (number, unit) = split(text);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let (_, factor) = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| format!("{text:?} is too long"))
}

/// As [`duration`], from 50 ms to an hour.
pub fn pace(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        pace if PACES.contains(&pace) => Ok(pace),
        _ => Err(format!("{text:?} is not possible; choose between 50ms and 1h")),
    }
}

/// `950`, `12.3k`, `4.56M`: at most five characters, as narrow columns need it.
pub fn show_short(number: f64) -> String {
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match steps.into_iter().find(|(step, _)| number >= step * 0.9995) {
        // Less than one is still something.
        None if number > 0.0 && number < 0.95 => format!("{number:.1}"),
        None => format!("{number:.0}"),
        Some((step, unit)) => match number / step {
            n if n < 9.995 => format!("{n:.2}{unit}"),
            n if n < 99.95 => format!("{n:.1}{unit}"),
            n => format!("{n:.0}{unit}"),
        },
    }
}

/// Permission bits in octal.
pub fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(bits) if bits <= 0o777 => Ok(bits),
        _ => Err(format!("{text:?} is not a mode; write it in octal, such as 0600 or 0660")),
    }
}

/// At most 32 bytes of text.
pub fn tag(text: &str) -> Result<String, String> {
    match text.len() {
        0..=32 => Ok(text.into()),
        long => Err(format!("a tag has at most 32 bytes, this one has {long}")),
    }
}

/// `1 MiB`, `1.5 KiB`, `17 bytes`.
pub fn show_bytes(bytes: u64) -> String {
    let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, factor)| bytes >= *factor) {
        None if bytes == 1 => "1 byte".into(),
        None => format!("{bytes} bytes"),
        Some((unit, factor)) if bytes.is_multiple_of(*factor) => format!("{} {unit}", bytes / factor),
        Some((unit, factor)) => format!("{:.1} {unit}", bytes as f64 / *factor as f64),
    }
}

/// `850 ns`, `1.2 us`, `3.4 ms`, `12 s`, `3 h 25 min`.
pub fn show_duration(duration: Duration) -> String {
    let ns = duration.as_nanos() as f64;
    match duration.as_secs() {
        86_400.. => format!("{} d {} h", duration.as_secs() / 86_400, duration.as_secs() / 3600 % 24),
        3600.. => format!("{} h {} min", duration.as_secs() / 3600, duration.as_secs() / 60 % 60),
        60.. => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
        1.. => format!("{:.2} s", ns / 1e9),
        0 if ns >= 1e6 => format!("{:.1} ms", ns / 1e6),
        0 if ns >= 1e3 => format!("{:.1} us", ns / 1e3),
        0 => format!("{ns} ns"),
    }
}

/// `1234567` as `1 234 567`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(' ');
        }
        shown.push(digit);
    }
    shown
}

/// `1 message`, `1 234 messages`.
pub fn show_messages(count: u64) -> String {
    format!("{} message{}", show_count(count), if count == 1 { "" } else { "s" })
}

/// `41 s`, `3 min 5 s`: as [`show_duration`], for what was noticed by chance: no fraction of a second from ten on.
pub fn show_rough(duration: Duration) -> String {
    match duration.as_millis() {
        10_000..60_000 => format!("{} s", duration.as_secs()),
        1000..10_000 => format!("{:.1} s", duration.as_secs_f64()),
        1..1000 => format!("{} ms", duration.as_millis()),
        _ => show_duration(duration),
    }
}

/// `12 %`, and never `0 %` or `100 %` for what is not quite that.
pub fn show_percent(ratio: f64) -> String {
    match ratio {
        0.0 => "0 %".into(),
        r if r < 0.01 => "under 1 %".into(),
        r if r >= 1.0 => "100 %".into(),
        r => format!("{:.0} %", (100.0 * r).min(99.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65536),
            ("64kib", 65536),
            ("64K", 65536),
            ("1 MiB", 1 << 20),
            ("2MB", 2_000_000),
            ("3GiB", 3 << 30),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "KiB", "-1", "1.5MiB", "64KiBs", "1e3", "0x10", "99999999999999999999", "99999999TiB"]
        {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(some_bytes("0").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, ms) in
            [("5s", 5000), ("250ms", 250), ("0.5s", 500), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 seconds", "1.2.3s", "1e400s", "99999999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_short_number_has_five_characters_at_most() {
        for (number, shown) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (1.0, "1"),
            (999.0, "999"),
            (999.9, "1.00k"),
            (12_345.0, "12.3k"),
            (999_999.0, "1.00M"),
            (99_960_000.0, "100M"),
            (4.2e12, "4.20T"),
        ] {
            assert_eq!(show_short(number), shown);
        }
        assert!(pace("49ms").is_err() && pace("2h").is_err() && pace("1s").is_ok());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!((mode("0600"), mode("660"), mode("0o640")), (Ok(0o600), Ok(0o660), Ok(0o640)));
        for text in ["", "0800", "01777", "rw"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_shown_steers_the_terminal() {
        assert_eq!(plain("caf\u{e9} 1"), "caf\u{e9} 1");
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(plain("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(shown("caf\u{e9} 1"), "caf\u{e9} 1");
        assert_eq!(shown("it's\u{1b}[2J"), r"$'it\'s\x1b[2J'");
        let [one, two] = [&b"caf\xe9"[..], b"caf\xe8"].map(|bytes| shown(OsStr::from_bytes(bytes)));
        assert_eq!((one.as_str(), two.as_str()), (r"$'caf\xe9'", r"$'caf\xe8'"));
    }

    #[test]
    fn what_is_shown_reads_well() {
        assert_eq!(show_rough(Duration::from_millis(41_234)), "41 s");
        assert_eq!(show_rough(Duration::from_millis(1_234)), "1.2 s");
        assert_eq!(show_rough(Duration::from_millis(300)), "300 ms");
        assert_eq!(
            [0.0, 0.001, 0.126, 0.999, 1.0].map(show_percent),
            ["0 %", "under 1 %", "13 %", "99 %", "100 %"]
        );
        assert_eq!(show_bytes(0), "0 bytes");
        assert_eq!(show_bytes(1), "1 byte");
        assert_eq!(show_bytes(1 << 20), "1 MiB");
        assert_eq!(show_bytes(1536), "1.5 KiB");
        assert_eq!(show_count(7), "7");
        assert_eq!((show_messages(1), show_messages(1000)), ("1 message".into(), "1 000 messages".into()));
        assert_eq!(show_count(1_234_567), "1 234 567");
        assert_eq!(show_duration(Duration::from_nanos(850)), "850 ns");
        assert_eq!(show_duration(Duration::from_micros(1200)), "1.2 ms");
        assert_eq!(show_duration(Duration::from_secs(12_345)), "3 h 25 min");
    }
}
