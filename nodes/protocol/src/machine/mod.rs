//! The replicated state machine: keys to values, and the client sessions that make a retried request take effect once.
//!
//! A core drives one [`Machine`] in its order of execution. Everything here is deterministic: two machines with the
//! same [`Limits`] that were given the same requests in the same order are equal, down to their encoding.
//!
//! * [`command`]: what clients ask and what they are answered.
//! * [`store`]: the values, and transactions on them.
//! * [`sessions`]: what was applied already, and who may still ask.
//! * [`digest`]: one number that stands for a whole state.
//!
//! Absent on purpose: ordering, replication and durability (a core's business), and any notion of time. A session
//! expires because of what was applied, never because of a clock.

pub mod command;
pub mod digest;
pub mod sessions;
pub mod store;

pub use command::{
    Capabilities, Certainty, Command, Failure, Key, Operation, Reply, Request, SessionId, Value,
};

use crate::core::{Damaged, Limits};
use serde::{Deserialize, Serialize};
use sessions::{Admission, Recorded, Sessions};
use store::Store;

/// The replicated state machine: a [`Store`] behind [`Sessions`].
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    limits: Limits,
}

/// What replicas agree on, and what a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    store: Store,
    sessions: Sessions,
}

impl Machine {
    /// An empty machine. Every replica needs the same `sessions` and `session_results` of `limits`: they decide what
    /// expires and what is refused.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { state: State::default(), limits: *limits }
    }

    /// The same machine, for a core whose replicas apply commands in different orders, as long as these are of different
    /// sessions and share no key that one of them writes. `OpenSession` they apply in the same order, and in the same
    /// place among the commands. See [`sessions`].
    #[must_use]
    pub fn commuting(mut self) -> Self {
        self.state.sessions = std::mem::take(&mut self.state.sessions).commuting();
        self
    }

    /// Applies a request at its place in the order of execution, and answers what the client is to be told.
    ///
    /// A command that its session has applied already has no effect and gets the answer that it got the first time.
    /// O(log n) in the sessions, their results and the keys, beside the size of the values touched.
    pub fn apply(&mut self, request: &Request) -> Reply {
        match request {
            Request::OpenSession { nonce } => {
                Reply::Session(self.state.sessions.open(*nonce, self.limits.sessions))
            }
            Request::Execute(command) => self.execute(command),
        }
    }

    fn execute(&mut self, command: &Command) -> Reply {
        let State { store, sessions } = &mut self.state;
        match sessions.admit(command, self.limits.session_results) {
            Admission::New(slot) => slot.record(store.transact(&command.operations)),
            Admission::Retry(reply) => reply.clone(),
            Admission::Refused(failure) => Reply::Failed(failure),
        }
    }

    /// Answers a read-only command from the state as it is: no session is consulted, used or changed. A command that
    /// writes is refused with [`Failure::Unsupported`].
    #[must_use]
    pub fn read(&self, command: &Command) -> Reply {
        let read = |operation: &Operation| match operation {
            Operation::Read(key) => Some(self.state.store.get(key).clone()),
            _ => None,
        };
        match command.operations.iter().map(read).collect() {
            Some(results) => Reply::Results(results),
            None => Reply::Failed(Failure::Unsupported),
        }
    }

    /// Forgets the answers to all requests, so that a copy of one would take effect again. For experiments only.
    pub fn forget_replies(&mut self) {
        self.state.sessions.forget_replies();
    }

    /// What became of a command, as far as its session remembers. Changes nothing, not even the order in which sessions
    /// expire.
    #[must_use]
    pub fn recorded(&self, session: SessionId, sequence: u64) -> Recorded<'_> {
        self.state.sessions.recorded(session, sequence)
    }

    /// The whole state, sessions included. Equal states have equal encodings.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        digest::encode(&self.state)
    }

    /// The machine whose [`Machine::encode`] gave `bytes`. `limits` are not part of the state.
    ///
    /// # Errors
    /// [`Damaged`] if `bytes` are not an encoding, or one that contradicts itself.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Damaged> {
        let state = Self::decode_state(bytes)?;
        if !state.sessions.uses_differ() {
            return Err(Damaged(
                "the state machine's snapshot: two sessions share a use".to_owned(),
            ));
        }
        Ok(Self { state, limits: *limits })
    }

    /// The same for a machine that was [`Machine::commuting`], and is again.
    ///
    /// # Errors
    /// As of [`Machine::decode`].
    pub fn decode_commuting(bytes: &[u8], limits: &Limits) -> Result<Self, Damaged> {
        Ok(Self { state: Self::decode_state(bytes)?, limits: *limits }.commuting())
    }

    fn decode_state(bytes: &[u8]) -> Result<State, Damaged> {
        match postcard::take_from_bytes::<State>(bytes) {
            Ok((state, [])) => Ok(state),
            Ok((_, rest)) => {
                Err(Damaged(format!("{} bytes follow the state machine's snapshot", rest.len())))
            }
            Err(error) => Err(Damaged(format!("the state machine's snapshot: {error}"))),
        }
    }

    /// A number that is equal for equal states, sessions included, and very likely different for different ones.
    /// Takes as long as [`Machine::encode`].
    #[must_use]
    pub fn digest(&self) -> u64 {
        digest::of(&self.state)
    }
}
