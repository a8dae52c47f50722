//! `aimed`: a fault aimed at a phase of the protocol, whatever the variant: it waits for messages of that phase and
//! acts on them. Bugs of consensus sit between two messages, where a fault at a random time hardly ever falls;
//! Leesatapornwongsa et al., "TaxDC" (ASPLOS 2016), found a single untimely message behind most of the concurrency bugs
//! that they studied.
//!
//! The phase of a message is what the message claims to be, not what it does. The injection resolves to no nodes: it
//! finds its victims as messages come.

use super::{Available, Fault, Line, one_or_any, take_duration_ms, take_percent};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "aimed",
        summary: "Acts on messages of one phase of the protocol, as they are sent",
        params: &[
            ("delay=50ms", "how much longer a message takes where do=delay"),
            (
                "do=any",
                "drop, duplicate, delay, crash-sender, crash-receiver or cut-leader (cut the leader when one accept is \
                 missing to a quorum; phase=accepted only); any rotates through them",
            ),
            ("percent=30", "on how many of the messages it acts, 1 to 100"),
            ("phase=any", "prepare, promise, accept, accepted or other; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

/// What a message claims to be, in the terms of "Paxos Made Simple" (2001), section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Phase 1a, or a request for votes.
    Prepare,
    /// Phase 1b, or a vote.
    Promise,
    /// Phase 2a, or entries to be appended.
    Accept,
    /// Phase 2b, or that they were appended.
    Accepted,
    /// Anything else between nodes: heartbeats, commits, snapshots, forwarded requests.
    Other,
}

/// What is done to such a message, or because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is lost.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives late.
    Delay {
        /// How much later, in ms.
        delay_ms: u64,
    },
    /// Its sender crashes just after it was sent, and starts again at the end of the injection.
    CrashSender,
    /// Its receiver crashes just before it arrives, and starts again at the end of the injection.
    CrashReceiver,
    /// Cut the leader when one accept is missing to a quorum: the node that leads is cut off from all other nodes, in
    /// both directions and until the end of the injection, once it has received `quorum - 1` acceptances of some
    /// slot, its own counted. Only together with [`Phase::Accepted`].
    CutLeader,
}

impl Phase {
    /// Every phase, in the order of the protocol.
    pub const ALL: [Self; 5] =
        [Self::Prepare, Self::Promise, Self::Accept, Self::Accepted, Self::Other];

    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Promise => "promise",
            Self::Accept => "accept",
            Self::Accepted => "accepted",
            Self::Other => "other",
        }
    }
}

impl Deed {
    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Delay { .. } => "delay",
            Self::CrashSender => "crash-sender",
            Self::CrashReceiver => "crash-receiver",
            Self::CutLeader => "cut-leader",
        }
    }

    /// Whether it means anything for messages of `phase`.
    #[must_use]
    pub fn goes_with(self, phase: Phase) -> bool {
        self != Self::CutLeader || phase == Phase::Accepted
    }

    /// Every deed, in the order in which they are documented.
    fn all(delay_ms: u64) -> [Self; 6] {
        [
            Self::Drop,
            Self::Duplicate,
            Self::Delay { delay_ms },
            Self::CrashSender,
            Self::CrashReceiver,
            Self::CutLeader,
        ]
    }
}

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let phases = params.take_with(
        "phase",
        Phase::ALL.to_vec(),
        "one of prepare, promise, accept, accepted, other, any",
        |name| one_or_any(name, &Phase::ALL, Phase::name),
    )?;
    let delay_ms = take_duration_ms(&mut params, "delay", 50)?;
    let deeds = Deed::all(delay_ms);
    let deeds = params.take_with(
        "do",
        deeds.to_vec(),
        "one of drop, duplicate, delay, crash-sender, crash-receiver, cut-leader, any",
        |name| one_or_any(name, &deeds, Deed::name),
    )?;
    let percent = take_percent(&mut params, "percent", 30, 1)?;
    params.finish()?;
    if !deeds.contains(&Deed::Delay { delay_ms }) {
        super::refuse(spec, "delay", "no `delay` without do=delay")?;
    }
    let faults: Vec<Fault> = phases
        .into_iter()
        .flat_map(|phase| deeds.iter().map(move |&deed| (phase, deed)))
        .filter(|(phase, deed)| deed.goes_with(*phase))
        .map(|(phase, deed)| Fault::Aimed { phase, deed, percent })
        .collect();
    if faults.is_empty() {
        super::refuse(spec, "phase", "phase=accepted where do=cut-leader")?;
    }
    Ok(faults)
}
