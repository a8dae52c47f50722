//! A diagram as a self-contained SVG, on light and dark ground, to be read at a width of 1280 px.

use super::model::{Arrival, Diagram, Kind, Row, State, What};
use super::text::{seconds, wrapped};
use std::fmt::Write;

const WIDTH: usize = 1_280;
/// Left of the first lifeline: the time.
const LEFT: usize = 90;
const ROW: usize = 24;
/// A line of text below the diagram.
const NOTE: usize = 18;
/// The width of a letter at the size of the labels, rather too wide.
const LETTER: usize = 7;
/// Letters in a line of the title, which is larger.
const TITLE_MAX: usize = (WIDTH - 16) / 8;

/// Without variables, which programs other than browsers do not know.
const STYLE: &str = "
.sequence text { font-family: system-ui, sans-serif; font-size: 12px; }
.sequence .head { font-weight: 700; text-anchor: middle; }
.sequence .title { font-size: 14px; font-weight: 700; }
.sequence .label { text-anchor: middle; paint-order: stroke; stroke-width: 4px; }
.sequence .strong { font-weight: 700; }
.sequence line { stroke-width: 1.5; }
.sequence .disturbed { stroke-dasharray: 5 3; }
.sequence .paused { stroke-width: 5; }
.sequence .down { stroke-dasharray: 1 6; }
.sequence .client { stroke-width: 2; }
.sequence .late { stroke-dasharray: 6 3; }
.sequence .ground { fill: #ffffff; }
.sequence text { fill: #1a1d21; }
.sequence .quiet { fill: #555c66; }
.sequence .label { stroke: #ffffff; }
.sequence .strong { fill: #b32d00; }
.sequence .fault { fill: #c24e00; }
.sequence .marked { fill: #fff1c2; }
.sequence line { stroke: #8a919c; }
.sequence .disturbed, .sequence .paused, .sequence .down { stroke: #c24e00; }
.sequence .message { stroke: #0064a6; }
.sequence .client { stroke: #007a5a; }
.sequence .tip { fill: #0064a6; }
.sequence .client-tip { fill: #007a5a; }
@media (prefers-color-scheme: dark) {
.sequence .ground { fill: #14171b; }
.sequence text { fill: #e9ecf0; }
.sequence .quiet { fill: #a5adb8; }
.sequence .label { stroke: #14171b; }
.sequence .strong { fill: #ff7a52; }
.sequence .fault { fill: #ff9147; }
.sequence .marked { fill: #3a3216; }
.sequence line { stroke: #6b7480; }
.sequence .disturbed, .sequence .paused, .sequence .down { stroke: #ff9147; }
.sequence .message { stroke: #56b4e9; }
.sequence .client { stroke: #3ecf9f; }
.sequence .tip { fill: #56b4e9; }
.sequence .client-tip { fill: #3ecf9f; }
}
";

impl Diagram {
    /// The diagram for a page. All text is escaped.
    #[must_use]
    pub fn svg(&self) -> String {
        let below = self.y(self.rows.len()) + 10;
        let notes = self.notes.iter().map(String::as_str).chain([LEGEND]);
        let notes: Vec<String> = notes.flat_map(|note| wrapped(note, WIDTH / LETTER)).collect();
        let height = below + NOTE * notes.len();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"sequence\" role=\"img\" \
             aria-label=\"Message sequence diagram\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\"><style>{STYLE}</style>\
             <rect width=\"{WIDTH}\" height=\"{height}\" class=\"ground\"></rect>"
        );
        for (line, nth) in self.title_lines().iter().zip(0..) {
            text(&mut svg, 8, 20 + NOTE * nth, "title", line, TITLE_MAX);
        }
        for (nth, name) in self.lifelines.iter().enumerate() {
            text(&mut svg, self.x(nth), self.top() - 16, "head", name, self.room() / LETTER);
        }
        self.marks(&mut svg);
        (0..self.lifelines.len()).for_each(|nth| self.lifeline(&mut svg, nth));
        for (nth, row) in self.rows.iter().enumerate() {
            self.row(&mut svg, nth, row);
        }
        for (note, nth) in notes.iter().zip(0..) {
            text(&mut svg, 8, below + NOTE * nth, "quiet", note, WIDTH / LETTER);
        }
        svg.push_str("</svg>");
        svg
    }

    /// The width of one lifeline.
    fn room(&self) -> usize {
        (WIDTH - LEFT) / self.lifelines.len().max(1)
    }

    fn x(&self, lifeline: usize) -> usize {
        LEFT + self.room() * lifeline + self.room() / 2
    }

    fn title_lines(&self) -> Vec<String> {
        wrapped(&self.title, TITLE_MAX)
    }

    /// Where the rows begin.
    fn top(&self) -> usize {
        46 + NOTE * self.title_lines().len()
    }

    fn y(&self, row: usize) -> usize {
        self.top() + ROW / 2 + ROW * row
    }

    /// A ground for rows of the witness.
    fn marks(&self, svg: &mut String) {
        for (nth, _) in self.rows.iter().enumerate().filter(|(_, row)| row.stressed) {
            let y = self.y(nth) - ROW / 2;
            let _ = write!(
                svg,
                "<rect class=\"marked\" x=\"0\" y=\"{y}\" width=\"{WIDTH}\" height=\"{ROW}\"></rect>"
            );
        }
    }

    /// A lifeline, in pieces that look different.
    fn lifeline(&self, svg: &mut String, lifeline: usize) {
        let states: Vec<State> =
            self.rows.iter().map(|row| self.state(lifeline, row.at_ns)).collect();
        let x = self.x(lifeline);
        let mut row = 0;
        for piece in states.chunk_by(PartialEq::eq) {
            let class = match piece[0] {
                State::Well => "well",
                State::Disturbed => "disturbed",
                State::Paused => "paused",
                State::Down => "down",
            };
            let top = if row == 0 { self.top() - 8 } else { self.y(row) };
            row += piece.len();
            line(svg, class, (x, top), (x, self.y(row)));
        }
    }

    fn row(&self, svg: &mut String, nth: usize, row: &Row) {
        let y = self.y(nth);
        text(svg, 8, y + 4, "quiet", &seconds(row.at_ns), 12);
        let strong = if row.stressed { " strong" } else { "" };
        match &row.what {
            What::Arrow { from, to, label, kind, arrival } => {
                self.arrow(svg, nth, (*from, *to), *kind, *arrival);
                let x = usize::midpoint(self.x(*from), self.x(*to));
                let room = self.x(*from).abs_diff(self.x(*to)).saturating_sub(24);
                text(svg, x, y - 3, &format!("label{strong}"), label, room / LETTER);
            }
            What::Arrives { .. } => {} // Its arrow ends here.
            What::Mark { on, label, fault } => {
                for lifeline in on {
                    let (x, y) = (self.x(*lifeline) - 5, y - 5);
                    let _ = write!(
                        svg,
                        "<rect class=\"fault\" x=\"{x}\" y=\"{y}\" width=\"10\" height=\"10\"></rect>"
                    );
                }
                let class = if *fault { "label fault" } else { "label strong" };
                let x = on.first().map_or(WIDTH / 2, |lifeline| self.x(*lifeline));
                // It stays within the picture, whatever lifeline it begins at.
                let half = (label.chars().count() * LETTER / 2).min(WIDTH / 2 - LEFT);
                let x = (x + half + 12).min(WIDTH - half - 4);
                text(svg, x, y + 4, class, label, (WIDTH - LEFT) / LETTER);
            }
            What::Gap { messages } => {
                let label = format!("… {messages} messages are left out …");
                text(svg, WIDTH / 2, y + 4, "label quiet", &label, WIDTH / LETTER);
            }
        }
    }

    /// From where it leaves to where it arrives.
    fn arrow(
        &self,
        svg: &mut String,
        nth: usize,
        (from, to): (usize, usize),
        kind: Kind,
        arrival: Arrival,
    ) {
        let (own, tip) = match kind {
            Kind::Message => ("message", "tip"),
            Kind::Call | Kind::Answer => ("client", "client-tip"),
        };
        let (start, x) = ((self.x(from), self.y(nth)), self.x(to));
        match arrival {
            Arrival::Soon => {
                // A little downward: nothing arrives at once.
                let end = (x, start.1 + if kind == Kind::Message { 7 } else { 0 });
                line(svg, own, start, end);
                head(svg, tip, end, from < to);
            }
            Arrival::Later { number, .. } => {
                let is_it = |row: &Row| matches!(row.what, What::Arrives { number: it, .. } if it == number);
                let row = self.rows.iter().position(is_it).unwrap_or(nth);
                let end = (x, self.y(row));
                line(svg, &format!("{own} late"), start, end);
                head(svg, tip, end, from < to);
            }
            Arrival::Never => {
                let middle = usize::midpoint(start.0, x);
                line(svg, own, start, (middle, start.1 + 4));
                let (x, y) = (middle, start.1 + 4);
                line(svg, "paused", (x - 4, y - 4), (x + 4, y + 4));
                line(svg, "paused", (x - 4, y + 4), (x + 4, y - 4));
            }
        }
    }
}

const LEGEND: &str = "Marked rows belong to the witness. Green: calls and answers of clients; blue: messages; dashed: late; \
                      a cross: lost. A lifeline is dashed while a fault disturbs its node, thick while it is paused, \
                      dotted while it is down. Time is not to scale.";

fn line(svg: &mut String, class: &str, from: (usize, usize), to: (usize, usize)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = write!(
        svg,
        "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"></line>"
    );
}

/// The tip of an arrow.
fn head(svg: &mut String, class: &str, (x, y): (usize, usize), rightward: bool) {
    let back = if rightward { x - 9 } else { x + 9 };
    let (above, below) = (y - 5, y + 4);
    let _ = write!(
        svg,
        "<polygon class=\"{class}\" points=\"{x},{y} {back},{above} {back},{below}\"></polygon>"
    );
}

/// Text of at most so many letters; all of it can be read by pointing at it.
fn text(svg: &mut String, x: usize, y: usize, class: &str, text: &str, letters_max: usize) {
    let whole = escape(text);
    let _ = write!(svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">");
    if text.chars().count() > letters_max {
        let start: String = text.chars().take(letters_max.saturating_sub(1)).collect();
        let _ = write!(svg, "<title>{whole}</title>{}…", escape(&start));
    } else {
        svg.push_str(&whole);
    }
    svg.push_str("</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
