//! What clients asked, under each number of each session: what invariants compare what was decided with.
//!
//! A session numbers its requests from 1 without a gap, so they stand in a row: a map of all numbers would cost more than
//! the invariants that read it.

use std::collections::BTreeMap;
use tribunal_protocol::{Operation, SessionId};

/// Requests by session and number. Where a broken system opens one session for two clients, the last request counts.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// By session; the request numbered 1 comes first. A number that was never used has no operations.
    sessions: BTreeMap<SessionId, Vec<Vec<Operation>>>,
}

impl Asked {
    /// A client asks `operations` under this number, which is not 0.
    pub(crate) fn insert(&mut self, session: SessionId, sequence: u64, operations: &[Operation]) {
        let requests = self.sessions.entry(session).or_default();
        let place = usize::try_from(sequence).expect("numbers count requests in memory");
        if requests.len() < place {
            requests.resize_with(place, Vec::new);
        }
        requests[place - 1] = operations.to_vec();
    }

    /// What was asked; `None` if nothing was.
    pub(crate) fn get(&self, session: SessionId, sequence: u64) -> Option<&[Operation]> {
        let place = usize::try_from(sequence.checked_sub(1)?).ok()?;
        let operations = self.sessions.get(&session)?.get(place)?;
        (!operations.is_empty()).then_some(operations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_protocol::Key;

    #[test]
    fn each_number_of_each_session_has_its_own_request() {
        let read = |key: &str| vec![Operation::Read(Key::from(key))];
        let (one, other) = (SessionId(1), SessionId(u64::MAX));
        let mut asked = Asked::default();
        asked.insert(one, 1, &read("a"));
        asked.insert(one, 3, &read("c"));
        asked.insert(other, 1, &read("x"));
        asked.insert(other, 1, &read("y"));
        assert_eq!(asked.get(one, 1), Some(&read("a")[..]));
        assert_eq!(asked.get(one, 3), Some(&read("c")[..]));
        assert_eq!(asked.get(other, 1), Some(&read("y")[..]));
        for (session, sequence) in
            [(one, 0), (one, 2), (one, 4), (one, u64::MAX), (SessionId(2), 1)]
        {
            assert_eq!(asked.get(session, sequence), None, "{session} {sequence}");
        }
    }
}
