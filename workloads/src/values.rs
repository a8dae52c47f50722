//! Values that are unique in a run without coordination: thread `t` of `n` writes `k * stripes + t`, where the stripe
//! after the last thread belongs to the probes.
//!
//! Unique values tell whose write a read saw, which is what makes a history of registers decidable in O(n log n), and
//! a lost or doubled element of a collection visible.

use tribunal_history::Value;

/// The smallest size of a text that holds every number: 16 hexadecimal digits.
pub const TEXT_BYTES_MIN: usize = 16;

/// Unique values of one stripe, in order.
#[derive(Clone, Debug)]
pub struct Unique {
    stripes: u64,
    stripe: u64,
    next: u64,
    /// Length of a text in bytes; 0 for integers.
    text_bytes: usize,
}

impl Unique {
    /// The values of `thread` of `threads`: integers from 1, or texts of `text_bytes` bytes if that is not 0.
    #[must_use]
    pub fn of_thread(thread: u32, threads: u32, text_bytes: usize) -> Self {
        let stripes = u64::from(threads) + 1;
        Self { stripes, stripe: u64::from(thread), next: 0, text_bytes }
    }

    /// A value that was never drawn before.
    pub fn draw(&mut self) -> Value {
        self.next += 1;
        self.nth(self.next - 1)
    }

    /// The value of a probe: unique for a node below 2^16 and an attempt below 2^32.
    #[must_use]
    pub fn of_probe(node: u32, attempt: u64, threads: u32, text_bytes: usize) -> Value {
        Self::of_thread(threads, threads, text_bytes).nth((attempt << 16) | u64::from(node))
    }

    fn nth(&self, nth: u64) -> Value {
        let number = nth * self.stripes + self.stripe + 1;
        if self.text_bytes == 0 {
            return Value::Int(i64::try_from(number).expect("fewer than 2^63 values in a run"));
        }
        // Digits first, so that two values differ early; the filler brings the size.
        let filler = "x".repeat(self.text_bytes.saturating_sub(TEXT_BYTES_MIN));
        Value::text(&format!("{number:016x}{filler}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_threads_or_probes_draw_the_same_value() {
        for text_bytes in [0, 16, 64] {
            let mut seen = BTreeSet::new();
            for thread in 0..3 {
                let mut values = Unique::of_thread(thread, 3, text_bytes);
                for _ in 0..100 {
                    assert!(seen.insert(values.draw()));
                }
            }
            for (node, attempt) in [(1, 0), (2, 0), (1, 1), (2, 1), (5, 1 << 31)] {
                assert!(seen.insert(Unique::of_probe(node, attempt, 3, text_bytes)));
            }
        }
    }

    #[test]
    fn texts_have_the_size_asked_for() {
        // A format width ends at 65535; what may be asked for does not.
        for text_bytes in [16, 64, 65_535, 65_536, 1_000_000, 1_048_576] {
            let value = Unique::of_thread(0, 1, text_bytes).draw();
            assert_eq!(value.as_text().map(str::len), Some(text_bytes));
        }
    }
}
