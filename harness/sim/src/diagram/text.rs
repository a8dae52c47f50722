//! A diagram in box-drawing characters: a column a lifeline, a line a row, and what happens at the right. What one node says
//! to several at once, or several to one, is one line.

use super::model::{Arrival, Diagram, Kind, Row, State, What};
use std::fmt::Write;

/// The width of a text.
const COLUMNS_MAX: usize = 160;
/// Room for the time, and a mark for rows of the witness.
const LEFT: usize = 14;
/// Room for a lifeline: at most, and at least.
const LIFELINE_MAX: usize = 12;
const LIFELINE_MIN: usize = 4;
/// Room that is kept for what happens.
const LABEL_MIN: usize = 60;

impl Diagram {
    /// The diagram for a terminal: at most 160 columns and about 200 lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        wrapped(&self.title, COLUMNS_MAX).iter().for_each(|part| line(&mut text, part));
        text.push_str(&self.drawing());
        line(&mut text, "");
        line(&mut text, LEGEND);
        let notes = self.notes.iter().flat_map(|note| wrapped(note, COLUMNS_MAX));
        notes.for_each(|note| line(&mut text, &note));
        text
    }

    /// The same without the title, the notes and what the signs mean.
    #[must_use]
    pub fn drawing(&self) -> String {
        let mut text = String::new();
        self.heads().iter().for_each(|head| line(&mut text, head));
        for rows in self.rows.chunk_by(is_same) {
            line(&mut text, &self.text_row(rows));
        }
        text
    }

    fn width(&self) -> usize {
        let room = COLUMNS_MAX - LEFT - LABEL_MIN;
        (room / self.lifelines.len().max(1)).clamp(LIFELINE_MIN, LIFELINE_MAX)
    }

    /// The column of a lifeline.
    fn column(&self, lifeline: usize) -> usize {
        LEFT + self.width() * lifeline + self.width() / 2
    }

    /// Two lines: kinds and numbers of the lifelines.
    fn heads(&self) -> [String; 2] {
        let mut heads = [String::new(), String::new()];
        let width = self.width();
        for (head, nth) in heads.iter_mut().zip([0, 1]) {
            let _ = write!(head, "{:LEFT$}", if nth == 1 { "     seconds" } else { "" });
            for name in &self.lifelines {
                let word = name.split(' ').nth(nth).unwrap_or_default();
                let word: String = word.chars().take(width - 1).collect();
                let _ = write!(head, "{word:^width$}");
            }
        }
        heads
    }

    /// A line for rows that tell the same; there is one at least.
    fn text_row(&self, rows: &[Row]) -> String {
        let row = &rows[0];
        let end = LEFT + self.width() * self.lifelines.len();
        let mut cells = vec![' '; end];
        for lifeline in 0..self.lifelines.len() {
            cells[self.column(lifeline)] = match self.state(lifeline, row.at_ns) {
                State::Well => '│',
                State::Disturbed => '╎',
                State::Paused => '‖',
                State::Down => ' ',
            };
        }
        let label = match &row.what {
            What::Arrow { from, to, label, kind, arrival } => {
                if rows.len() > 1 {
                    self.text_arrows(&mut cells, rows);
                } else {
                    self.text_arrow(&mut cells, *from, *to, *kind, *arrival);
                }
                match arrival {
                    Arrival::Soon => label.clone(),
                    Arrival::Later { number, .. } => format!("{label}  [{number}: arrives later]"),
                    Arrival::Never => format!("{label}  [lost]"),
                }
            }
            What::Arrives { from, to, label, number } => {
                cells[self.column(*to)] = '●';
                format!("[{number}] of {}: {label}", self.lifelines[*from])
            }
            What::Mark { on, label, .. } => {
                on.iter().for_each(|lifeline| cells[self.column(*lifeline)] = '◆');
                let whole = on.is_empty();
                if whole { format!("════ {label} ════") } else { label.clone() }
            }
            What::Gap { messages } => format!("⋮ {messages} messages"),
        };
        let time = format!("{}{:>10}", if row.stressed { "*" } else { " " }, seconds(row.at_ns));
        for (cell, letter) in cells.iter_mut().zip(time.chars()) {
            *cell = letter;
        }
        format!("{} {label}", cells.into_iter().collect::<String>())
    }

    /// Several arrows in one line. A lifeline that is an end of one is drawn through them.
    fn text_arrows(&self, cells: &mut [char], rows: &[Row]) {
        let lifelines = cells.to_vec();
        let mut arrows: Vec<(usize, usize, Kind, Arrival)> = Vec::new();
        for row in rows {
            if let What::Arrow { from, to, kind, arrival, .. } = &row.what {
                arrows.push((*from, *to, *kind, *arrival));
            }
        }
        // The longest first, so that no shorter one's head is drawn over.
        arrows.sort_by_key(|(from, to, ..)| std::cmp::Reverse(from.abs_diff(*to)));
        for (from, to, kind, arrival) in &arrows {
            self.text_arrow(cells, *from, *to, *kind, *arrival);
        }
        for end in arrows.iter().flat_map(|(from, to, ..)| [*from, *to]) {
            let column = self.column(end);
            cells[column] = lifelines[column];
        }
    }

    fn text_arrow(&self, cells: &mut [char], from: usize, to: usize, kind: Kind, arrival: Arrival) {
        let (from, to) = (self.column(from), self.column(to));
        let rightward = from < to;
        let (left, right) = (from.min(to), from.max(to));
        let line = if kind == Kind::Message { '─' } else { '═' };
        cells[left + 1..right].fill(line);
        let head = if rightward { to.saturating_sub(1) } else { to + 1 };
        match arrival {
            Arrival::Never => {
                // It ends half way.
                let middle = usize::midpoint(from, to);
                let beyond = if rightward { middle + 1..right } else { left + 1..middle };
                cells[beyond].fill(' ');
                cells[middle] = '✗';
            }
            Arrival::Later { .. } => cells[head] = '▷',
            Arrival::Soon => cells[head] = '▶',
        }
        if !rightward && arrival != Arrival::Never {
            cells[head] = if arrival == Arrival::Soon { '◀' } else { '◁' };
        }
    }
}

/// Adds a line that fits.
fn line(text: &mut String, what: &str) {
    let fits: String = what.chars().take(COLUMNS_MAX).collect();
    let _ = writeln!(text, "{}", fits.trim_end()); // Writing to a string cannot fail.
}

/// Whether two rows that follow each other say the same at the same time: one node to several, or several to one.
fn is_same(one: &Row, other: &Row) -> bool {
    let (
        What::Arrow { from, to, label, kind: Kind::Message, arrival: Arrival::Soon },
        What::Arrow { from: from_other, to: to_other, label: label_other, kind, arrival },
    ) = (&one.what, &other.what)
    else {
        return false;
    };
    (one.at_ns, one.stressed, label, Kind::Message, Arrival::Soon)
        == (other.at_ns, other.stressed, label_other, *kind, *arrival)
        && (from == from_other || to == to_other)
}

const LEGEND: &str = "* of the witness or breach; ═▶ call or answer of a client, ─▶ message, ▷ late, ✗ lost; ◆ fault; \
                      │ well, ╎ disturbed, ‖ paused, blank: down.";

/// Nanoseconds as seconds, to the microsecond.
pub(super) fn seconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000)
}

/// The text in lines of at most so many letters, broken between words.
pub(super) fn wrapped(text: &str, letters_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= letters_max {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
