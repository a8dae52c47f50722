//! A restarted node answers reads before its log has caught up.
//!
//! *Mechanism.* From its restart until it knows what the leader knew when it was first heard, the node answers reads
//! from the state that it found on its disk. Afterwards, and in its first incarnation, it sends them to the leader as
//! it should.
//!
//! *Seen in* etcd: etcd-io/etcd#3879, "etcd serves stale read requests before log is caught up during
//! recovery/startup". Consul's variant, reads of a restarted leader before its first barrier, is hashicorp/consul#2644.
//!
//! *Exposed by* the restart of a node that missed writes; a power cut of all nodes at once makes the time longer, since
//! nobody leads yet.
//!
//! *Anomaly.* A stale read: the state before the restart, or before the last writes.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Input, Role, Time};
use crate::machine::Request;
use crate::replication::Slot;
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 17,
        name: "early-reads",
        mechanism: "a restarted node answers reads from what its disk holds until its log has caught up",
        seen_in: "etcd, etcd-io/etcd#3879; Consul, hashicorp/consul#2644",
        exposed_by: "the restart of a node that missed writes",
        anomaly: "stale read",
        exempt_from_real: None,
    },
    make: |config| Box::new(EarlyReads::new(config)),
};

#[derive(Debug)]
struct EarlyReads {
    /// Whether the log lacks, as far as known, something that was decided before the restart.
    lags: bool,
    /// What the leader that was heard first after the restart knew to be decided.
    goal: Option<Slot>,
}

impl EarlyReads {
    fn new(config: &Config) -> Self {
        Self { lags: config.incarnation > 1, goal: None }
    }

    fn hear(&mut self, input: &Input<Message>) {
        if let Input::Message(
            _,
            Message::Heartbeat { decided, .. } | Message::Accept { decided, .. },
        ) = input
        {
            self.goal.get_or_insert(*decided);
        }
    }
}

impl Bug<MultiPaxos> for EarlyReads {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        if self.lags
            && let Input::Request(id, Request::Execute(command)) = &input
            && command.is_read()
        {
            return out.reply_at_once(*id, core.applied().1.read(command));
        }
        self.hear(&input);
        core.step(now, input, out);
        let caught_up = self.goal.is_some_and(|goal| core.applied().0 >= goal);
        self.lags &= !caught_up && core.role() != Role::Leader;
    }
}
