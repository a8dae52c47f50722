//! Charts over the time of a run: an SVG that stretches with the page, and labels in HTML that keep their size, so that one
//! page reads well on a wide screen and on a phone. All charts share the time axis, and shade and name the faults.
//!
//! Inside the SVG both axes run from 0 to [`SPAN`]; y grows downwards.

use super::{format, words};
use maud::{Markup, html};
use std::fmt::Write;
use tribunal_checkers::{FaultOutcome, Window};

/// The side of the drawing, in its own units.
pub(super) const SPAN: f64 = 1_000.0;

/// What is drawn over time.
pub(super) struct Chart<'a> {
    /// What is shown, with the unit.
    pub(super) title: &'a str,
    /// Sample counts, and how to read it.
    pub(super) note: String,
    /// The length of the time axis, in s.
    pub(super) end_s: f64,
    /// The faults to shade.
    pub(super) windows: &'a [Window],
    /// The labels of the y axis.
    pub(super) ticks: Vec<Tick>,
    /// What the marks mean: their class and a word.
    pub(super) legend: Vec<(String, String)>,
    /// SVG elements.
    pub(super) marks: Markup,
    /// What the pointer tells, by time.
    pub(super) hints: Vec<Hint>,
    /// Height of the drawing, in pixels.
    pub(super) height: u32,
}

/// A label of the y axis.
pub(super) struct Tick {
    /// Where, from 0 at the bottom to 1 at the top.
    pub(super) place: f64,
    /// What stands there.
    pub(super) label: String,
}

/// What the pointer tells of a time.
pub(super) struct Hint {
    /// From when, in s.
    pub(super) from_s: f64,
    /// Until when, in s.
    pub(super) to_s: f64,
    /// What.
    pub(super) text: String,
}

impl Chart<'_> {
    /// The chart as HTML.
    pub(super) fn draw(self) -> Markup {
        let x = |time_s: f64| x(time_s, self.end_s);
        html! {
            figure class="chart" {
                figcaption {
                    strong { (self.title) }
                    @for (class, label) in &self.legend {
                        span class="key" {
                            svg class="swatch" viewBox="0 0 14 10" aria-hidden="true" {
                                path class={ "mark " (class) } d="M1 5h12" {}
                            }
                            (label)
                        }
                    }
                    span class="note" { (self.note) }
                }
                div class="plot" {
                    (strip(self.windows, self.end_s))
                    div class="y" style={ "height:" (self.height) "px" } {
                        @for tick in &self.ticks {
                            span style={ "bottom:" (decimal(100.0 * tick.place)) "%" } { (tick.label) }
                        }
                    }
                    svg class="area" viewBox="0 0 1000 1000" preserveAspectRatio="none"
                        style={ "height:" (self.height) "px" } role="img" aria-label=(self.title) {
                        @for window in self.windows.iter().filter(|window| shaded(window)) {
                            @let (from, to) = bounds(window, self.end_s);
                            rect class="fault" x=(decimal(x(from))) y="0" height="1000"
                                width=(decimal((x(to) - x(from)).max(1.0))) {}
                        }
                        @for tick in &self.ticks {
                            @let y = decimal(SPAN * (1.0 - tick.place));
                            path class="grid" d={ "M0 " (y) "H1000" } {}
                        }
                        (self.marks)
                        // Bars hide the shade; the edges stay in sight.
                        @for window in self.windows.iter().filter(|window| shaded(window)) {
                            @let (from, to) = bounds(window, self.end_s);
                            path class="edge" d={ "M" (decimal(x(from))) " 0V1000M" (decimal(x(to))) " 0V1000" } {}
                        }
                        @for hint in &self.hints {
                            rect class="hint" x=(decimal(x(hint.from_s))) y="0" height="1000"
                                width=(decimal(x(hint.to_s) - x(hint.from_s))) {
                                title { (hint.text) }
                            }
                        }
                    }
                    div class="x" {
                        @for time_s in steps(self.end_s, 7.0) {
                            span style={ "left:" (decimal(100.0 * time_s / self.end_s)) "%" } {
                                (format::amount(time_s)) " s"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where a time stands.
pub(super) fn x(time_s: f64, end_s: f64) -> f64 {
    (SPAN * time_s / end_s).clamp(0.0, SPAN)
}

/// Whether a fault shades the charts: one that was skipped was never in effect.
fn shaded(window: &Window) -> bool {
    window.outcome != FaultOutcome::Skipped
}

/// From when to when a fault was in effect, in s.
fn bounds(window: &Window, end_s: f64) -> (f64, f64) {
    (window.start as f64 / 1e9, window.end.map_or(end_s, |end| end as f64 / 1e9))
}

/// The faults by name above a chart, in as few rows as their overlaps allow.
fn strip(windows: &[Window], end_s: f64) -> Markup {
    let mut rows: Vec<Vec<&Window>> = Vec::new();
    for window in windows.iter().filter(|window| shaded(window)) {
        let (from, _) = bounds(window, end_s);
        let free =
            |row: &&mut Vec<&Window>| row.last().is_none_or(|last| bounds(last, end_s).1 <= from);
        match rows.iter_mut().find(free) {
            Some(row) => row.push(window),
            None => rows.push(vec![window]),
        }
    }
    html! {
        @for row in rows {
            div class="strip" {
                @for window in row {
                    @let (from, to) = bounds(window, end_s);
                    span style={ "left:" (decimal(100.0 * from / end_s)) "%;width:" (decimal(100.0 * (to - from) / end_s)) "%" }
                        title={ (words::fault(window)) " " (format::nodes(&window.targets)) " " (words::span(window)) } {
                        "#" (window.id) " " (window.fault)
                    }
                }
            }
        }
    }
}

/// The y axis of a chart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// By decades between two powers of ten.
    Log(f64, f64),
}

impl Scale {
    /// From 0 to a round number at or above every value.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let max = values.fold(0.0, f64::max);
        let step = step(max, 4.0);
        Self::Linear(if max > 0.0 { (max / step).ceil() * step } else { 1.0 })
    }

    /// From the power of ten at or below every positive value to the one at or above.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let (min, max) = positive
            .fold((f64::INFINITY, 0.0_f64), |(min, max), value| (min.min(value), max.max(value)));
        if max == 0.0 {
            return Self::Log(1.0, 10.0);
        }
        let low = 10_f64.powi(min.log10().floor() as i32);
        let high = 10_f64.powi(max.log10().ceil() as i32);
        Self::Log(low, if high > low { high } else { low * 10.0 })
    }

    /// Where a value stands in the drawing.
    pub(super) fn y(self, value: f64) -> f64 {
        SPAN * (1.0 - self.place(value))
    }

    fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear(max) => value / max,
            Self::Log(low, high) => (value.max(low) / low).log10() / (high / low).log10(),
        };
        place.clamp(0.0, 1.0)
    }

    /// The labels of the axis.
    pub(super) fn ticks(self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let values = match self {
            Self::Linear(max) => steps(max, 4.0),
            Self::Log(low, high) => {
                let decades = (high / low).log10().round() as i32;
                (0..=decades).map(|decade| low * 10_f64.powi(decade)).collect()
            }
        };
        values
            .into_iter()
            .map(|value| Tick { place: self.place(value), label: label(value) })
            .collect()
    }
}

/// A round step (1, 2 or 5 times a power of ten) that divides 0 to `max` into about `count`.
fn step(max: f64, count: f64) -> f64 {
    if max <= 0.0 {
        return 1.0;
    }
    let rough = max / count;
    let power = 10_f64.powi(rough.log10().floor() as i32);
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
}

/// Round numbers from 0 to `max`.
fn steps(max: f64, count: f64) -> Vec<f64> {
    let step = step(max, count);
    let last = (max / step + 1e-9).floor() as u32;
    (0..=last).map(|nth| f64::from(nth) * step).collect()
}

/// A number of the drawing: one decimal is a fraction of a pixel.
pub(super) fn decimal(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// The path of a line through the points, broken where one is missing. A point between two gaps is a dot.
pub(super) fn line(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for point in points {
        let Some((x, y)) = point else {
            drawing = false;
            continue;
        };
        let (x, y) = (decimal(x), decimal(y));
        // Writing to a String cannot fail. A line of no length has round ends, so it shows.
        let _written = if drawing { write!(path, "L{x} {y}") } else { write!(path, "M{x} {y}h0") };
        drawing = true;
    }
    path
}

/// The path of dots.
pub(super) fn dots(points: impl Iterator<Item = (f64, f64)>) -> String {
    line(points.flat_map(|point| [Some(point), None]))
}

/// The path of a rectangle.
pub(super) fn bar(x: f64, y: f64, width: f64, height: f64) -> String {
    let [x, y, width, height] = [x, y, width, height].map(decimal);
    format!("M{x} {y}h{width}v{height}h-{width}z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_cover_the_axis() {
        assert_eq!(steps(25.0, 6.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        assert_eq!(steps(1.0, 4.0), [0.0, 0.5, 1.0]);
        assert!(steps(3_600.0, 6.0).len() <= 9);
    }

    #[test]
    fn scales_put_values_where_they_belong() {
        let linear = Scale::linear([3.0, 870.0].into_iter());
        assert_eq!(linear.y(0.0), SPAN);
        assert!(linear.y(870.0) < 250.0);
        let log = Scale::log([120.0, 45_000.0].into_iter());
        assert_eq!((log.y(100.0), log.y(100_000.0)), (SPAN, 0.0));
        assert!((log.y(10_000.0) - SPAN / 3.0).abs() < 1e-6);
        assert_eq!(log.ticks(format::micros).len(), 4);
    }

    #[test]
    fn no_values_are_no_trouble() {
        assert_eq!(Scale::linear(std::iter::empty()).y(0.0), SPAN);
        assert_eq!(Scale::log([0.0].into_iter()).ticks(format::micros).len(), 2);
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let points = [Some((0.0, 1.0)), Some((1.0, 1.5)), None, Some((3.0, 1.0))];
        assert_eq!(line(points.into_iter()), "M0 1h0L1 1.5M3 1h0");
    }
}
