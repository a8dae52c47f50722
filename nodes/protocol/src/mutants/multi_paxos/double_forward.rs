//! A follower forwards a request a second time if the answer is late, and the leader executes both.
//!
//! *Mechanism.* After `resend` without an answer the follower asks the leader again: by a ticket of its own, and as a
//! request of its own number, as in a system whose followers do not tell the leader that the two are one. The client
//! gets the first answer that says what was done; a client that sends its request again is still recognized.
//!
//! *Seen in* Fluree: fluree/db PR #1839, whose follower proposed a command again after it had lost the leader's
//! response; "one `Add(1)` applied twice".
//!
//! *Exposed by* an answer of the leader that is late or lost although the request is executed: the leader is paused,
//! slow, cut off for a moment, or killed.
//!
//! *Anomaly.* One append stands twice in its list, one add counts twice, though no client has retried.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Effect, Input, RequestId, Time};
use crate::machine::{Command, Reply, Request};
use crate::variants::multi_paxos::{Message, MultiPaxos};
use std::collections::BTreeMap;
use std::time::Duration;

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 23,
        name: "double-forward",
        mechanism: "a follower forwards a request again, as another one, if the leader's answer is late",
        seen_in: "Fluree, fluree/db PR #1839",
        exposed_by: "a pause, delay or loss that keeps a leader's answer from a follower",
        anomaly: "duplicate append, add counted twice",
        exempt_from_real: None,
    },
    make: |config| Box::new(DoubleForward::new(config)),
};

/// Where the identifiers of second copies begin; hosts count from 1.
const COPIES: u64 = 1 << 63;

#[derive(Debug)]
struct DoubleForward {
    patience: Duration,
    /// Writes that this node has forwarded and not answered, or whose copy has.
    forwarded: BTreeMap<RequestId, Forwarded>,
}

#[derive(Debug)]
struct Forwarded {
    command: Command,
    sent_at: Time,
    copied: bool,
    answered: bool,
}

impl DoubleForward {
    fn new(config: &Config) -> Self {
        Self { patience: config.timing.resend, forwarded: BTreeMap::new() }
    }

    /// The second copies that are due, each once.
    fn due(&mut self, now: Time) -> Vec<Input<Message>> {
        let mut due = Vec::new();
        for (id, sent) in &mut self.forwarded {
            if !sent.copied && now.since(sent.sent_at) >= self.patience {
                sent.copied = true;
                let mut copy = sent.command.clone();
                copy.sequence += 1;
                due.push(Input::Request(RequestId(id.0 + COPIES), Request::Execute(copy)));
            }
        }
        due
    }

    /// Whether the client is to get this: one answer a request, its own, or its copy's if that comes first and tells
    /// what was done.
    fn passes(&mut self, effect: &mut Effect<Message>) -> bool {
        let Effect::Reply(id, reply) = effect else { return true };
        let Some(original) = id.0.checked_sub(COPIES).map(RequestId) else {
            return self.forwarded.remove(id).is_none_or(|sent| !sent.answered);
        };
        *id = original;
        match self.forwarded.get_mut(id) {
            Some(sent) if !matches!(reply, Reply::Failed(_)) => {
                sent.answered = true;
                true
            }
            _ => false,
        }
    }
}

impl Bug<MultiPaxos> for DoubleForward {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, mut input: Input<Message>, out: &mut Out) {
        let copies = if matches!(input, Input::Wake) { self.due(now) } else { Vec::new() };
        let asked = match &mut input {
            Input::Request(id, Request::Execute(command)) => {
                // Every second number is left for the copies.
                command.sequence *= 2;
                command.watermark *= 2;
                (!command.is_read()).then(|| (*id, command.clone()))
            }
            _ => None,
        };
        core.step(now, input, out);
        if let Some((id, command)) = asked
            && out.at_once.iter().any(is_forward)
        {
            let sent = Forwarded { command, sent_at: now, copied: false, answered: false };
            self.forwarded.insert(id, sent);
        }
        for copy in copies {
            core.step(now, copy, out);
        }
        out.at_once.retain_mut(|effect| self.passes(effect));
        out.when_durable.retain_mut(|effect| self.passes(effect));
    }
}

fn is_forward(effect: &Effect<Message>) -> bool {
    matches!(effect, Effect::Send(_, Message::Forward { .. }))
}
