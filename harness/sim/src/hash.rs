//! One number that stands for all that happened in an execution: two executions with the same number took the same steps.
//!
//! The mixing step is that of `FxHash` (Firefox), one multiplication a word: it need not resist anyone, only notice.

use tribunal_history::{Event, Value};
use tribunal_protocol::Claim;

/// The hash of what happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hash(u64);

impl Hash {
    /// Takes in a number.
    pub(crate) fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Takes in a text.
    pub(crate) fn text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(text.len() as u64);
    }

    /// Takes in what a message says.
    pub(crate) fn claim(&mut self, claim: Claim) {
        match claim {
            Claim::Nothing => {}
            Claim::Prepares { ballot } | Claim::Promised { ballot } => self.word(ballot),
            Claim::Proposes { ballot, slot, digest } => {
                self.word(ballot);
                self.word(slot);
                self.word(digest);
            }
            Claim::Accepted { ballot, slot, .. } => {
                self.word(ballot);
                self.word(slot);
            }
        }
    }

    /// Takes in an event of the history.
    pub(crate) fn event(&mut self, event: &Event) {
        self.word(event.time);
        self.text(&event.f);
        self.word(event.kind as u64);
        if let tribunal_history::Actor::Process(process) = event.process {
            self.word(process.0);
        }
        self.word(u64::from(event.node.unwrap_or_default()));
        self.text(event.error.as_deref().unwrap_or_default());
        self.value(&event.value);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Nil => self.word(0),
            Value::Bool(truth) => self.word(1 + u64::from(*truth)),
            Value::Int(int) => self.word(*int as u64),
            Value::Text(text) => self.text(text),
            Value::List(list) => {
                self.word(list.len() as u64);
                list.iter().for_each(|item| self.value(item));
            }
            Value::Map(map) => {
                self.word(map.len() as u64);
                for (key, value) in map {
                    self.value(key);
                    self.value(value);
                }
            }
        }
    }

    /// The number.
    #[must_use]
    pub(crate) fn finish(self) -> u64 {
        // The upper bits are the best mixed; a last round spreads them.
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
