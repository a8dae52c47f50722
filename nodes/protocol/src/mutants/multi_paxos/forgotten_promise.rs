//! 3 `forgotten-promise`: an acceptor that restarts promises lower ballots again.
//!
//! Mechanism: promises are kept in memory only. After a restart the node has promised nothing, whatever it had promised
//! or accepted; it follows a deposed leader again, and accepts what that one proposes. What it has accepted survives, and
//! so do the rounds that it has met: it does not use a ballot of its own twice.
//!
//! Seen in: palantir/atlasdb#1508 describes it for the leader election of TimeLock: an acceptor that lost its log promises
//! to a second proposer what it had promised to withhold. There the accepted values are lost as well.
//!
//! Exposed by: a restart of an acceptor while a deposed leader, cut off or slow, does not know of its successor.
//!
//! A client sees: two leaders at once, hence lost writes, stale reads, or a leader that can decide nothing any more. Often
//! the node finds out itself first, by an accepted ballot that falls, and its process ends.

use super::{About, Bug, Mutant, Out, nothing};
use crate::core::{Core, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos, Record};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 3,
        name: "forgotten-promise",
        mechanism: "keeps its promises in memory only",
        seen_in: "AtlasDB TimeLock: palantir/atlasdb#1508",
        exposed_by: "a restart of an acceptor while a deposed leader does not know of its successor",
        anomaly: "lost writes, stale reads, or no progress; or the node ends itself",
        exempt_from_real: None,
    },
    make: |config| Box::new(ForgottenPromise { restarted: config.incarnation > 1 }),
};

#[derive(Debug)]
struct ForgottenPromise {
    /// The next step is the first one after a restart.
    restarted: bool,
}

impl Bug<MultiPaxos> for ForgottenPromise {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        if std::mem::take(&mut self.restarted) {
            core.forget_promise();
        }
        core.step(now, input, out);
        for record in &mut out.records {
            if matches!(record, Record::Promised(_)) {
                *record = nothing();
            }
        }
    }
}
