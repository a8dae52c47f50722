//! Numbers and texts as people read them. Every number carries its unit.

use std::fmt::Write;
use tribunal_history::{Operation, Outcome, Value};

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as seconds with three decimals, without the unit.
pub(super) fn seconds(ns: u64) -> String {
    format!("{:.3}", ns as f64 / 1e9)
}

/// Microseconds in the unit that leaves three digits or so.
pub(super) fn micros(us: f64) -> String {
    match us {
        _ if us < 1_000.0 => format!("{us:.0} us"),
        _ if us < 10_000.0 => format!("{:.2} ms", us / 1e3),
        _ if us < 100_000.0 => format!("{:.1} ms", us / 1e3),
        _ if us < 1_000_000.0 => format!("{:.0} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// A rate or an amount: whole from 100 on, with decimals below.
pub(super) fn amount(number: f64) -> String {
    match number {
        _ if number.abs() >= 100.0 => count_f64(number),
        _ if number.fract() == 0.0 => format!("{number:.0}"),
        _ if number.abs() >= 1.0 => format!("{number:.1}"),
        _ => format!("{number:.3}"),
    }
}

fn count_f64(number: f64) -> String {
    let sign = if number < 0.0 { "-" } else { "" };
    // Saturates beyond 64 bits, which no figure of a run reaches.
    format!("{sign}{}", count(number.abs().round() as u64))
}

/// Bytes with a decimal prefix.
pub(super) fn bytes(number: f64) -> String {
    match number {
        _ if number < 1e3 => format!("{number:.0} B"),
        _ if number < 1e6 => format!("{:.1} kB", number / 1e3),
        _ if number < 1e9 => format!("{:.1} MB", number / 1e6),
        _ => format!("{:.1} GB", number / 1e9),
    }
}

/// What an operation carried: the result of one that succeeded, else what it asked for.
pub(super) fn value(operation: &Operation) -> String {
    shorten(&carried(operation).to_string())
}

fn carried(operation: &Operation) -> &Value {
    if operation.outcome == Outcome::Ok && !operation.output.is_nil() {
        &operation.output
    } else {
        &operation.input
    }
}

/// When it was called and when it returned, in s to the microsecond, so that the order can be checked by hand. What never
/// returned is open to the right.
pub(super) fn interval(operation: &Operation) -> String {
    let seconds = |ns: u64| format!("{:.6}", ns as f64 / 1e9);
    let call = seconds(operation.call.time);
    match operation.returned() {
        Some(end) => format!("{call}..{}", seconds(end.time)),
        None => format!("{call}.."),
    }
}

/// The outcome, with the class of the error.
pub(super) fn outcome(operation: &Operation) -> String {
    let word = match operation.outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    };
    match (&operation.error, operation.end) {
        (Some(error), _) => format!("{word} ({error})"),
        (None, None) => format!("{word} (open at the end)"),
        (None, Some(_)) => word.to_owned(),
    }
}

/// A long value would push the rest of a table off the screen.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 100;
    let length = text.chars().count();
    if length <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}... ({length} characters)")
}

/// Text for a terminal: control characters, which could move the cursor or change colours, become visible.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => plain.push('\n'),
            _ if letter.is_control() => {
                // Writing to a String cannot fail.
                let _written = write!(plain, "{}", letter.escape_default());
            }
            _ => plain.push(letter),
        }
    }
    plain
}

/// The nodes of a fault: `n1 n3`.
pub(super) fn nodes(nodes: &[u32]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [micros(870.4), micros(1_234.0), micros(2_000_000.0)],
            ["870 us", "1.23 ms", "2.00 s"]
        );
        assert_eq!(
            [amount(0.25), amount(7.0), amount(7.25), amount(12_345.6)],
            ["0.250", "7", "7.2", "12,346"]
        );
        assert_eq!([bytes(12.0), bytes(1_500.0), bytes(2.5e6)], ["12 B", "1.5 kB", "2.5 MB"]);
    }

    #[test]
    fn a_terminal_is_not_at_the_mercy_of_a_value() {
        assert_eq!(plain("a\u{1b}[31mb\nc\r"), "a\\u{1b}[31mb\nc\\r");
    }

    #[test]
    fn long_values_are_cut_and_say_so() {
        assert_eq!(shorten(&"x".repeat(100)), "x".repeat(100));
        assert!(shorten(&"x".repeat(101)).ends_with("... (101 characters)"));
    }
}
