//! Charts as inline SVG. Colours come from the page's classes, so that they follow its light or dark dress.

use std::fmt::Write as _;

/// Text as it may stand in a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A logarithmic axis from left to right.
struct Axis {
    low: f64,
    high: f64,
    left: f64,
    width: f64,
}

impl Axis {
    /// Over all of these values, and a little more.
    fn over(values: impl Iterator<Item = f64>, left: f64, width: f64) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        Self { low: low / 1.1, high: (high * 1.1).max(low * 1.5), left, width }
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.left + self.width * share.clamp(0.0, 1.0)
    }

    /// 1, 2 and 5 times each power of ten; less where there would be too many.
    fn ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let steps: &[f64] = if self.high / self.low > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }

    fn draw(&self, svg: &mut String, top: f64, bottom: f64, label: impl Fn(f64) -> String) {
        for tick in self.ticks() {
            let x = self.x(tick);
            let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}"/>"#);
            let _ =
                write!(svg, r#"<text class="tick" x="{x:.1}" y="{}">{}</text>"#, bottom + 14.0, label(tick));
        }
    }
}

/// One bar: what it is about, how long it is, and what is written at its end.
pub struct Bar {
    /// Class of the page: whose bar it is.
    pub class: &'static str,
    /// At its left.
    pub name: String,
    /// Lower quartile, median, upper quartile.
    pub ratio: [f64; 3],
    /// At its end.
    pub value: String,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 190.0;
const ROW: f64 = 22.0;

/// Bars from 1 on a logarithmic axis, each with its quartiles; to the right is slower.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let values = bars.iter().flat_map(|bar| bar.ratio).chain([1.0]);
    let axis = Axis::over(values, LEFT, WIDTH - LEFT - RIGHT);
    let bottom = 8.0 + ROW * bars.len() as f64;
    let mut svg = opening(title, bottom + 22.0);
    axis.draw(&mut svg, 4.0, bottom, |tick| format!("{tick}×"));
    let one = axis.x(1.0);
    for (i, bar) in bars.iter().enumerate() {
        let [p25, p50, p75] = bar.ratio.map(|ratio| axis.x(ratio));
        let (y, class, name) = (8.0 + ROW * i as f64, bar.class, escaped(&bar.name));
        let (from, to, middle) = (one.min(p50), one.max(p50), y + 10.0);
        let _ = write!(
            svg,
            r#"<text class="name" x="{:.1}" y="{:.1}">{name}</text><rect class="{class}" x="{from:.1}" y="{y:.1}" width="{:.1}" height="15" rx="2"/>"#,
            LEFT - 8.0,
            y + 12.0,
            (to - from).max(2.0),
        );
        let _ = write!(
            svg,
            r#"<path class="quartiles" d="M{p25:.1} {0:.1}v8m0 -4H{p75:.1}m0 -4v8"/><text class="value" x="{1:.1}" y="{2:.1}">{3}</text>"#,
            middle - 6.5,
            to.max(p75) + 7.0,
            y + 12.0,
            escaped(&bar.value),
        );
    }
    let _ = write!(svg, r#"<line class="one" x1="{one:.1}" x2="{one:.1}" y1="4" y2="{bottom}"/></svg>"#);
    svg
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
    let mut svg = opening(title, bottom + 22.0);
    axis.draw(&mut svg, 4.0, bottom, nanoseconds);
    let step = 10f64.powf(1.0 / crate::compare::Trips::STEPS);
    for (i, ridge) in ridges.iter().enumerate() {
        let base = 8.0 + (HIGH + 8.0) * i as f64 + HIGH;
        let most = ridge.steps.iter().map(|(_, count)| *count).max().unwrap_or(1) as f64;
        let mut path = String::new();
        for (from, count) in &ridge.steps {
            let (x, end) = (axis.x(*from), axis.x(from * step));
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
            let x = axis.x(*ns);
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

fn opening(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{title}"><title>{title}</title>"#
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
        assert!((axis.x(10.0) - 50.0).abs() < 1e-6, "{}", axis.x(10.0));
        assert!(axis.x(1.0) > 0.0 && axis.x(100.0) < 100.0);
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!(Axis::over([].into_iter(), 0.0, 1.0).x(3.0).is_finite());
    }

    #[test]
    fn times_are_told_in_their_unit() {
        let told = [0.87, 12.34, 120.0, 4321.0, 1.5e6, 2e9].map(nanoseconds);
        assert_eq!(told, ["0.87 ns", "12.3 ns", "120 ns", "4.32 µs", "1.50 ms", "2 s"]);
    }
}
