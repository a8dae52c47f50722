//! The master: a Multi-Paxos among all nodes that decides the sequence of configurations.
//!
//! Its state machine holds the configuration under one key, changed by compare-and-set. Its records stand among the
//! chain's in the node's log: each carries its own position, and this file knows where in the log it stands.
//! What is proposed to it is decided in [`super::watch`].

use super::message::{Chain, Message, Record};
use super::{ChainReplication, Out};
use crate::core::{
    Admin, Config, Core, Damaged, Destination, Effect, Input, NodeId, Output, Position, RequestId,
    Role, Snapshot, Time,
};
use crate::machine::{Command, Operation, Reply, Request, SessionId, Value};
use crate::variants::multi_paxos::{self, MultiPaxos};
use std::collections::VecDeque;

/// Where the configuration is kept.
const KEY: &str = "chain";
/// The nonce of the one session of the master's state machine: whoever opens it finds it open.
const NONCE: u64 = 1;

/// The Multi-Paxos at this node, and what its leader knows.
#[derive(Debug)]
pub(super) struct Master {
    core: MultiPaxos,
    /// Where each record stands in the node's log, from that numbered `first` on.
    positions: VecDeque<Position>,
    first: u64,
    /// Records below this one are durable.
    persisted: u64,
    wake_at: Time,
    /// The newest snapshot, until the node saves it with its own.
    snapshot: Option<(Snapshot, u64)>,
    requests: u64,
    /// The session of the state machine, once known.
    session: Option<SessionId>,
    /// When something was last proposed.
    pub(super) asked_at: Option<Time>,
}

impl Master {
    /// The Multi-Paxos as the disk holds it; what it asks of its host at once, too.
    pub(super) fn recover(
        config: &Config,
        now: Time,
        snapshot: Option<(Vec<u8>, u64)>,
        records: Vec<(Position, Position, multi_paxos::Record)>,
    ) -> Result<(Self, Output<MultiPaxos>), Damaged> {
        let mut out = Output::default();
        let first = snapshot.as_ref().map_or(0, |(_, keep_from)| *keep_from);
        let own: Vec<_> = records.into_iter().filter(|(_, at, _)| at.0 >= first).collect();
        let positions: VecDeque<_> = own.iter().map(|(position, ..)| *position).collect();
        let persisted = first + positions.len() as u64;
        let core = MultiPaxos::recover(
            config.clone(),
            now,
            snapshot.map(|(data, _)| Snapshot { data }),
            own.into_iter().map(|(_, at, record)| (at, record)),
            &mut out,
        )?;
        let master = Self {
            core,
            positions,
            first,
            persisted,
            wake_at: now,
            snapshot: None,
            requests: 0,
            session: None,
            asked_at: None,
        };
        Ok((master, out))
    }

    pub(super) fn leads(&self) -> bool {
        self.core.role() == Role::Leader
    }

    pub(super) fn wake_at(&self) -> Time {
        self.wake_at
    }

    /// The configuration that is decided, as far as this node knows. `None` before the first change.
    fn chain(&self) -> Option<Chain> {
        let command = Command {
            session: SessionId(0),
            sequence: 0,
            watermark: 0,
            operations: vec![Operation::Read(KEY.into())],
        };
        match self.core.machine().read(&command) {
            Reply::Results(values) => values.first().and_then(decode),
            _ => None,
        }
    }

    /// Where the first record stands that the snapshot saved last does not replace; `end` if there is none yet.
    pub(super) fn keep_from(&mut self, first: u64, end: Position) -> Position {
        while self.first < first && self.positions.pop_front().is_some() {
            self.first += 1;
        }
        self.positions.front().copied().unwrap_or(end)
    }
}

/// A configuration as a value of the state machine.
fn encode(chain: &Chain) -> Value {
    let nodes = chain.nodes.iter().map(|node| Value::Int(i64::from(node.0)));
    Value::List(vec![Value::Int(chain.epoch.cast_signed()), Value::List(nodes.collect())])
}

fn decode(value: &Value) -> Option<Chain> {
    let Value::List(list) = value else { return None };
    let [Value::Int(epoch), Value::List(nodes)] = &list[..] else { return None };
    let node = |value: &Value| match value {
        Value::Int(number) => u32::try_from(*number).ok().map(NodeId),
        _ => None,
    };
    let nodes = nodes.iter().map(node).collect::<Option<Vec<_>>>()?;
    Some(Chain { epoch: epoch.cast_unsigned(), nodes })
}

impl ChainReplication {
    /// Takes a step of the Multi-Paxos, and enters the configuration that it may have decided.
    pub(super) fn step_master(&mut self, input: Input<multi_paxos::Message>, out: &mut Out) {
        let mut inner = Output::default();
        self.master.core.step(self.now, input, &mut inner);
        self.absorb(inner, out);
        if let Some(chain) = self.master.chain().filter(|chain| chain.epoch > self.chain.epoch) {
            self.enter(chain, out);
        }
    }

    /// Hands on what the Multi-Paxos asks of its host.
    pub(super) fn absorb(&mut self, inner: Output<MultiPaxos>, out: &mut Out) {
        for record in inner.records {
            let at = self.master.first + self.master.positions.len() as u64;
            let position = self.append(Record::Master(Position(at), record), out);
            self.master.positions.push_back(position);
        }
        for effect in inner.when_durable {
            if let Some(effect) = self.translate(effect) {
                out.when_durable.push(effect);
            }
        }
        for effect in inner.at_once {
            if let Some(effect) = self.translate(effect) {
                out.at_once.push(effect);
            }
        }
        if let Some(saved) = inner.snapshot {
            self.master.snapshot = Some((saved.snapshot, saved.keep_from.0));
        }
        self.master.wake_at = inner.wake_at.unwrap_or(self.master.wake_at);
    }

    fn translate(&mut self, effect: Effect<multi_paxos::Message>) -> Option<Effect<Message>> {
        match effect {
            Effect::Send(to, message) => {
                let to: Destination = to;
                Some(Effect::Send(to, Message::Master(message)))
            }
            Effect::Reply(_, Reply::Session(session)) => {
                self.master.session = Some(session);
                self.master.asked_at = None; // What is to be decided can be, now.
                None
            }
            // A change came to be or did not: the state tells, and the next look at the nodes.
            Effect::Reply(..) => None,
        }
    }

    /// What is durable of the Multi-Paxos's records.
    pub(super) fn master_persisted(&mut self, upto: Position, out: &mut Out) {
        let before = self.master.persisted;
        while let Some(index) = self.master.persisted.checked_sub(self.master.first)
            && let Ok(index) = usize::try_from(index)
            && self.master.positions.get(index).is_some_and(|position| *position < upto)
        {
            self.master.persisted += 1;
        }
        if self.master.persisted > before {
            self.step_master(Input::Persisted(Position(self.master.persisted)), out);
        }
    }

    /// Whether the Multi-Paxos has a snapshot that is to be saved.
    pub(super) fn master_saves(&self) -> bool {
        self.master.snapshot.is_some()
    }

    /// A snapshot of the Multi-Paxos as it is now, and its first record that this does not replace.
    pub(super) fn master_snapshot(&mut self, out: &mut Out) -> (Snapshot, u64) {
        if self.master.snapshot.is_none() {
            let id = self.next_master_request();
            self.step_master(Input::Admin(id, Admin::Snapshot), out);
        }
        self.master.snapshot.take().expect("it takes a snapshot when it is told")
    }

    fn next_master_request(&mut self) -> RequestId {
        self.master.requests += 1;
        RequestId(self.master.requests)
    }

    pub(super) fn propose(&mut self, next: &Chain, out: &mut Out) {
        let request = match self.master.session {
            None => Request::OpenSession { nonce: NONCE },
            Some(session) => {
                let held = self.master.chain();
                if held.as_ref().map_or(0, |chain| chain.epoch) + 1 != next.epoch {
                    return; // The Multi-Paxos has not learned again what this node had entered.
                }
                let held = held.as_ref().map_or(Value::Nil, encode);
                let change = Operation::Cas(KEY.into(), held, encode(next));
                // An epoch is decided once: its number is that of the request.
                let (sequence, watermark) = (next.epoch, next.epoch);
                Request::Execute(Command { session, sequence, watermark, operations: vec![change] })
            }
        };
        self.master.asked_at = Some(self.now);
        let id = self.next_master_request();
        self.step_master(Input::Request(id, request), out);
    }
}
