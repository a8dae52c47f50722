//! Draws how a cost grows: a line chart with logarithmic axes, as an SVG file that is readable in light and dark.
//!
//! ```text
//! cargo run --example plot -- "Time to verdict" operations seconds < measured.tsv > checkers/figures/length.svg
//! ```
//!
//! Reads lines of three columns, divided by tabs: series, x, y. Both numbers are above zero, since their logarithms are
//! drawn. Lines that are empty or begin with `#` are passed over. The order of the series is that of their first lines.
//!
//! Hand-written, since the libraries that plot would bring fonts and renderers along for one kind of chart.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::process::ExitCode;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 366.0;

/// Okabe and Ito's colours that stand out on white and on black, told apart by the colour-blind, and dashes beside.
const LINES: [(&str, &str); 8] = [
    ("#0072b2", ""),
    ("#d55e00", ""),
    ("#009e73", ""),
    ("#cc79a7", ""),
    ("#0072b2", "6 4"),
    ("#d55e00", "6 4"),
    ("#009e73", "6 4"),
    ("#cc79a7", "6 4"),
];

const STYLE: &str = "svg{background:#fff;color:#1f2328;font-family:system-ui,sans-serif;font-size:12px}\
                     @media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}}\
                     text{fill:currentColor}.grid{stroke:currentColor;stroke-opacity:.15}";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [title, x_label, y_label] = &arguments[..] else {
        eprintln!("usage: plot TITLE X-LABEL Y-LABEL < TSV > SVG");
        return ExitCode::from(2);
    };
    let mut input = String::new();
    let read = std::io::stdin().read_to_string(&mut input).map_err(|error| error.to_string());
    match read.and_then(|_| parse(&input)) {
        Ok(series) => {
            println!("{}", chart(&series, title, x_label, y_label));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// A name and its points, by x.
type Series = (String, Vec<(f64, f64)>);

fn parse(input: &str) -> Result<Vec<Series>, String> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all: Vec<Series> = Vec::new();
    for (nth, line) in input.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong =
            || format!("line {}: expected series, x > 0 and y > 0 by tabs: {line:?}", nth + 1);
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, x, y] = columns[..] else { return Err(wrong()) };
        let number =
            |text: &str| text.trim().parse().ok().filter(|n: &f64| *n > 0.0 && n.is_finite());
        let (Some(x), Some(y)) = (number(x), number(y)) else { return Err(wrong()) };
        let place = *places.entry(name).or_insert(all.len());
        if place == all.len() {
            all.push((name.to_owned(), Vec::new()));
        }
        all[place].1.push((x, y));
    }
    if all.is_empty() {
        return Err("there is no line of data".to_owned());
    }
    if all.len() > LINES.len() {
        return Err(format!("{} series, but only {} can be told apart", all.len(), LINES.len()));
    }
    all.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    Ok(all)
}

/// A logarithmic axis from one power of ten (or its double or half) to another.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        let (low, high) = (round_down(least), round_up(most));
        // A single value still gets an axis.
        let high = if high > low { high } else { low * 10.0 };
        Self { low: low.log10(), high: high.log10(), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Powers of ten; with few of them also 2 and 5 times these.
    fn ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let factors: &[f64] = if self.high - self.low < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = (first..=last)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
        let inside =
            |tick: &f64| tick.log10() >= self.low - 1e-9 && tick.log10() <= self.high + 1e-9;
        all.filter(inside).collect()
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factor =
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= value * 0.999_999);
    factor.unwrap_or(10.0) * power
}

fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factor = [5.0, 2.0, 1.0].into_iter().find(|factor| factor * power <= value * 1.000_001);
    factor.unwrap_or(1.0) * power
}

fn chart(series: &[Series], title: &str, x_label: &str, y_label: &str) -> String {
    let points = || series.iter().flat_map(|(_, points)| points);
    let x = Axis::of(points().map(|point| point.0), LEFT, RIGHT);
    let y = Axis::of(points().map(|point| point.1), BOTTOM, TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{0}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\"><style>{STYLE}</style>\
         <text x=\"{LEFT}\" y=\"22\" style=\"font-size:15px;font-weight:600\">{0}</text>",
        escape(title)
    );
    grid(&mut svg, &x, &y);
    let middle = f64::midpoint(LEFT, RIGHT);
    let center = f64::midpoint(TOP, BOTTOM);
    // Writing to a String cannot fail, here and below.
    let _written = write!(
        svg,
        "<text x=\"{middle}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(16 {center}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        BOTTOM + 40.0,
        escape(x_label),
        escape(y_label),
    );
    let labels = label_places(series, &y);
    for (((name, points), line), label) in series.iter().zip(LINES).zip(labels) {
        draw(&mut svg, name, points, line, label, (&x, &y));
    }
    svg.push_str("</svg>");
    svg
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    for tick in x.ticks() {
        let at = x.at(tick);
        let _written = write!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>\
             <text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 18.0,
            number(tick),
        );
    }
    for tick in y.ticks() {
        let at = y.at(tick);
        let _written = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(tick),
        );
    }
}

/// Where the names stand, right of the last points, at least a line apart.
fn label_places(series: &[Series], y: &Axis) -> Vec<f64> {
    let last = |points: &[(f64, f64)]| points.last().map_or(BOTTOM, |point| y.at(point.1));
    let mut order: Vec<(usize, f64)> =
        series.iter().map(|(_, points)| last(points)).enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut places = vec![0.0; series.len()];
    let mut free = f64::NEG_INFINITY;
    for (nth, at) in order {
        let place = f64::max(at, free);
        places[nth] = place;
        free = place + 16.0;
    }
    places
}

fn draw(
    svg: &mut String,
    name: &str,
    points: &[(f64, f64)],
    (color, dashes): (&str, &str),
    label: f64,
    (x, y): (&Axis, &Axis),
) {
    let places: Vec<(f64, f64)> =
        points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _written = write!(
        svg,
        "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
        path.join("L")
    );
    for (place, (x, y)) in places.iter().zip(points) {
        let _written = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{color}\"><title>{}: {x}, {y}</title></circle>",
            place.0,
            place.1,
            escape(name),
        );
    }
    let edge = RIGHT + 10.0;
    let _written = write!(
        svg,
        "<path d=\"M{edge} {label:.1}h16\" stroke=\"{color}\" stroke-width=\"3\" stroke-dasharray=\"{dashes}\"/>\
         <text x=\"{:.0}\" y=\"{:.1}\">{}</text>",
        edge + 22.0,
        label + 4.0,
        escape(name),
    );
}

/// `10k`, `0.01`, `2M`.
fn number(value: f64) -> String {
    match value {
        _ if value >= 0.999e9 => format!("{}G", value / 1e9),
        _ if value >= 0.999e6 => format!("{}M", value / 1e6),
        _ if value >= 0.999e3 => format!("{}k", value / 1e3),
        _ if value >= 0.999 => format!("{value}"),
        // Powers of ten below one are not exact; three digits are enough for 1, 2 and 5 times these.
        _ => format!("{value:.9}").trim_end_matches('0').to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
