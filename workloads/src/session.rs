//! How a client numbers its requests within a session, so that the system can apply a retried one once.
//!
//! Source: "Consensus: Bridging Theory and Practice" (Ongaro 2014), section 6.3. Invariants: numbers rise from 1
//! without gaps; a retry carries the number of its request; the watermark never falls and never passes a number that is
//! awaited. An operation that is given up (`info`) is no longer awaited, so the watermark passes it: the client says
//! that it will not send it again, which lets the system forget its answer and refuse its late copies.
//!
//! Absent: opening a session at a system, which is I/O. Its answer comes in by [`Session::opened`].

use std::collections::BTreeSet;

/// A request's place in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// The session, as the system named it.
    pub session: u64,
    /// The request's number.
    pub sequence: u64,
    /// The lowest number that is still awaited, this one included.
    pub watermark: u64,
}

/// The client's side of a session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The system's name for it; `None` before it is opened and after it expired.
    id: Option<u64>,
    /// The highest number given out; 0 before the first.
    last: u64,
    awaited: BTreeSet<u64>,
}

impl Session {
    /// Not opened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The session's name, if it is open.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// Takes a session that the system has registered. It begins at number 1.
    pub fn opened(&mut self, id: u64) {
        *self = Self { id: Some(id), ..Self::default() };
    }

    /// The system has forgotten the session: the next request needs a new one.
    pub fn expired(&mut self) {
        *self = Self::default();
    }

    /// Numbers a new request. `None` if no session is open.
    pub fn number(&mut self) -> Option<Numbered> {
        let session = self.id?;
        self.last += 1;
        self.awaited.insert(self.last);
        Some(Numbered { session, sequence: self.last, watermark: self.watermark() })
    }

    /// A request is no longer awaited: it was answered, or given up.
    pub fn ended(&mut self, sequence: u64) {
        self.awaited.remove(&sequence);
    }

    /// The lowest number that is awaited, or the next one to be given out.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.awaited.first().copied().unwrap_or(self.last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Session {
        let mut session = Session::new();
        session.opened(9);
        session
    }

    #[test]
    fn no_request_goes_without_a_session() {
        assert_eq!(Session::new().number(), None);
        let mut session = open();
        assert!(session.number().is_some());
        session.expired();
        assert_eq!((session.id(), session.number()), (None, None));
    }

    #[test]
    fn the_watermark_waits_for_the_oldest_that_is_awaited() {
        let mut session = open();
        let numbers: Vec<Numbered> = (0..3).filter_map(|_| session.number()).collect();
        assert_eq!(numbers.iter().map(|n| n.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(numbers.iter().all(|n| n.watermark == 1 && n.session == 9));
        session.ended(2);
        assert_eq!(session.watermark(), 1);
        session.ended(1);
        assert_eq!(session.watermark(), 3);
        session.ended(3);
        assert_eq!(session.watermark(), 4);
    }

    #[test]
    fn a_new_session_begins_anew() {
        let mut session = open();
        session.number();
        session.opened(10);
        assert_eq!(session.number(), Some(Numbered { session: 10, sequence: 1, watermark: 1 }));
    }
}
