//! Every message of an execution, for whoever wants to read it: who sent what to whom, and when it arrived.

use serde::Serialize;
use tribunal_protocol::{Message, NodeId};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it was sent, in ns.
    pub sent_ns: u64,
    /// When it arrived first, in ns; `None` if it never did.
    pub arrived_ns: Option<u64>,
    /// Who sent it.
    pub from: u32,
    /// Who was to have it.
    pub to: u32,
    /// Its kind.
    pub kind: &'static str,
    /// All of it, for people.
    pub message: String,
}

/// The messages in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Vec<Line>,
    /// The number of the message that arrived last, and when.
    last: Option<(u32, u64)>,
}

impl Trace {
    /// No messages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn sent<M: Message>(
        &mut self,
        sent_ns: u64,
        from: NodeId,
        to: NodeId,
        message: &M,
    ) -> u32 {
        self.lines.push(Line {
            sent_ns,
            arrived_ns: None,
            from: from.0,
            to: to.0,
            kind: message.kind(),
            message: format!("{message:?}"),
        });
        u32::try_from(self.lines.len() - 1).expect("fewer than 2^32 messages are traced")
    }

    pub(crate) fn arrived(&mut self, number: u32, at_ns: u64) {
        self.lines[number as usize].arrived_ns.get_or_insert(at_ns);
        self.last = Some((number, at_ns));
    }

    /// The message that arrived last, which may be a copy of one that arrived before, and when.
    #[must_use]
    pub fn last_arrival(&self) -> Option<(&Line, u64)> {
        self.last.map(|(number, at_ns)| (&self.lines[number as usize], at_ns))
    }

    /// The messages.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}
