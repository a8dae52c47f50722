//! Chain replication, by hand: what the paper says of one update and one query.

use std::collections::{BTreeMap, VecDeque};
use tribunal_protocol::machine::{Reply, Request};
use tribunal_protocol::variants::chain::{ChainReplication, Message};
use tribunal_protocol::{
    Config, Core, Destination, Effect, Input, Limits, NodeId, Output, Position, RequestId, Time,
    Timing,
};

type Sent = VecDeque<(NodeId, NodeId, Message)>;

fn node(id: u32) -> ChainReplication {
    let config = Config {
        node: NodeId(id),
        members: (1..=3).map(NodeId).collect(),
        incarnation: 1,
        seed: u64::from(id),
        timing: Timing::default(),
        limits: Limits::default(),
        options: BTreeMap::new(),
    };
    let mut out = Output::default();
    ChainReplication::recover(config, Time(0), None, std::iter::empty(), &mut out).expect("starts")
}

/// Takes what a node sends and answers; its disk is as fast as it can be.
fn take(id: u32, out: Output<ChainReplication>, sent: &mut Sent, replies: &mut Vec<Reply>) {
    for effect in out.at_once.into_iter().chain(out.when_durable) {
        match effect {
            Effect::Send(Destination::Node(to), message) => {
                sent.push_back((NodeId(id), to, message))
            }
            Effect::Send(Destination::Peers, message) => {
                (1..=3).filter(|to| *to != id).for_each(|to| {
                    sent.push_back((NodeId(id), NodeId(to), message.clone()));
                })
            }
            Effect::Reply(_, reply) => replies.push(reply),
        }
    }
}

#[test]
fn an_update_passes_every_node_and_only_then_is_acknowledged() {
    let mut nodes: Vec<_> = (1..=3).map(node).collect();
    let (mut sent, mut replies, mut passed) = (Sent::new(), Vec::new(), Vec::new());
    let mut records = [0_u64; 3];
    let mut queue = VecDeque::from([(1, Input::Wake), (2, Input::Wake)]);
    queue.push_back((1, Input::Request(RequestId(1), Request::OpenSession { nonce: 7 })));
    let mut now = Time(60_000_000); // One tick of each says that all before it are ready.
    while let Some((id, input)) = queue.pop_front() {
        let mut out = Output::default();
        now.0 += 1;
        let index = id as usize - 1;
        nodes[index].step(now, input, &mut out);
        records[index] += out.records.len() as u64;
        if !out.records.is_empty() {
            queue.push_back((id, Input::Persisted(Position(records[index]))));
        }
        take(id, out, &mut sent, &mut replies);
        while let Some((from, to, message)) = sent.pop_front() {
            if matches!(&message, Message::Pass { updates, .. } if !updates.is_empty()) {
                passed.push((from.0, to.0));
                assert!(replies.is_empty(), "not before the tail has it");
            }
            if matches!(message, Message::Pass { .. } | Message::Ack { .. }) {
                queue.push_back((to.0, Input::Message(from, message)));
            }
        }
    }
    assert_eq!(passed, [(1, 2), (2, 3)]);
    assert!(matches!(replies[..], [Reply::Session(_)]), "{replies:?}");
    assert!(nodes.iter().all(|node| Core::applied(node) == Some(1)));
}
