//! Random schedules: it fails to agree, not to answer.

use crate::net::Net;
use crate::{ONE, THREE, TWO, add, cas, read, write};
use proptest::prelude::*;
use std::time::Duration;
use tribunal_protocol::core::{Limits, NodeId, RequestId, Timing};
use tribunal_protocol::{Operation, Reply};

/// What happens next in a random schedule.
#[derive(Clone, Debug)]
enum Event {
    Request(u32, Operation),
    Deliver(prop::sample::Index),
    Lose(prop::sample::Index),
    Duplicate(prop::sample::Index),
    Pass(u64),
    Restart(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let operation = prop_oneof![
        Just(read()),
        (0..4_i64).prop_map(write),
        (0..4_i64, 0..4_i64).prop_map(|(from, to)| cas(from, to)),
        Just(add(1)),
    ];
    prop_oneof![
        3 => (1..4_u32, operation).prop_map(|(node, operation)| Event::Request(node, operation)),
        8 => any::<prop::sample::Index>().prop_map(Event::Deliver),
        1 => any::<prop::sample::Index>().prop_map(Event::Lose),
        1 => any::<prop::sample::Index>().prop_map(Event::Duplicate),
        1 => (1..300_u64).prop_map(Event::Pass),
        1 => (1..4_u32).prop_map(Event::Restart),
    ]
}

impl Net {
    fn carry_on(&mut self, event: Event) {
        let busy: Vec<_> = self
            .links
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(link, _)| *link)
            .collect();
        match event {
            Event::Request(node, operation) => drop(self.request(NodeId(node), operation)),
            Event::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Event::Restart(node) => self.start(NodeId(node)),
            _ if busy.is_empty() => {}
            Event::Deliver(nth) => {
                let (from, to) = busy[nth.index(busy.len())];
                self.deliver(from, to);
            }
            Event::Lose(nth) => {
                drop(self.links.get_mut(&busy[nth.index(busy.len())]).unwrap().pop_front());
            }
            Event::Duplicate(nth) => {
                let queue = self.links.get_mut(&busy[nth.index(busy.len())]).unwrap();
                let message = queue[0].clone();
                queue.push_back(message);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// It fails to agree, not to answer: whatever happened, a healed network answers each node's next requests, a
    /// request is never answered twice, and a restart gives back what a node held.
    #[test]
    fn it_always_recovers(events in prop::collection::vec(event(), 0..150), entries in 1..20_u64) {
        let mut net = Net::new(3, Limits { snapshot_entries: entries, ..Limits::default() });
        events.into_iter().for_each(|event| net.carry_on(event));
        for node in [ONE, TWO, THREE] {
            let before = net.held(node, "x");
            net.start(node);
            prop_assert_eq!(net.held(node, "x"), before);
        }
        for node in [ONE, TWO, THREE] {
            let probes = [net.request(node, write(9)), net.request(node, read())];
            net.deliver_all();
            for probe in probes {
                prop_assert!(matches!(net.reply(probe), Some(Reply::Results(_))), "{}", net.trace);
            }
        }
        let answered = net.replies.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        for id in answered {
            net.reply(id);
        }
    }

    /// Without restarts every request is answered, at the latest when its time is over.
    #[test]
    fn every_request_is_answered_once(events in prop::collection::vec(event(), 0..150)) {
        let mut net = Net::new(3, Limits::default());
        for event in events {
            if !matches!(event, Event::Restart(_)) {
                net.carry_on(event);
            }
        }
        net.pass(Timing::default().request);
        for id in (1..=net.requests).map(RequestId) {
            prop_assert!(net.reply(id).is_some(), "request {} hangs: {}", id.0, net.trace);
        }
    }
}
