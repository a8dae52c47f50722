//! What is counted of nodes that do what each test wants: each has the habit of its type.

use super::group::UNIT_NS;
use super::{CalmError, Event, Measured, Scene};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tribunal_protocol::variants::Visit;
use tribunal_protocol::variants::cost::{Asked, At};
use tribunal_protocol::{
    self as protocol, Capabilities, Config, Core, Damaged, Failure, Input, NodeId, Operation,
    Output, Position, Reply, Request, RequestId, Role, SessionId, Snapshot, Time, Value,
};

/// A write is stored by all nodes and answered when one other has stored it; node 1 sends a beat every heartbeat.
const PLAIN: u8 = 0;
/// The beat after a write is followed by a note.
const LATER: u8 = 1;
/// The beat after a write is left out.
const SPARES: u8 = 2;
/// The beat after a write is a note.
const SWAPS: u8 = 3;
/// Every beat after the second write is followed by a note.
const RESTLESS: u8 = 4;
/// The answer is given at the beat after the write.
const WAITS: u8 = 5;
/// Nodes of odd numbers above 1 store for themselves first.
const UNEVEN: u8 = 6;
/// The second write is refused.
const REFUSES: u8 = 7;
/// A beat is sent in every tenth part of a heartbeat.
const NO_PAUSE: u8 = 8;
/// Each node takes itself for the leader.
const LEADERS: u8 = 9;

struct Toy<const HABIT: u8> {
    config: Config,
    value: Value,
    writes: u64,
    /// Node 1: a write of which no beat has told yet.
    untold: bool,
    beat_at: Time,
    /// Who waits at this node; the request of node 0 is its own.
    asked: Option<(NodeId, RequestId)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Message {
    Beat,
    Note,
    Store(Value),
    Stored,
    Forward(Request),
    Answer(Reply),
}

impl protocol::Message for Message {
    const KINDS: &'static [&'static str] =
        &["beat", "note", "store", "stored", "forward", "answer"];

    fn kind(&self) -> &'static str {
        match self {
            Self::Beat => "beat",
            Self::Note => "note",
            Self::Store(_) => "store",
            Self::Stored => "stored",
            Self::Forward(_) => "forward",
            Self::Answer(_) => "answer",
        }
    }
}

const LEADER: NodeId = NodeId(1);

impl<const HABIT: u8> Core for Toy<HABIT> {
    type Message = Message;
    type Record = Value;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: false,
        collections: false,
        transactions: false,
        sessions: false,
        membership: false,
        linearizable: false,
        leader: true,
        survives: |_| 0,
    };

    fn recover(
        config: Config,
        _: Time,
        _: Option<Snapshot>,
        _: impl Iterator<Item = (Position, Value)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        let mut node = Self {
            value: Value::Nil,
            writes: 0,
            untold: false,
            beat_at: Time(0),
            asked: None,
            config,
        };
        node.sleep(out);
        Ok(node)
    }

    fn step(&mut self, _: Time, input: Input<Message>, out: &mut Output<Self>) {
        match input {
            Input::Request(id, Request::OpenSession { .. }) => {
                out.reply(id, Reply::Session(SessionId(1)));
            }
            Input::Request(id, request) if self.config.node == LEADER => {
                self.asked = Some((self.config.node, id));
                self.take(&request, out);
            }
            Input::Request(id, request) => {
                if HABIT == UNEVEN && self.config.node.0 % 2 == 1 {
                    out.append(Value::Nil);
                }
                self.asked = Some((self.config.node, id));
                out.send(LEADER, Message::Forward(request));
            }
            Input::Message(from, Message::Forward(request)) => {
                self.asked = Some((from, RequestId(0)));
                self.take(&request, out);
            }
            Input::Message(_, Message::Answer(reply)) => self.answer(reply, out),
            Input::Message(from, Message::Store(value)) => {
                out.append(value.clone());
                self.value = value;
                out.send(from, Message::Stored);
            }
            Input::Message(_, Message::Stored) if HABIT != WAITS => self.answer(done(), out),
            Input::Wake => self.beat(out),
            _ => {}
        }
    }

    fn role(&self) -> Role {
        if self.config.node == LEADER { Role::Leader } else { Role::Follower }
    }

    fn leader(&self) -> Option<NodeId> {
        Some(if HABIT == LEADERS { self.config.node } else { LEADER })
    }
}

fn done() -> Reply {
    Reply::Results(vec![Value::Nil])
}

impl<const HABIT: u8> Toy<HABIT> {
    fn take(&mut self, request: &Request, out: &mut Output<Self>) {
        let Request::Execute(command) = request else { unreachable!("no session is forwarded") };
        let Operation::Write(_, value) = &command.operations[0] else {
            return self.answer(Reply::Results(vec![self.value.clone()]), out);
        };
        self.writes += 1;
        if HABIT == REFUSES && self.writes == 2 {
            return self.answer(Reply::Failed(Failure::Overloaded), out);
        }
        (self.value, self.untold) = (value.clone(), true);
        out.append(value.clone());
        out.broadcast_at_once(Message::Store(value.clone()));
    }

    fn answer(&mut self, reply: Reply, out: &mut Output<Self>) {
        match self.asked.take() {
            Some((node, id)) if node == self.config.node => out.reply(id, reply),
            Some((node, _)) => out.send(node, Message::Answer(reply)),
            None => {}
        }
    }

    fn beat(&mut self, out: &mut Output<Self>) {
        let untold = std::mem::take(&mut self.untold);
        if !(untold && [SPARES, SWAPS].contains(&HABIT)) {
            out.broadcast(Message::Beat);
        }
        if untold && [LATER, SWAPS].contains(&HABIT) || HABIT == RESTLESS && self.writes > 1 {
            out.broadcast(Message::Note);
        }
        if HABIT == WAITS {
            self.answer(done(), out);
        }
        self.sleep(out);
    }

    fn sleep(&mut self, out: &mut Output<Self>) {
        if self.config.node == LEADER {
            let beat = self.config.timing.heartbeat;
            self.beat_at = self.beat_at.after(if HABIT == NO_PAUSE { beat / 10 } else { beat });
            out.wake_at(self.beat_at);
        }
    }
}

fn count<const HABIT: u8>(asked: Asked, at: At) -> Result<Measured, CalmError> {
    scene(asked, at).visit::<Toy<HABIT>>()
}

fn scene(asked: Asked, at: At) -> Scene {
    Scene { nodes: 5, asked, at, has_leader: true, leader_differs: true, tail_differs: false }
}

fn brief(event: &Event) -> String {
    match event {
        Event::Sent(line) => format!("{} {}>{}", line.sent_ns / UNIT_NS, line.from, line.to),
        Event::Synced { at_ns, node } => format!("{} sync {node}", at_ns / UNIT_NS),
        Event::Answered { at_ns } => format!("{} answered", at_ns / UNIT_NS),
    }
}

fn kinds(of: &[(&'static str, u64)]) -> BTreeMap<&'static str, u64> {
    of.iter().copied().collect()
}

#[test]
fn what_follows_from_the_operation_counts() {
    let measured = count::<PLAIN>(Asked::Write, At::Leader).expect("a count");
    assert_eq!((measured.messages, measured.delays, measured.syncs), (8, 2, 5));
    assert_eq!(measured.by_kind, kinds(&[("store", 4), ("stored", 4)]));
    assert!(measured.later.is_empty() && measured.spared.is_empty());
    let told: Vec<String> = measured.trace.iter().map(brief).collect();
    assert_eq!(told[..6], ["0 1>2", "0 1>3", "0 1>4", "0 1>5", "0 sync 1", "1 sync 2"]);
    assert_eq!(told[12..], ["1 5>1", "2 answered"]);

    let forwarded = count::<PLAIN>(Asked::Write, At::Other).expect("a count");
    assert_eq!((forwarded.messages, forwarded.delays, forwarded.syncs), (10, 4, 5));
    let read = count::<PLAIN>(Asked::Read, At::Leader).expect("a count");
    assert_eq!((read.messages, read.delays, read.syncs), (0, 0, 0));
}

#[test]
fn what_a_timer_sends_because_of_it_counts_too() {
    let measured = count::<LATER>(Asked::Write, At::Leader).expect("a count");
    assert_eq!(measured.by_kind, kinds(&[("store", 4), ("stored", 4), ("note", 4)]));
    assert_eq!(measured.later, kinds(&[("note", 4)]));
    let sent = measured.trace.iter().filter(|event| matches!(event, Event::Sent(_)));
    assert_eq!((measured.messages, sent.count()), (12, 8));
}

#[test]
fn a_beat_that_it_spares_does_not_count() {
    let measured = count::<SPARES>(Asked::Write, At::Leader).expect("a count");
    assert_eq!(measured.messages, 8);
    assert_eq!(measured.spared, kinds(&[("beat", 4)]));
}

#[test]
fn what_has_no_clear_count_is_an_error() {
    let swaps = count::<SWAPS>(Asked::Write, At::Leader);
    assert!(
        matches!(&swaps, Err(CalmError::Mixed { by_kind, .. })
        if by_kind["beat"] == -4 && by_kind["note"] == 4),
        "{swaps:?}"
    );
    let restless = count::<RESTLESS>(Asked::Write, At::Leader);
    assert!(matches!(restless, Err(CalmError::Restless { .. })), "{restless:?}");
    let waits = count::<WAITS>(Asked::Write, At::Leader);
    assert!(matches!(waits, Err(CalmError::Delays(_))), "{waits:?}");
    let any = Scene { leader_differs: false, ..scene(Asked::Write, At::Other) };
    let leader_too = any.visit::<Toy<PLAIN>>();
    assert!(matches!(leader_too, Err(CalmError::Differs { .. })), "{leader_too:?}");
    let uneven = count::<UNEVEN>(Asked::Write, At::Other);
    assert!(matches!(uneven, Err(CalmError::Differs { .. })), "{uneven:?}");
    let busy = count::<NO_PAUSE>(Asked::Write, At::Leader);
    assert!(matches!(busy, Err(CalmError::NoPause(_))), "{busy:?}");
}

#[test]
fn an_answer_that_is_none_and_a_leader_who_is_none_are_errors() {
    let refuses = count::<REFUSES>(Asked::Write, At::Leader);
    let is_operation = matches!(
        refuses,
        Err(CalmError::Refused { what: "the operation", reply: Some(Reply::Failed(_)), .. })
    );
    assert!(is_operation, "{refuses:?}");
    let leaders = count::<LEADERS>(Asked::Write, At::Leader);
    assert!(matches!(leaders, Err(CalmError::NoLeader(_))), "{leaders:?}");
}
