//! The contrast as one page for a browser: charts drawn in SVG, no scripts, nothing from elsewhere; light or dark as the
//! reader's system is.

use super::report::{Report, Row};
use super::traffic::{Count, SIZES};
use crate::args::Medium;
use shmq_tool::units::{show_bytes, show_count};

/// Where the columns of a chart begin, how wide they are, and how high a row is.
const RATE: f64 = 130.0;
const RATE_WIDTH: f64 = 330.0;
const READS: f64 = 580.0;
const READS_WIDTH: f64 = 260.0;
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 30.0;
const HEAD: f64 = 34.0;
const BAR: f64 = 16.0;

const STYLE: &str = "
:root { color-scheme: light dark;
  --ground: #fbfbfa; --ink: #1c2530; --quiet: #66707c; --line: #dfe2e5; --card: #ffffff;
  --queue: #0f766e; --kernel: #8a94a0; --memory: #c2770c;
  --whole: #2f9e73; --twice: #c3cad1; --back: #7c5cbf; --torn: #d6453d; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #12161b; --ink: #e6e9ec; --quiet: #97a1ac; --line: #2b323a; --card: #1a2027;
  --queue: #2fb8a6; --kernel: #77828e; --memory: #e09b3d;
  --whole: #3fb98a; --twice: #46505a; --back: #9d84d8; --torn: #ef6a61; } }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 40px 20px 60px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 10px; }
h2 { font-size: 17px; margin: 0 0 2px; }
p { max-width: 46em; margin: 0 0 12px; }
.quiet { color: var(--quiet); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px 8px; margin: 18px 0; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 720px; height: auto; }
svg text { fill: var(--ink); font-size: 12.5px; }
svg text.quiet { fill: var(--quiet); font-size: 11.5px; }
svg text.strong { font-weight: 600; }
.grid { stroke: var(--line); }
.ours { fill: var(--queue); } .theirs { fill: var(--kernel); } .bare { fill: var(--memory); }
.whole { fill: var(--whole); } .twice { fill: var(--twice); } .back { fill: var(--back); } .torn { fill: var(--torn); }
.keys { max-width: none; font-size: 13px; color: var(--quiet); }
.pair { white-space: nowrap; margin-left: 10px; }
.pair i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 5px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { text-align: right; padding: 3px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
td.bad { color: var(--torn); font-weight: 600; }
tr.first td { border-top: 2px solid var(--line); }
";

/// The whole page.
pub fn html(report: &Report) -> String {
    let charts: String = SIZES.iter().map(|&size| chart(report, size)).collect();
    let key = |class: &str, name: &str| {
        format!("<span class=\"pair\"><i style=\"background:var(--{class})\"></i>{name}</span> ")
    };
    let makers = [("queue", "shmq"), ("kernel", "the kernel's"), ("memory", "memory without a queue")];
    let reads = [
        ("whole", "a whole new message"),
        ("twice", "the same one again"),
        ("back", "an earlier one"),
        ("torn", "torn: parts of several"),
    ];
    let makers = makers.map(|(class, name)| key(class, name)).concat();
    let reads = reads.map(|(class, name)| key(class, name)).concat();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>What arrives: memory, queues and the kernel</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>What arrives: memory, queues and the kernel</h1>\n\
         <p>One process writes messages as fast as it can, another reads them. Each message carries its number in every \
         word, so the reader knows whole messages from torn ones, and which are missing.</p>\n\
         <p><b>Raw memory</b> is one place that is overwritten and sampled; a <b>seqlock</b> keeps the latest value whole. \
         Both are right where only the latest value counts. Everything else here is a queue.</p>\n\
         <p class=\"quiet\">{}</p>\n\
         <p class=\"keys\">Left, whole new messages in a second; each line is ten times the one before.{makers}<br>\n\
         Right, what each read brought.{reads}</p>\n\
         {charts}{}</main>\n</body>\n</html>\n",
        escaped(&report.machine),
        table(report),
    )
}

/// One size: how fast each medium is, and what its reader got.
fn chart(report: &Report, size: usize) -> String {
    let rows: Vec<&Row> = report.of(size).collect();
    let fastest = rows.iter().map(|row| row.messages_per_s).fold(1e4, f64::max);
    let slowest = rows.iter().map(|row| row.messages_per_s).filter(|&rate| rate > 0.0).fold(1e9, f64::min);
    let scale = Scale { from: slowest.log10().floor(), to: fastest.log10().ceil() };
    let height = HEAD + HEIGHT * rows.len() as f64 + 6.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{} messages\">\n",
        show_bytes(size as u64)
    );
    for power in scale.from as i32..=scale.to as i32 {
        let x = RATE + scale.place(10f64.powi(power));
        svg += &format!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"24\" y2=\"{height}\"/>\n");
        svg += &text(x, 16.0, "quiet\" text-anchor=\"middle", &power_of_ten(power));
    }
    svg += &text(READS, 16.0, "quiet", "of all reads");
    svg += &text(READS + READS_WIDTH + 14.0, 16.0, "quiet", "never seen");
    for (i, row) in rows.iter().enumerate() {
        svg += &bars(row, &scale, HEAD + HEIGHT * i as f64);
    }
    let title = show_bytes(size as u64);
    format!("<section>\n<h2>{title} a message</h2>\n{svg}</svg>\n</section>\n")
}

/// Powers of ten from one to another, side by side.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    fn place(&self, rate: f64) -> f64 {
        let share = (rate.max(1.0).log10() - self.from) / (self.to - self.from).max(1.0);
        share.clamp(0.0, 1.0) * RATE_WIDTH
    }
}

fn bars(row: &Row, scale: &Scale, y: f64) -> String {
    let ours = matches!(row.medium, Medium::Records | Medium::Slots);
    let class = if ours { "strong" } else { "" };
    let mut svg = text(0.0, y + 13.0, class, row.medium.title());
    if row.unavailable.is_some() {
        return svg + &text(RATE + 6.0, y + 13.0, "quiet", "messages of this size are not allowed here");
    }
    let fill = match row.medium {
        Medium::Records | Medium::Slots => "ours",
        Medium::Raw | Medium::Seqlock => "bare",
        Medium::MessageQueue | Medium::Pipe | Medium::Socket => "theirs",
    };
    let width = scale.place(row.messages_per_s).max(2.0);
    svg += &bar(RATE, y, width, fill);
    let label = format!("{} · {}", short(row.messages_per_s), bytes_per_second(row.bytes_per_s));
    // Inside the bar where there is no room behind it.
    svg += &if width > RATE_WIDTH * 0.66 {
        format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" style=\"fill:var(--card)\">{label}</text>\n",
            RATE + width - 7.0,
            y + 12.5
        )
    } else {
        text(RATE + width + 7.0, y + 12.5, "", &label)
    };
    svg + &reads(row, y)
}

/// What the reads of a row brought, and what they missed.
fn reads(row: &Row, y: f64) -> String {
    let Count { reads, whole, torn, lost, duplicated, out_of_order, .. } = row.count;
    let share = |count: u64| count as f64 / reads.max(1) as f64;
    let parts = [(whole, "whole"), (duplicated, "twice"), (out_of_order, "back"), (torn, "torn")];
    let (mut x, mut svg) = (READS, String::new());
    for (count, class) in parts.into_iter().filter(|(count, _)| *count > 0) {
        // The rarest must be seen.
        let width = (share(count) * READS_WIDTH).max(2.0);
        let title = format!("{} of {} reads: {class}", show_count(count), show_count(reads));
        svg += &format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"><title>{title}</title></rect>\n"
        );
        x += width;
    }
    let missed = match lost {
        0 => "none".into(),
        lost => percent(lost as f64 / (lost + whole + torn) as f64),
    };
    svg + &text(READS + READS_WIDTH + 14.0, y + 12.5, if lost > 0 { "strong" } else { "quiet" }, &missed)
}

fn bar(x: f64, y: f64, width: f64, class: &str) -> String {
    format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"3\"/>\n"
    )
}

fn text(x: f64, y: f64, class: &str, text: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n")
}

fn power_of_ten(power: i32) -> String {
    let (number, unit) = match power {
        9.. => (power - 9, "G"),
        6.. => (power - 6, "M"),
        3.. => (power - 3, "k"),
        _ => (power, ""),
    };
    format!("{}{unit}/s", 10i64.pow(number.max(0) as u32))
}

/// `12.3 M/s`.
fn short(rate: f64) -> String {
    let (factor, unit) = match rate {
        1e6.. => (1e6, " M/s"),
        1e3.. => (1e3, " k/s"),
        _ => (1.0, "/s"),
    };
    format!("{}{unit}", three_digits(rate / factor))
}

fn bytes_per_second(rate: f64) -> String {
    if rate >= 1e9 {
        format!("{} GB/s", three_digits(rate / 1e9))
    } else {
        format!("{} MB/s", three_digits(rate / 1e6))
    }
}

fn three_digits(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        few if few < 0.01 => "&lt; 0.01 %".into(),
        most if most > 99.9 && share < 1.0 => "&gt; 99.9 %".into(),
        percent => format!("{percent:.1} %"),
    }
}

/// The figures themselves.
fn table(report: &Report) -> String {
    let mut rows = String::new();
    for size in SIZES {
        for (i, row) in report.of(size).enumerate() {
            let class = if i == 0 { " class=\"first\"" } else { "" };
            let (bytes, title) = (show_bytes(row.bytes), row.medium.title());
            rows += &format!("<tr{class}><td>{bytes}</td><td>{title}</td>");
            if let Some(why) = &row.unavailable {
                rows += &format!("<td colspan=\"7\" class=\"quiet\">{}</td></tr>\n", escaped(why));
                continue;
            }
            let Count { reads, torn, lost, duplicated, out_of_order, .. } = row.count;
            rows += &format!("<td>{}</td>", show_count(row.messages_per_s as u64));
            rows += &format!("<td>{:.3}</td><td>{}</td>", row.bytes_per_s / 1e9, show_count(reads));
            for count in [torn, lost, duplicated, out_of_order] {
                let class = if count > 0 { " class=\"bad\"" } else { "" };
                rows += &format!("<td{class}>{}</td>", show_count(count));
            }
            rows += "</tr>\n";
        }
    }
    format!(
        "<section>\n<h2>The figures</h2>\n<table>\n<tr><th>size</th><th>through</th><th>messages/s</th><th>GB/s</th>\
         <th>reads</th><th>torn</th><th>lost</th><th>twice</th><th>out of order</th></tr>\n{rows}</table>\n</section>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contrast::medium::Measured;
    use clap::ValueEnum;
    use std::time::Duration;

    #[test]
    fn the_page_shows_every_medium_at_every_size_and_needs_nothing_from_elsewhere() {
        let count = Count { reads: 90, whole: 50, torn: 20, lost: 3, duplicated: 20, ..Count::default() };
        let measured = Measured { count, elapsed: Duration::from_millis(1) };
        let rows = SIZES.iter().flat_map(|&size| {
            Medium::value_variants().iter().map(move |&medium| {
                let refused = medium == Medium::MessageQueue && size > 1024;
                Row::new(medium, size, if refused { Err("a <limit>".into()) } else { Ok(measured) })
            })
        });
        let page = html(&Report::new(rows.collect()));
        for medium in Medium::value_variants() {
            assert_eq!(page.matches(&format!(">{}</text>", medium.title())).count(), SIZES.len());
        }
        assert!(page.contains("a &lt;limit&gt;") && !page.contains("NaN") && !page.contains("inf"));
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("url("));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }
}
