//! A closed-loop client of the test network: one session, one request at a time.

use tribunal_protocol::*;

/// What an operation of the history did.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Appended this to the list.
    Append(i64),
    /// Read the list.
    Read,
    /// Added 1 to the counter.
    Count,
}

/// One operation, over all of its attempts.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    pub invoked: u64,
    /// When an answer came that ended it, and what it was. None while it is open, or if its outcome is unknown.
    pub completed: Option<(u64, Reply)>,
    /// Whether any attempt may have been proposed.
    pub uncertain: bool,
}

/// The client's state.
#[derive(Debug)]
pub struct Client {
    number: usize,
    session: Option<SessionId>,
    nonces: u64,
    sequence: u64,
    requests: u64,
    /// The request that was sent and not answered, or is to be repeated.
    pending: Option<Request>,
    awaited: Option<u64>,
    pub stopped: bool,
    pub entries: Vec<Entry>,
    pub succeeded: u64,
}

/// The list that clients append to.
pub const LIST: &str = "list";
/// The counter that they count with.
pub const COUNTER: &str = "counter";

impl Client {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            session: None,
            nonces: 0,
            sequence: 0,
            requests: 0,
            pending: None,
            awaited: None,
            stopped: false,
            entries: Vec::new(),
            succeeded: 0,
        }
    }

    /// The next request, or the last one again.
    pub fn invoke(&mut self, now: u64, draw: u32) -> (u64, Request) {
        let request = self.pending.take().unwrap_or_else(|| self.next(now, draw));
        self.pending = Some(request.clone());
        self.requests += 1;
        let id = self.number as u64 * 1_000_000 + self.requests;
        self.awaited = Some(id);
        (id, request)
    }

    fn next(&mut self, now: u64, draw: u32) -> Request {
        let Some(session) = self.session else {
            self.nonces += 1;
            return Request::OpenSession { nonce: self.number as u64 * 1000 + self.nonces };
        };
        self.sequence += 1;
        let unique = i64::try_from(self.number as u64 * 100_000 + self.sequence).expect("small");
        let (kind, operation) = match draw % 10 {
            0..4 => (Kind::Append(unique), Operation::Append(LIST.into(), Value::Int(unique))),
            4..8 => (Kind::Read, Operation::Read(LIST.into())),
            _ => (Kind::Count, Operation::Add(COUNTER.into(), 1)),
        };
        self.entries.push(Entry { kind, invoked: now, completed: None, uncertain: false });
        Request::Execute(Command {
            session,
            sequence: self.sequence,
            watermark: self.sequence,
            operations: vec![operation],
        })
    }

    /// Whether an answer to this request would still be heard.
    pub fn awaits(&self, request: u64) -> bool {
        self.awaited == Some(request)
    }

    /// The answer. `repeat` tells whether to send the request again if that makes sense.
    pub fn complete(&mut self, now: u64, reply: Reply, repeat: bool) {
        self.awaited = None;
        if let Reply::Session(session) = reply {
            self.session = Some(session);
            self.pending = None;
            return;
        }
        let Some(Request::Execute(_)) = self.pending else { return };
        let entry = self.entries.last_mut().expect("an operation was sent");
        match &reply {
            Reply::Failed(failure) => {
                entry.uncertain |= failure.certainty() == Certainty::Unknown;
                assert_ne!(failure.certainty(), Certainty::Request, "no operation here can fail");
                let expired = matches!(failure, Failure::SessionExpired);
                if expired {
                    self.session = None;
                }
                if expired || !repeat {
                    self.pending = None;
                }
            }
            _ => {
                entry.completed = Some((now, reply));
                self.succeeded += 1;
                self.pending = None;
            }
        }
    }
}
