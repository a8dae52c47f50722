//! One client process as a pure state machine: attempts, retries, and how an operation ends.
//!
//! An operation is one request, sent in one or more *attempts* under one session number. Every call answers the
//! one [`Step`] that the host takes next. The host owes it: [`Client::sent`] right before an attempt's first byte
//! leaves, [`Client::input`] for what became of the attempt, [`Client::wake`] at the time that a [`Step::Wait`]
//! names. It drops what comes for an operation that has ended.
//!
//! What each input says of its attempt, and whether another attempt follows while retries are left:
//!
//! | input                                 | the attempt                  | error                | retried    |
//! |---------------------------------------|------------------------------|----------------------|------------|
//! | `Ok`                                  | took effect                  |                      | no: `ok`   |
//! | `Failed`, certainty request (1)       | the whole request never does | its name             | no: `fail` |
//! | `Failed`, certainty attempt (2)       | never does                   | its name             | yes        |
//! | `session-expired`, `superseded` (3)   | never does                   | its name             | no         |
//! | `Failed`, certainty unknown (4)       | may have                     | its name             | yes        |
//! | `Garbled` (5)                         | may have                     | `bad-reply`          | no         |
//! | `Refused`                             | never does                   | `connection-refused` | yes        |
//! | `Broken` before its first byte left   | never does                   | `connection-broken`  | yes        |
//! | `Broken` after that                   | may have                     | `connection-broken`  | yes        |
//! | `Cut` before its first byte left      | never does                   | `cut`                | yes        |
//! | `Cut` after that                      | may have                     | `cut`                | yes        |
//! | `TimedOut` before its first byte left | never does                   | `timeout-unsent`     | yes        |
//! | `TimedOut` after that                 | may have                     | `timeout`            | yes        |
//!
//! (1) `cas-mismatch`, `wrong-type`, `unsupported`. (2) `overloaded`, `no-leader`, `session-full`. (3) `Failed` with
//! certainty attempt too, but the number means nothing in another session, and an attempt under a new one could take
//! effect beside an earlier one of the old; a superseded number stays superseded. After `session-expired` the client
//! needs a new session. (4) `unknown`. (5) A defect is to be shown, not retried away.
//!
//! The operation ends `ok` as soon as any attempt took effect, `fail` if the whole request surely did not or no
//! attempt may have, and `info` otherwise. A late answer to an earlier attempt counts while the operation is open.
//!
//! The timeout bounds the operation; each attempt gets an even part of what is left of it. Without retries that is
//! all of it. Waiting before a retry counts against it too, so no operation outlives its timeout.
//!
//! Absent: which node gets an attempt (the balancer), opening sessions and connections (the host), recording.

use crate::Completion;
use crate::balancers::Outcome;
use crate::session::{Numbered, Session};
use std::borrow::Cow;
use tribunal_history::Value;

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPolicy {
    /// After how long an operation is given up, in ns.
    pub timeout_ns: u64,
    /// How many attempts may follow the first one.
    pub retries: u32,
    /// How long to wait before the first retry, in ns; doubled for each further one.
    pub backoff_ns: u64,
}

/// How much a failure that a system answered says. The protocol's notion, told in the words of any system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The request did not take effect and never will, whatever became of its other attempts.
    Request,
    /// This attempt did not and never will. Another one of the same request may.
    Attempt,
    /// Nothing is known.
    Unknown,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It was answered: the value of the completion event.
    Ok(Value),
    /// It was answered with a failure.
    Failed {
        /// What the failure rules out.
        certainty: Certainty,
        /// Its name.
        error: Cow<'static, str>,
    },
    /// The connection was refused, or never came about: no byte could be sent.
    Refused,
    /// The connection was reset or closed before the whole answer came.
    Broken,
    /// The link between client and node was cut by the nemesis.
    Cut,
    /// An answer came that cannot be read.
    Garbled,
    /// The attempt's deadline passed. [`Client::wake`] says the same by itself.
    TimedOut,
}

impl Input {
    /// What it says of the node that was asked, for the balancer.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Ok(_) => Outcome::Served,
            // The request was executed, or refused for what it asks: the node does its work.
            Self::Failed { certainty: Certainty::Request, .. } => Outcome::Served,
            Self::Failed { .. } | Self::Garbled => Outcome::Declined,
            Self::Refused | Self::Broken | Self::Cut => Outcome::Unreachable,
            Self::TimedOut => Outcome::TimedOut,
        }
    }
}

/// What the host does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the request, as a new attempt. A connection of an earlier attempt may be dropped.
    Send(Send),
    /// Nothing, until an input comes, or this time, whichever is first.
    Wait {
        /// When to call [`Client::wake`], in ns.
        until_ns: u64,
    },
    /// Record the end of the operation.
    Done(Done),
}

/// An attempt to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// Its number in the operation, from 1.
    pub attempt: u32,
    /// The request's place in its session: the same for all attempts of an operation.
    pub numbered: Numbered,
    /// When to call [`Client::wake`] if nothing has come of it, in ns.
    pub deadline_ns: u64,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// For the history. The error of an `info` is that of the last attempt that may have taken effect.
    pub completion: Completion,
    /// Attempts made.
    pub attempts: u32,
    /// The error of the last attempt that failed, also if a later one succeeded.
    pub error_last: Option<Cow<'static, str>>,
}

/// There is no open session: open one, tell [`Client::session_opened`], and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has no open session")]
pub struct NoSession;

/// A client process, or a line of them: after an `info` its thread goes on as a new process with the same session.
#[derive(Clone, Debug)]
pub struct Client {
    policy: ClientPolicy,
    session: Session,
    operation: Option<Operation>,
}

/// The operation under way.
#[derive(Clone, Debug)]
struct Operation {
    numbered: Numbered,
    deadline_ns: u64,
    attempts: Vec<Attempt>,
    phase: Phase,
    error_last: Option<Cow<'static, str>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The last attempt is open until its deadline.
    Asking { deadline_ns: u64 },
    /// The next attempt begins at this time.
    Backoff { until_ns: u64 },
}

#[derive(Clone, Debug, Default)]
struct Attempt {
    /// Whether a byte may have left.
    sent: bool,
    fate: Fate,
}

/// What is known of an attempt.
#[derive(Clone, Debug, Default)]
enum Fate {
    /// Nothing yet.
    #[default]
    Open,
    /// It did not take effect and never will.
    Never,
    /// It may have, and why nobody knows.
    Maybe(Cow<'static, str>),
}

/// What an input means for its operation: the table of the header.
enum Ruling {
    /// It ends, whatever became of other attempts.
    Ends(Completion),
    /// Its attempt is over, and the operation is not yet decided.
    Over(Over),
}

struct Over {
    fate: Fate,
    error: Cow<'static, str>,
    /// Whether another attempt may follow.
    retried: bool,
}

impl Client {
    /// A client without a session.
    #[must_use]
    pub fn new(policy: ClientPolicy) -> Self {
        Self { policy, session: Session::new(), operation: None }
    }

    /// The session under which it asks.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Takes a session that the system has registered for this client.
    ///
    /// # Panics
    /// If an operation is open: its number belongs to the session before.
    pub fn session_opened(&mut self, id: u64) {
        assert!(self.operation.is_none(), "a session is replaced between operations");
        self.session.opened(id);
    }

    /// Begins an operation. Its invocation is recorded right before the first byte leaves.
    ///
    /// # Errors
    /// [`NoSession`] before the first session, and after it expired.
    ///
    /// # Panics
    /// If an operation is open: a process asks one thing at a time.
    pub fn begin(&mut self, now: u64) -> Result<Send, NoSession> {
        assert!(self.operation.is_none(), "a process has one operation at a time");
        let numbered = self.session.number().ok_or(NoSession)?;
        let mut operation = Operation {
            numbered,
            deadline_ns: now.saturating_add(self.policy.timeout_ns),
            attempts: Vec::new(),
            phase: Phase::Backoff { until_ns: now },
            error_last: None,
        };
        let send = operation.attempt(now, self.policy.retries);
        self.operation = Some(operation);
        Ok(send)
    }

    /// The first byte of an attempt is about to leave.
    ///
    /// # Panics
    /// If no operation is open, or it has no such attempt.
    pub fn sent(&mut self, attempt: u32) {
        let operation = self.operation.as_mut().expect("an attempt belongs to an open operation");
        operation.attempts[index(attempt)].sent = true;
    }

    /// Something became of an attempt: the last one, or an earlier one that is answered late.
    ///
    /// # Panics
    /// If no operation is open, or it has no such attempt.
    pub fn input(&mut self, now: u64, attempt: u32, input: Input) -> Step {
        let operation = self.open();
        match rule(input, operation.attempts[index(attempt)].sent) {
            Ruling::Ends(completion) => {
                if let Completion::Fail { error } = &completion {
                    operation.error_last = Some(error.clone());
                }
                self.done(completion)
            }
            Ruling::Over(over) => self.over(now, attempt, over),
        }
    }

    /// The time came that a [`Step::Wait`] or a [`Send`] named. Calls before it are harmless.
    ///
    /// # Panics
    /// If no operation is open.
    pub fn wake(&mut self, now: u64) -> Step {
        let retries = self.policy.retries;
        let operation = self.open();
        match operation.phase {
            Phase::Asking { deadline_ns: until_ns } | Phase::Backoff { until_ns }
                if now < until_ns =>
            {
                Step::Wait { until_ns }
            }
            Phase::Backoff { .. } => Step::Send(operation.attempt(now, retries)),
            Phase::Asking { .. } => {
                let attempt = operation.last();
                self.input(now, attempt, Input::TimedOut)
            }
        }
    }

    fn open(&mut self) -> &mut Operation {
        self.operation.as_mut().expect("an input belongs to an open operation")
    }

    /// Notes what became of an attempt, and goes on to the next one or to the end.
    fn over(&mut self, now: u64, attempt: u32, over: Over) -> Step {
        let policy = self.policy;
        if over.error == SESSION_EXPIRED {
            self.session.expired();
        }
        let operation = self.open();
        let fate = &mut operation.attempts[index(attempt)].fate;
        // What is known for sure stays known, whatever the connection does after the answer.
        if !matches!(fate, Fate::Never) {
            *fate = over.fate;
        }
        if attempt < operation.last() || matches!(operation.phase, Phase::Backoff { .. }) {
            // Late news of an attempt that is no longer waited for changes what is known, not what comes next.
            return Step::Wait { until_ns: operation.phase.until_ns() };
        }
        operation.error_last = Some(over.error.clone());
        if over.retried && attempt <= policy.retries {
            let until_ns = now.saturating_add(backoff_ns(policy.backoff_ns, attempt));
            if until_ns < operation.deadline_ns {
                operation.phase = Phase::Backoff { until_ns };
                return if until_ns <= now { self.wake(now) } else { Step::Wait { until_ns } };
            }
        }
        let completion = operation.without_success(over.error);
        self.done(completion)
    }

    fn done(&mut self, completion: Completion) -> Step {
        let operation = self.operation.take().expect("an operation that ends was open");
        self.session.ended(operation.numbered.sequence);
        let attempts = operation.last();
        Step::Done(Done { completion, attempts, error_last: operation.error_last })
    }
}

/// The failure after which a client needs a new session.
const SESSION_EXPIRED: &str = "session-expired";
/// The error of an operation that was given up after its first byte left.
pub(crate) const TIMEOUT: &str = "timeout";
/// The failure of a request whose number the client had given up.
const SUPERSEDED: &str = "superseded";

/// What an input means for an attempt, a byte of which may have left.
fn rule(input: Input, sent: bool) -> Ruling {
    match input {
        Input::Ok(value) => Ruling::Ends(Completion::Ok(value)),
        Input::Failed { certainty: Certainty::Request, error } => {
            Ruling::Ends(Completion::Fail { error })
        }
        Input::Failed { certainty: Certainty::Attempt, error } => {
            let retried = error != SESSION_EXPIRED && error != SUPERSEDED;
            Ruling::Over(Over { fate: Fate::Never, error, retried })
        }
        Input::Failed { certainty: Certainty::Unknown, error } => over(true, error),
        Input::Garbled => {
            let error = Cow::Borrowed("bad-reply");
            Ruling::Over(Over { fate: Fate::Maybe(error.clone()), error, retried: false })
        }
        Input::Refused => over(false, "connection-refused".into()),
        Input::Broken => over(sent, "connection-broken".into()),
        Input::Cut => over(sent, "cut".into()),
        Input::TimedOut if sent => over(true, TIMEOUT.into()),
        Input::TimedOut => over(false, "timeout-unsent".into()),
    }
}

/// An attempt that may be followed by another one.
fn over(maybe: bool, error: Cow<'static, str>) -> Ruling {
    let fate = if maybe { Fate::Maybe(error.clone()) } else { Fate::Never };
    Ruling::Over(Over { fate, error, retried: true })
}

impl Operation {
    /// The number of the last attempt.
    fn last(&self) -> u32 {
        u32::try_from(self.attempts.len()).expect("attempts are bounded by the retries, a u32")
    }

    /// Begins the next attempt, with an even part of the time that is left.
    fn attempt(&mut self, now: u64, retries: u32) -> Send {
        let attempts_left = u64::from(retries.saturating_sub(self.last())) + 1;
        let part_ns = self.deadline_ns.saturating_sub(now) / attempts_left;
        let deadline_ns = now.saturating_add(part_ns);
        self.attempts.push(Attempt::default());
        self.phase = Phase::Asking { deadline_ns };
        Send { attempt: self.last(), numbered: self.numbered, deadline_ns }
    }

    /// The end of an operation none of whose attempts is known to have taken effect.
    fn without_success(&self, error: Cow<'static, str>) -> Completion {
        let maybe = self.attempts.iter().rev().find_map(|attempt| match &attempt.fate {
            Fate::Maybe(error) => Some(error.clone()),
            Fate::Open | Fate::Never => None,
        });
        match maybe {
            Some(error) => Completion::Info { error },
            None => Completion::Fail { error },
        }
    }
}

impl Phase {
    fn until_ns(self) -> u64 {
        match self {
            Self::Asking { deadline_ns: until_ns } | Self::Backoff { until_ns } => until_ns,
        }
    }
}

/// How long to wait after the `attempt`th attempt.
fn backoff_ns(first_ns: u64, attempt: u32) -> u64 {
    first_ns.saturating_mul(1_u64.checked_shl(attempt - 1).unwrap_or(u64::MAX))
}

/// Where an attempt, counted from 1, stands.
fn index(attempt: u32) -> usize {
    attempt as usize - 1
}

#[cfg(test)]
mod tests;
