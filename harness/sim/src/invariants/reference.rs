//! The state machine as it must be: every decided slot applied once, in order, by nobody who could be wrong.
//!
//! One [`Machine`] takes each slot's requests from the first node that has applied the slot and still knows them. Where
//! nodes disagree about a slot, `agreement` says so before anything here matters.
//!
//! Nodes lag behind it, so states of earlier slots are needed, too: it keeps the requests since the oldest of
//! [`CHECKPOINTS`] copies of itself, one taken every [`SPACING`] requests, and a *cursor*, a machine at the earlier
//! slot that was wanted last. A state is replayed from the nearest of them, and nodes that follow each other closely
//! share the cursor.
//!
//! Bounds: memory for `CHECKPOINTS` states and `CHECKPOINTS * SPACING` requests; a replay of at most `SPACING` requests
//! for an earlier state. Below the oldest checkpoint nothing is known. If a slot's requests are nowhere in memory when
//! they are wanted (nodes that keep nothing behind their snapshots), the machine waits for a node that applies the slot
//! later, and is [incomplete](Reference::is_complete) meanwhile.

use crate::facts::View;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use tribunal_protocol::{Limits, Machine, NodeId, Request};

/// States to go back to.
const CHECKPOINTS: usize = 16;

/// Requests (and slots without any) between two of them.
pub(super) const SPACING: u64 = 2_048;

/// Digests of states that were wanted lately.
const DIGESTS: usize = 16;

/// The reference of one execution, made when it is first needed.
#[derive(Clone, Default)]
pub(super) struct Shared(Rc<RefCell<Option<Reference>>>);

impl Shared {
    /// Works with it.
    pub(super) fn with<T>(&self, view: &dyn View, work: impl FnOnce(&mut Reference) -> T) -> T {
        work(self.0.borrow_mut().get_or_insert_with(|| Reference::new(view.limits())))
    }
}

/// See the module.
pub(super) struct Reference {
    head: At,
    /// The highest slot that any node was seen to apply.
    wanted: u64,
    /// Requests applied so far, and slots.
    work: u64,
    /// `work` at the newest checkpoint.
    checked: u64,
    /// Ascending; never empty.
    checkpoints: VecDeque<At>,
    /// The requests of every slot above the oldest checkpoint.
    requests: VecDeque<Vec<Request>>,
    cursor: Option<At>,
    /// By slot, the newest last.
    digests: VecDeque<(u64, u64)>,
}

/// A state after a slot.
#[derive(Clone)]
struct At {
    slot: u64,
    machine: Machine,
}

impl At {
    fn apply(&mut self, requests: &[Request]) {
        for request in requests {
            self.machine.apply(request);
        }
        self.slot += 1;
    }
}

impl Reference {
    fn new(limits: &Limits) -> Self {
        let head = At { slot: 0, machine: Machine::new(limits) };
        Self {
            checkpoints: VecDeque::from([head.clone()]),
            head,
            wanted: 0,
            work: 0,
            checked: 0,
            requests: VecDeque::new(),
            cursor: None,
            digests: VecDeque::new(),
        }
    }

    /// `node` has applied every slot up to `slot`: takes what is missing here, as far as the node knows it.
    pub(super) fn follow(&mut self, view: &dyn View, node: NodeId, slot: u64) {
        self.wanted = self.wanted.max(slot);
        while self.head.slot < slot {
            let Some(requests) = view.decided(node, self.head.slot + 1) else { return };
            self.head.apply(requests);
            self.requests.push_back(requests.to_vec());
            self.work += 1 + requests.len() as u64;
            if self.work - self.checked >= SPACING {
                self.check_point();
            }
        }
    }

    fn check_point(&mut self) {
        self.checked = self.work;
        self.checkpoints.push_back(self.head.clone());
        if self.checkpoints.len() <= CHECKPOINTS {
            return;
        }
        if let (Some(dropped), Some(oldest)) =
            (self.checkpoints.pop_front(), self.checkpoints.front())
        {
            let slots = usize::try_from(oldest.slot - dropped.slot).unwrap_or(usize::MAX);
            self.requests.drain(..slots.min(self.requests.len()));
            let oldest = oldest.slot;
            self.cursor.take_if(|cursor| cursor.slot < oldest);
        }
    }

    /// The state after everything known here.
    pub(super) fn machine(&self) -> &Machine {
        &self.head.machine
    }

    /// Whether it has applied all that any node has, and anything at all.
    pub(super) fn is_complete(&self) -> bool {
        self.head.slot > 0 && self.head.slot == self.wanted
    }

    /// How much work it has done: requests and slots applied.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// The digest of the state after `slot`; `None` if that lies ahead, or too far back.
    pub(super) fn digest_at(&mut self, slot: u64) -> Option<u64> {
        if let Some((_, digest)) = self.digests.iter().find(|(known, _)| *known == slot) {
            return Some(*digest);
        }
        let digest = if slot == self.head.slot {
            self.head.machine.digest()
        } else {
            self.rewind(slot)?.machine.digest()
        };
        self.digests.push_back((slot, digest));
        if self.digests.len() > DIGESTS {
            self.digests.pop_front();
        }
        Some(digest)
    }

    /// Moves the cursor to `slot`.
    fn rewind(&mut self, slot: u64) -> Option<&At> {
        if slot > self.head.slot {
            return None;
        }
        let oldest = self.checkpoints.front()?.slot;
        let after = self.checkpoints.partition_point(|at| at.slot <= slot);
        let nearest = self.checkpoints.get(after.checked_sub(1)?)?;
        let cursor = match self.cursor.take() {
            Some(cursor) if nearest.slot <= cursor.slot && cursor.slot <= slot => cursor,
            _ => nearest.clone(),
        };
        let cursor = self.cursor.insert(cursor);
        let first = usize::try_from(cursor.slot - oldest).ok()?;
        let count = usize::try_from(slot - cursor.slot).ok()?;
        self.requests.iter().skip(first).take(count).for_each(|requests| cursor.apply(requests));
        Some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, add, execute, open};
    use super::*;
    use tribunal_protocol::Operation;

    /// Node 1 knows `slots` slots of `width` additions each, after one that opens the session.
    fn view(slots: u64, width: u64) -> Fake {
        let mut view = Fake::new(3);
        view.decided.insert((NodeId(1), 1), vec![open(7)]);
        for slot in 2..=slots {
            let first = (slot - 2) * width + 1;
            let mut requests: Vec<_> = (first..first + width).map(|n| add(n, 1)).collect();
            let last = first + width;
            requests.push(execute(last, last, Operation::Read("counter".into())));
            view.decided.insert((NodeId(1), slot), requests);
        }
        view
    }

    /// The digest by definition: everything from the beginning.
    fn digest(view: &Fake, slot: u64) -> u64 {
        let mut machine = Machine::new(&Limits::default());
        for slot in 1..=slot {
            for request in &view.decided[&(NodeId(1), slot)] {
                machine.apply(request);
            }
        }
        machine.digest()
    }

    #[test]
    fn earlier_states_are_those_of_a_replay_from_the_beginning() {
        let view = view(1_000, 15);
        let mut reference = Reference::new(&Limits::default());
        reference.follow(&view, NodeId(1), 1_000);
        assert!(reference.is_complete());
        assert!(reference.checkpoints.len() > 4, "the test needs several");
        for slot in [1_000, 999, 0, 1, 500, 501, 499, 700, 640, 641, 121, 120, 119, 998, 2] {
            assert_eq!(reference.digest_at(slot), Some(digest(&view, slot)), "slot {slot}");
        }
        assert_eq!(reference.digest_at(1_001), None);
    }

    #[test]
    fn what_lies_too_far_back_is_unknown() {
        let view = view(400, 127);
        let mut reference = Reference::new(&Limits::default());
        for slot in 1..=400 {
            reference.follow(&view, NodeId(1), slot);
            assert!(reference.digest_at(slot.saturating_sub(3)).is_some(), "slot {slot}");
        }
        assert_eq!(reference.checkpoints.len(), CHECKPOINTS);
        let oldest = reference.checkpoints[0].slot;
        assert!(oldest > 100, "{oldest}");
        assert_eq!(reference.digest_at(oldest - 1), None);
        assert_eq!(reference.digest_at(oldest), Some(digest(&view, oldest)));
        assert_eq!(reference.digest_at(oldest + 1), Some(digest(&view, oldest + 1)));
        assert_eq!(reference.requests.len() as u64, 400 - oldest);
    }

    #[test]
    fn it_waits_for_a_slot_that_is_nowhere_in_memory() {
        let mut view = view(5, 1);
        let missing = view.decided.remove(&(NodeId(1), 3)).expect("made above");
        let mut reference = Reference::new(&Limits::default());
        reference.follow(&view, NodeId(1), 5);
        assert!(!reference.is_complete());
        assert_eq!(reference.head.slot, 2);
        view.decided.insert((NodeId(2), 3), missing);
        reference.follow(&view, NodeId(2), 3);
        assert!(!reference.is_complete());
        reference.follow(&view, NodeId(1), 5);
        assert!(reference.is_complete());
    }
}
