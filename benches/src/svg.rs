//! Charts as inline SVG. Colours come from the page's classes, so that they follow its light or dark dress.

use crate::results::Trips;
use std::fmt::Write as _;

/// Text as it may stand in a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    length: f64,
}

impl Axis {
    /// Over all of these values, and a little more.
    fn over(values: impl Iterator<Item = f64>, from: f64, length: f64) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        Self { low: low / 1.1, high: (high * 1.1).max(low * 1.5), from, length }
    }

    /// Where a value stands.
    fn at(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.from + self.length * share.clamp(0.0, 1.0)
    }

    /// Round numbers, so many that their labels have room.
    fn ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let steps: &[f64] = match self.high / self.low {
            wide if wide > 300.0 => &[1.0],
            wide if wide > 6.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
        };
        let all = (first..=last).flat_map(|power| {
            // The power in whole steps: what is written must be round.
            let times = move |step: &f64| {
                if power < 0 { step / 10f64.powi(-power) } else { step * 10f64.powi(power) }
            };
            steps.iter().map(times)
        });
        all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }

    /// From left to right, with labels below and what it measures below them.
    fn across(&self, svg: &mut String, top: f64, bottom: f64, label: impl Fn(f64) -> String, what: &str) {
        for tick in self.ticks() {
            let x = self.at(tick);
            let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}"/>"#);
            let _ =
                write!(svg, r#"<text class="tick" x="{x:.1}" y="{}">{}</text>"#, bottom + 14.0, label(tick));
        }
        let middle = self.from + self.length / 2.0;
        let _ = write!(
            svg,
            r#"<text class="axis" x="{middle:.1}" y="{}">{}</text>"#,
            bottom + 30.0,
            escaped(what)
        );
    }
}

/// What a value is in: how it is written at an axis and beside a mark.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Nanoseconds, written in the unit that suits them.
    Time,
    /// How many times.
    Times,
    /// Anything else.
    Plain,
}

impl Unit {
    /// A value in this unit.
    pub fn written(self, value: f64) -> String {
        match self {
            Self::Time => nanoseconds(value),
            Self::Times => format!("{value}×"),
            Self::Plain => format!("{value}"),
        }
    }
}

/// One row of a chart of dots.
pub struct Dot {
    /// Class of the page: whose it is.
    pub class: &'static str,
    /// At its left.
    pub name: String,
    /// Lower quartile, median, upper quartile.
    pub values: [f64; 3],
    /// At its right.
    pub value: String,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 290.0;
const RIGHT: f64 = 230.0;
const ROW: f64 = 20.0;
/// Below the rows: numbers, and what they are.
const FOOT: f64 = 36.0;

/// A dot for each median on a logarithmic axis, with a line from quartile to quartile. `one`: with a line where both are equal.
pub fn dots(title: &str, dots: &[Dot], unit: Unit, what: &str, one: bool) -> String {
    let values = dots.iter().flat_map(|dot| dot.values).chain(one.then_some(1.0));
    let axis = Axis::over(values, LEFT, WIDTH - LEFT - RIGHT);
    let bottom = 8.0 + ROW * dots.len() as f64;
    let mut svg = opening(title, WIDTH, bottom + FOOT);
    axis.across(&mut svg, 4.0, bottom, |tick| unit.written(tick), what);
    if one {
        let x = axis.at(1.0);
        let _ = write!(svg, r#"<line class="one" x1="{x:.1}" x2="{x:.1}" y1="4" y2="{bottom}"/>"#);
    }
    for (i, dot) in dots.iter().enumerate() {
        let [p25, p50, p75] = dot.values.map(|value| axis.at(value));
        let (y, class, name) = (8.0 + ROW * (i as f64 + 0.5), dot.class, escaped(&dot.name));
        let _ = write!(
            svg,
            r#"<text class="name" x="{:.1}" y="{:.1}">{name}</text><path class="quartiles" d="M{p25:.1} {:.1}v8m0 -4H{p75:.1}m0 -4v8"/>"#,
            LEFT - 8.0,
            y + 4.0,
            y - 4.0,
        );
        let _ = write!(
            svg,
            r#"<circle class="{class}" cx="{p50:.1}" cy="{y:.1}" r="5"/><text class="value" x="{:.1}" y="{:.1}">{}</text>"#,
            WIDTH - RIGHT + 10.0,
            y + 4.0,
            escaped(&dot.value),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// One line of a chart of lines.
pub struct Line {
    /// Class of the page.
    pub class: &'static str,
    /// Bytes, nanoseconds, and what is said when it is pointed at.
    pub points: Vec<(f64, f64, String)>,
}

/// Time by size, both logarithmic.
pub fn lines(title: &str, lines: &[Line]) -> String {
    const WIDE: f64 = 460.0;
    const HIGH: f64 = 250.0;
    const MARGIN: f64 = 64.0;
    let points = || lines.iter().flat_map(|line| &line.points);
    let sizes = Axis::over(points().map(|point| point.0), MARGIN, WIDE - MARGIN - 14.0);
    let times = Axis::over(points().map(|point| point.1), 0.0, HIGH - 10.0);
    let y = |ns: f64| HIGH - times.at(ns);
    let mut svg = opening(title, WIDE, HIGH + FOOT);
    for tick in times.ticks() {
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{MARGIN}" x2="{:.1}" y1="{2:.1}" y2="{2:.1}"/><text class="tick end" x="{1:.1}" y="{3:.1}">{4}</text>"#,
            WIDE - 14.0,
            MARGIN - 6.0,
            y(tick),
            y(tick) + 4.0,
            nanoseconds(tick),
        );
    }
    let mut seen: Vec<f64> = points().map(|point| point.0).collect();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    for size in seen {
        let x = sizes.at(size);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="10" y2="{HIGH}"/><text class="tick" x="{x:.1}" y="{:.1}">{}</text>"#,
            HIGH + 14.0,
            bytes(size),
        );
    }
    let _ = write!(
        svg,
        r#"<text class="axis" x="{:.1}" y="{:.1}">bytes of a message</text>"#,
        (WIDE + MARGIN) / 2.0,
        HIGH + 30.0
    );
    for Line { class, points } in lines {
        let path: Vec<String> =
            points.iter().map(|(size, ns, _)| format!("{:.1},{:.1}", sizes.at(*size), y(*ns))).collect();
        let _ = write!(svg, r#"<polyline class="line {class}" points="{}"/>"#, path.join(" "));
        for (size, ns, said) in points {
            let _ = write!(
                svg,
                r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="4"><title>{}</title></circle>"#,
                sizes.at(*size),
                y(*ns),
                escaped(said)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A size, as short as it goes.
fn bytes(size: f64) -> String {
    match size {
        size if size >= 1_048_576.0 => format!("{} Mi", size / 1_048_576.0),
        size if size >= 1024.0 => format!("{} Ki", size / 1024.0),
        size => format!("{size}"),
    }
}

/// The distribution of one contender.
pub struct Ridge {
    /// Class of the page.
    pub class: &'static str,
    /// At its left.
    pub name: String,
    /// From how many nanoseconds on, and how many.
    pub steps: Vec<(f64, u64)>,
    /// Marked on it: nanoseconds, and what they are.
    pub marks: Vec<(f64, &'static str)>,
    /// At its right.
    pub value: String,
}

/// Distributions below one another, on one logarithmic axis of nanoseconds. Heights are logarithmic, too: a single trip can be
/// seen, and a hump is much higher than it looks.
pub fn ridges(title: &str, ridges: &[Ridge]) -> String {
    const HIGH: f64 = 34.0;
    let values = ridges.iter().flat_map(|ridge| ridge.steps.iter().map(|step| step.0));
    let axis = Axis::over(values, LEFT, WIDTH - LEFT - RIGHT);
    let bottom = 8.0 + (HIGH + 8.0) * ridges.len() as f64;
    let mut svg = opening(title, WIDTH, bottom + FOOT);
    axis.across(&mut svg, 4.0, bottom, nanoseconds, "time of one round trip");
    let step = 10f64.powf(1.0 / Trips::STEPS);
    for (i, ridge) in ridges.iter().enumerate() {
        let base = 8.0 + (HIGH + 8.0) * i as f64 + HIGH;
        let most = ridge.steps.iter().map(|(_, count)| *count).max().unwrap_or(1) as f64;
        let mut path = String::new();
        for (from, count) in &ridge.steps {
            let (x, end) = (axis.at(*from), axis.at(from * step));
            let y = base - HIGH * (1.0 + *count as f64).ln() / (1.0 + most).ln();
            let _ = write!(path, "M{x:.1} {base:.1}V{y:.1}H{end:.1}V{base:.1}Z");
        }
        let (class, name) = (ridge.class, escaped(&ridge.name));
        let _ = write!(
            svg,
            r#"<text class="name" x="{:.1}" y="{:.1}">{name}</text><path class="{class}" d="{path}"/><line class="base" x1="{LEFT}" x2="{:.1}" y1="{base:.1}" y2="{base:.1}"/>"#,
            LEFT - 8.0,
            base - 4.0,
            WIDTH - RIGHT,
        );
        for (ns, what) in &ridge.marks {
            let x = axis.at(*ns);
            let _ = write!(
                svg,
                r#"<line class="mark" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"><title>{what}: {}</title></line>"#,
                base - HIGH,
                base + 3.0,
                nanoseconds(*ns),
            );
        }
        let value = escaped(&ridge.value);
        let _ = write!(
            svg,
            r#"<text class="value" x="{:.1}" y="{:.1}">{value}</text>"#,
            WIDTH - RIGHT + 8.0,
            base - 4.0
        );
    }
    svg.push_str("</svg>");
    svg
}

fn opening(title: &str, width: f64, height: f64) -> String {
    let title = escaped(title);
    format!(
        r#"<svg viewBox="0 0 {width} {height:.0}" role="img" aria-label="{title}"><title>{title}</title>"#
    )
}

/// A time in the unit that suits it.
pub fn nanoseconds(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = if value >= 99.95 || value.fract() == 0.0 {
        0
    } else if value >= 9.95 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_logarithmic_and_ends_where_the_values_do() {
        let axis = Axis::over([1.0, 100.0].into_iter(), 0.0, 100.0);
        assert!((axis.at(10.0) - 50.0).abs() < 1e-6, "{}", axis.at(10.0));
        assert!(axis.at(1.0) > 0.0 && axis.at(100.0) < 100.0);
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!(Axis::over([].into_iter(), 0.0, 1.0).at(3.0).is_finite());
        let narrow = Axis::over([0.9, 1.4].into_iter(), 0.0, 100.0);
        assert_eq!(narrow.ticks(), [1.0, 1.2, 1.5]);
    }

    #[test]
    fn times_are_told_in_their_unit() {
        let told = [0.87, 12.34, 120.0, 4321.0, 1.5e6, 2e9].map(nanoseconds);
        assert_eq!(told, ["0.87 ns", "12.3 ns", "120 ns", "4.32 µs", "1.50 ms", "2 s"]);
    }
}
