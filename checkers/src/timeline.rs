//! A few operations as a picture: inline SVG for pages, text for terminals.
//!
//! * [`draw`]: one lane a process, a bar from call to return, the times of the events above, and arrows from what had returned to
//!   what was called next: the real-time order, which is what convicts.
//! * [`text`]: the same in box-drawing characters, at most [`COLUMNS_MAX`] wide.
//!
//! Neither is to scale: operations of a millisecond that lie seconds apart would not be seen otherwise. Events stand in their
//! order, longer pauses get more room, and labels get what they need.
//!
//! The SVG takes its colours from the text around it (`currentColor`), so it is readable on light and dark. All text is escaped.
//!
//! Absent: whole histories. More than [`DRAWN_MAX`] operations are not drawn, and the picture says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use tribunal_history::{Operation, Outcome, Process, Stamp};

/// Operations beyond this are left out of a picture.
pub const DRAWN_MAX: usize = 40;
/// The width of a text.
pub const COLUMNS_MAX: usize = 100;

/// The operations as inline SVG. Those that were called at an index of `highlights` are drawn with emphasis.
///
/// Empty if there is nothing to draw.
#[must_use]
pub fn draw(operations: &[Operation], highlights: &[u64]) -> String {
    let shown = first(operations);
    if shown.is_empty() {
        return String::new();
    }
    let layout = Layout::of(&shown, &SVG);
    let height = TOP + LANE * layout.lanes.len() as f64 + 14.0;
    let width = (layout.end + 24.0).max(WIDTH);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"timeline\" role=\"img\" \
         aria-label=\"The operations of the witness in their real-time order\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"currentColor\" stroke=\"none\">"
    );
    axis(&mut svg, &layout, height);
    for (process, lane) in &layout.lanes {
        let y = TOP + LANE * *lane as f64;
        text_at(&mut svg, 2.0, y + 31.0, "", &format!("process {process}"));
        line(&mut svg, [0.0, y + LANE, width, y + LANE], "stroke-opacity=\".15\"");
    }
    for operation in &shown {
        bar(&mut svg, operation, &layout, highlights.contains(&operation.call.index));
    }
    for (before, after) in arrows(&shown) {
        arrow(&mut svg, before, after, &layout);
    }
    if shown.len() < operations.len() {
        let note = format!("the first {} of {} operations", shown.len(), operations.len());
        text_at(&mut svg, 2.0, height - 2.0, "fill-opacity=\".7\"", &note);
    }
    svg.push_str("</svg>");
    svg
}

/// The operations as text: a line a process, cut into blocks of at most [`COLUMNS_MAX`] columns.
#[must_use]
pub fn text(operations: &[Operation]) -> String {
    let shown = first(operations);
    if shown.is_empty() {
        return String::new();
    }
    let names = shown.iter().map(|operation| format!("process {} ", operation.process));
    let left = names.map(|name| name.len()).max().unwrap_or(0).min(COLUMNS_MAX / 2);
    let layout = Layout::of(&shown, &TEXT);
    let columns = layout.end.ceil() as usize + TEXT.tick as usize;
    let mut rows = vec![vec![' '; columns]; layout.lanes.len() + 1];
    ticks(&mut rows[0], &layout);
    for operation in &shown {
        let lane = layout.lanes.get(&operation.process).copied().unwrap_or(0);
        strip(&mut rows[lane + 1], operation, &layout);
    }
    let heads = layout.lanes.keys().map(|process| format!("process {process}"));
    let heads: Vec<String> = std::iter::once("seconds".to_owned()).chain(heads).collect();
    let width = COLUMNS_MAX - left;
    let mut lines = Vec::new();
    for start in (0..columns).step_by(width) {
        for (head, row) in heads.iter().zip(&rows) {
            let part: String = row.iter().skip(start).take(width).collect();
            let head: String = head.chars().take(left).collect();
            lines.push(format!("{head:<left$}{part}").trim_end().to_owned());
        }
        lines.push(String::new());
    }
    if shown.len() < operations.len() {
        lines.push(format!("the first {} of {} operations", shown.len(), operations.len()));
    }
    lines.join("\n").trim_end().to_owned()
}

/// The first operations by their calls.
fn first(operations: &[Operation]) -> Vec<&Operation> {
    let mut shown: Vec<&Operation> = operations.iter().collect();
    shown.sort_unstable_by_key(|operation| operation.call);
    shown.truncate(DRAWN_MAX);
    shown
}

/// What an operation says, in a few words: `write 3`, `cas 3 → 4: fate unknown`.
fn label(operation: &Operation) -> String {
    let did = match operation.outcome {
        Outcome::Ok if !operation.output.is_nil() => &operation.output,
        _ => &operation.input,
    };
    // The key of `[key, value]` is that of the whole witness. A transaction of two operations is no such pair.
    let keyed = operation.input.as_pair().filter(|(key, _)| key.as_list().is_none());
    let value = keyed.and(did.as_pair()).map_or(did, |(_, value)| value);
    let value = match (&*operation.f, value.as_pair()) {
        ("cas", Some((from, to))) => format!("{from} → {to}"),
        _ => value.to_string(),
    };
    let ending = match operation.outcome {
        Outcome::Ok => "",
        Outcome::Fail => " failed",
        Outcome::Info => " ?",
    };
    let unread = operation.outcome != Outcome::Ok && value == "nil";
    let value = if unread { String::new() } else { format!(" {}", abridge(&value)) };
    format!("{}{value}{ending}", operation.f)
}

/// A value that fits above a bar.
fn abridge(value: &str) -> String {
    const SHOWN: usize = 18;
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    value.chars().take(SHOWN).chain("…".chars()).collect()
}

/// Measures of one kind of picture.
struct Style {
    /// Where the first event stands.
    left: f64,
    /// The room that all pauses share, on top of what each event gets.
    room: f64,
    /// The least room between two events.
    step: f64,
    /// The width of a letter, and what surrounds a label.
    letter: f64,
    around: f64,
    /// The width of a time on the axis.
    tick: f64,
    /// Whether labels stand in the bars, which must hold them then, or above.
    inside: bool,
}

const WIDTH: f64 = 760.0;
const TOP: f64 = 26.0;
const LANE: f64 = 46.0;
const SVG: Style = Style {
    left: 92.0,
    room: 380.0,
    step: 22.0,
    letter: 6.9,
    around: 12.0,
    tick: 58.0,
    inside: false,
};
const TEXT: Style =
    Style { left: 0.0, room: 16.0, step: 2.0, letter: 1.0, around: 4.0, tick: 9.0, inside: true };

/// Where everything stands, from left to right.
struct Layout {
    lanes: BTreeMap<Process, usize>,
    /// The place of each event by its index.
    places: BTreeMap<u64, (f64, Stamp)>,
    /// Beyond the last event and label: where bars end that never return.
    end: f64,
}

impl Layout {
    fn of(operations: &[&Operation], style: &Style) -> Self {
        let processes: BTreeSet<Process> =
            operations.iter().map(|operation| operation.process).collect();
        let lanes: BTreeMap<Process, usize> = (0..).zip(processes).map(|(n, p)| (p, n)).collect();
        let ends = operations.iter().filter_map(|operation| operation.returned());
        let stamps: BTreeSet<Stamp> =
            operations.iter().map(|operation| operation.call).chain(ends).collect();
        let calls: BTreeMap<u64, &Operation> =
            operations.iter().map(|operation| (operation.call.index, *operation)).collect();
        let returns: BTreeMap<u64, Process> = operations
            .iter()
            .filter_map(|operation| Some((operation.returned()?.index, operation.process)))
            .collect();
        let pauses = stamps.iter().zip(stamps.iter().skip(1));
        // A pause of a thousand times the length gets thirty times the room.
        let weight = |from: u64, to: u64| (to.saturating_sub(from) as f64).sqrt();
        let total: f64 = pauses.map(|(one, next)| weight(one.time, next.time)).sum();
        // Where the last label of each lane ends.
        let mut taken: BTreeMap<Process, f64> = BTreeMap::new();
        let mut places = BTreeMap::new();
        let mut last: Option<(f64, u64)> = None;
        for stamp in stamps {
            let mut x = last.map_or(style.left, |(x, time)| {
                let share = if total > 0.0 { weight(time, stamp.time) / total } else { 0.0 };
                x + style.step + style.room * share
            });
            if let Some(operation) = calls.get(&stamp.index) {
                let free = taken.entry(operation.process).or_insert(0.0);
                x = x.max(*free);
                let letters = label(operation).chars().count() as f64;
                *free = x + letters * style.letter + style.around;
            }
            if let Some(free) = returns.get(&stamp.index).and_then(|process| taken.get_mut(process))
                && style.inside
            {
                x = x.max(*free - 2.0);
                *free = free.max(x + 2.0);
            }
            places.insert(stamp.index, (x, stamp));
            last = Some((x, stamp.time));
        }
        let labels = taken.into_values().fold(0.0, f64::max);
        let events = last.map_or(0.0, |(x, _)| x);
        Self { lanes, places, end: labels.max(events + style.step) }
    }

    fn x(&self, stamp: Stamp) -> f64 {
        self.places.get(&stamp.index).map_or(self.end, |(x, _)| *x)
    }

    /// From call to return; to the end if it never returned.
    fn span(&self, operation: &Operation) -> (f64, f64) {
        let to = operation.returned().map_or(self.end, |end| self.x(end));
        (self.x(operation.call), to)
    }

    /// The times that fit beside each other, with their places.
    fn ticks(&self, tick: f64) -> Vec<(f64, String)> {
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (x, stamp) in self.places.values() {
            if ticks.last().is_none_or(|(before, _)| before + tick <= *x) {
                ticks.push((*x, format!("{:.6}", stamp.time as f64 / 1e9)));
            }
        }
        ticks
    }
}

/// Pairs of different processes in real-time order, without those that follow from others.
fn arrows<'a>(operations: &[&'a Operation]) -> Vec<(&'a Operation, &'a Operation)> {
    let precedes = |one: &Operation, other: &Operation| {
        one.returned().is_some_and(|end| end.index < other.call.index)
    };
    let mut arrows = Vec::new();
    for &after in operations {
        for &before in operations.iter().filter(|before| precedes(before, after)) {
            let between =
                operations.iter().any(|middle| precedes(before, middle) && precedes(middle, after));
            if !between && before.process != after.process {
                arrows.push((before, after));
            }
        }
    }
    arrows
}

/// Readable on light and on dark.
const EMPHASIS: &str = "#e5484d";

fn axis(svg: &mut String, layout: &Layout, height: f64) {
    text_at(svg, 2.0, 13.0, "fill-opacity=\".7\"", "time in s");
    for (x, time) in layout.ticks(SVG.tick) {
        text_at(svg, x, 13.0, "fill-opacity=\".7\" font-size=\"11\"", &time);
        line(svg, [x, 18.0, x, height - 14.0], "stroke-opacity=\".12\"");
    }
}

fn bar(svg: &mut String, operation: &Operation, layout: &Layout, highlight: bool) {
    let (from, to) = layout.span(operation);
    let y = TOP + LANE * layout.lanes.get(&operation.process).copied().unwrap_or(0) as f64;
    let color = if highlight { EMPHASIS } else { "currentColor" };
    let (top, bottom) = (y + 20.0, y + 36.0);
    let emphasis = if highlight { "font-weight=\"700\"" } else { "" };
    // Writing to a String cannot fail, here and below.
    let _written = write!(svg, "<g><title>{}</title>", escape(&title(operation)));
    text_at(svg, from, y + 14.0, emphasis, &label(operation));
    let common = format!("style=\"fill:{color};fill-opacity:.22;stroke:{color};stroke-width:1.5\"");
    let _written = match operation.outcome {
        Outcome::Info => write!(
            svg,
            "<path d=\"M{to:.1} {top}H{from:.1}V{bottom}H{to:.1}L{:.1} {:.1}z\" {common}></path>",
            to + 10.0,
            f64::midpoint(top, bottom),
        ),
        outcome => {
            let dashes = if outcome == Outcome::Fail { " stroke-dasharray=\"4 3\"" } else { "" };
            let width = (to - from).max(4.0);
            write!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"16\" rx=\"2\" {common}{dashes}></rect>"
            )
        }
    };
    svg.push_str("</g>");
}

fn title(operation: &Operation) -> String {
    let seconds = |stamp: Stamp| format!("{:.6} s", stamp.time as f64 / 1e9);
    let ended = match operation.returned() {
        Some(end) => format!("returned at {}", seconds(end)),
        None => "never returned: it may have taken effect at any later time, or never".to_owned(),
    };
    let (process, call) = (operation.process, seconds(operation.call));
    format!("process {process}: {}, called at {call}, {ended}", label(operation))
}

/// From the return of one to the call of the other.
fn arrow(svg: &mut String, before: &Operation, after: &Operation, layout: &Layout) {
    let lane = |operation: &Operation| {
        layout.lanes.get(&operation.process).copied().unwrap_or(0) as f64 * LANE + TOP + 28.0
    };
    let (x1, y1, x2, y2) = (layout.span(before).1, lane(before), layout.span(after).0, lane(after));
    // The head, drawn by hand: markers go by identifiers, which many pictures in one page would share.
    let length = (x2 - x1).hypot(y2 - y1).max(1.0);
    let (along, across) = ((x2 - x1) / length * 7.0, (y2 - y1) / length * 7.0);
    let (back_x, back_y) = (x2 - along, y2 - across);
    let _written = write!(
        svg,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" style=\"fill:none;stroke:currentColor;stroke-opacity:.6\" \
         stroke-dasharray=\"2 2\"></path>\
         <path d=\"M{x2:.1} {y2:.1}L{:.1} {:.1}L{:.1} {:.1}z\" style=\"fill:currentColor\"></path>",
        back_x - across / 2.0,
        back_y + along / 2.0,
        back_x + across / 2.0,
        back_y - along / 2.0,
    );
}

fn text_at(svg: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let text = escape(text);
    let _written = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], attributes: &str) {
    let _written = write!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"currentColor\" {attributes}></line>"
    );
}

/// Text as it may stand in an element or an attribute of XML, without control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ if letter.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// The times that fit, each where its event stands.
fn ticks(row: &mut [char], layout: &Layout) {
    for (x, time) in layout.ticks(TEXT.tick) {
        put(row, x as usize, &time);
    }
}

/// `├ write 3 ─┤`, open to the right if it never returned, dotted if it failed.
fn strip(row: &mut [char], operation: &Operation, layout: &Layout) {
    let (from, to) = layout.span(operation);
    let (from, to) = (from as usize, to as usize);
    let (dash, end) = match operation.outcome {
        Outcome::Ok => ('─', '┤'),
        Outcome::Fail => ('╌', '┤'),
        Outcome::Info => ('─', '▶'),
    };
    for cell in row.iter_mut().take(to).skip(from + 1) {
        *cell = dash;
    }
    put(row, from, "├");
    put(row, to, &end.to_string());
    put(row, from + 1, &label(operation));
}

/// Control characters, which could move the cursor, become visible.
fn put(row: &mut [char], at: usize, text: &str) {
    for (cell, letter) in row.iter_mut().skip(at).zip(text.chars()) {
        *cell = if letter.is_control() { '\u{fffd}' } else { letter };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_history::Value;

    fn operation(
        process: u64,
        f: &'static str,
        value: Value,
        call: (u64, u64),
        end: Option<(u64, u64)>,
    ) -> Operation {
        let stamp = |(index, ms): (u64, u64)| Stamp { index, time: ms * 1_000_000 };
        let keyed = Value::keyed("x".into(), value);
        Operation {
            process: Process(process),
            f: f.into(),
            input: keyed.clone(),
            output: keyed,
            outcome: if end.is_some() { Outcome::Ok } else { Outcome::Info },
            call: stamp(call),
            end: end.map(stamp),
            error: None,
            node: None,
            answered_by: None,
            scheduled: None,
            attempts: 1,
            phase: None,
        }
    }

    /// A stale read, with a write that crashed.
    fn sample() -> Vec<Operation> {
        let mut failed = operation(3, "write", 9.into(), (6, 1_100), Some((7, 1_101)));
        failed.outcome = Outcome::Fail;
        vec![
            operation(0, "write", 3.into(), (0, 10), Some((1, 12))),
            operation(1, "write", 4.into(), (2, 900), Some((3, 981))),
            operation(2, "write", 5.into(), (4, 1_000), None),
            operation(7, "read", 3.into(), (8, 1_204), Some((9, 1_205))),
            failed,
        ]
    }

    #[test]
    fn a_picture_is_well_formed_and_escaped() {
        let mut operations = sample();
        operations[0].input = Value::keyed("x".into(), Value::text("<&\"\u{1b}"));
        operations[0].output = operations[0].input.clone();
        let svg = draw(&operations, &[8]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(
            svg.contains("&lt;&amp;") && !svg.contains("<&") && !svg.contains('\u{1b}'),
            "{svg}"
        );
        assert_eq!(svg.matches(EMPHASIS).count(), 2, "fill and stroke of one bar");
        assert_eq!(svg.matches("<rect").count(), 4);
        assert_eq!(svg.matches("stroke-dasharray=\"4 3\"").count(), 1, "one failed");
        assert_eq!(svg.matches("never returned").count(), 1, "one crashed");
    }

    #[test]
    fn nothing_gives_nothing_and_much_is_cut_aloud() {
        assert_eq!((draw(&[], &[]), text(&[])), (String::new(), String::new()));
        let many: Vec<Operation> = (0..100)
            .map(|nth| {
                operation(nth % 9, "read", 1.into(), (2 * nth, nth), Some((2 * nth + 1, nth)))
            })
            .collect();
        assert!(draw(&many, &[]).contains("the first 40 of 100 operations"));
        let text = text(&many);
        assert!(text.ends_with("the first 40 of 100 operations"));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS_MAX));
    }

    #[test]
    fn arrows_are_the_order_that_convicts() {
        let operations = sample();
        let shown: Vec<&Operation> = first(&operations);
        let pairs: Vec<(u64, u64)> = arrows(&shown)
            .into_iter()
            .map(|(before, after)| (before.process.0, after.process.0))
            .collect();
        assert_eq!(pairs, [(0, 1), (1, 2), (1, 3), (3, 7)]);
    }

    #[test]
    fn a_text_reads_like_this() {
        let lines = [
            "seconds   0.010000 0.012000 0.900000 0.981000               1.101000     1.205000",
            "process 0 ├write 3─┤",
            "process 1                   ├write 4─┤",
            "process 2                               ├write 5 ?─────────────────────────▶",
            "process 3                                   ├write 9 failed╌┤",
            "process 7                                                        ├read 3─┤",
        ];
        let text = text(&sample());
        assert_eq!(text.lines().collect::<Vec<_>>(), lines, "\n{text}");
    }
}
