//! The registry of faults: one file a fault, and one line in [`registry`].

mod aimed;
mod bit_rot;
mod clock;
mod contest;
mod disk_fail;
mod disk_stall;
mod flaky_link;
mod kill;
mod lossy_link;
mod membership;
mod partition;
mod pause;
mod power_loss;
mod slow_link;

pub use aimed::{Deed, Phase};
pub use clock::Clock;
pub use partition::{CutMode, Partition};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tribunal_spec::{Entry, Params, Spec, SpecError, duration_ms, find};

/// What goes wrong during one injection, with every parameter fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Fault {
    /// Links carry nothing.
    Partition {
        /// Which links.
        kind: Partition,
        /// What the ends of such a link notice.
        mode: CutMode,
    },
    /// Processes end by SIGKILL.
    Kill {
        /// Which nodes.
        target: Target,
        /// Whether they are started again at the end of the injection.
        stay_dead: bool,
    },
    /// Processes are stopped by SIGSTOP, and go on at the end of the injection.
    Pause {
        /// Which nodes.
        target: Target,
    },
    /// Messages between the targets and the other nodes arrive late.
    SlowLink {
        /// Which nodes.
        target: Target,
        /// How much later, in ms.
        delay_ms: u64,
    },
    /// Messages between the targets and the other nodes are lost.
    LossyLink {
        /// Which nodes.
        target: Target,
        /// How many of them, `1..=100`.
        percent: u32,
    },
    /// Messages between the targets and the other nodes arrive twice and in another order.
    FlakyLink {
        /// Which nodes.
        target: Target,
        /// How many of them arrive twice, `0..=100`.
        duplicate_percent: u32,
        /// The largest extra delay of a message, in ms; each draws its own.
        reorder_ms: u64,
    },
    /// Nodes crash together and lose what they had not synced; they start again at the end of the injection.
    PowerLoss {
        /// Which nodes.
        target: Target,
        /// Whether some sectors of what was not synced stay, in any order.
        torn: bool,
    },
    /// One bit flips in the synced log of each target, which is restarted to read it. Lasts as long as the run.
    BitRot {
        /// Which nodes.
        target: Target,
    },
    /// Syncs of the log take longer.
    DiskStall {
        /// Which nodes.
        target: Target,
        /// How much longer, in ms.
        delay_ms: u64,
    },
    /// The next sync of the log fails and the node ends; it starts again at the end of the injection.
    DiskFail {
        /// Which nodes.
        target: Target,
    },
    /// Monotonic clocks depart from true time.
    Clock {
        /// Which nodes.
        target: Target,
        /// How.
        clock: Clock,
    },
    /// Nodes are told to lead, again and again.
    Contest {
        /// Which nodes.
        target: Target,
        /// The mean time between two such commands, in ms.
        every_ms: u64,
    },
    /// Nodes are taken out of the membership, and made members again at the end of the injection.
    Membership {
        /// Which nodes.
        target: Target,
    },
    /// Something is done to messages of one phase of the protocol, or because of them.
    Aimed {
        /// Which messages.
        phase: Phase,
        /// What.
        deed: Deed,
        /// To how many of them, `1..=100`.
        percent: u32,
    },
}

/// Where a fault can be carried out today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Available {
    /// On real processes and in the simulator.
    Everywhere,
    /// In the simulator.
    SimulatorOnly,
}

/// Which nodes a fault is aimed at, before it is known which these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any one node.
    One,
    /// As many as may fail while a majority is left; at least one.
    Minority,
    /// The smallest majority.
    Majority,
    /// Every node.
    All,
    /// The leader; any one node while none is known.
    Leader,
}

impl Fault {
    /// Every fault that a spec asks for: one if it fixes all parameters, else all that it leaves open, to be rotated.
    ///
    /// # Errors
    /// [`SpecError`] for an unknown name or parameter.
    pub fn alternatives(spec: &Spec) -> Result<Vec<Self>, SpecError> {
        let line = find("fault", &spec.name, REGISTRY, |line| &line.entry)?;
        (line.read)(spec)
    }

    /// The fault's name in the registry.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.line().entry.name
    }

    /// Where it can be carried out.
    #[must_use]
    pub fn available(&self) -> Available {
        self.line().available
    }

    /// The nodes that it is aimed at, if a [`Target`] names them.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match *self {
            Self::Partition { .. } | Self::Aimed { .. } => None,
            Self::Kill { target, .. }
            | Self::Pause { target }
            | Self::SlowLink { target, .. }
            | Self::LossyLink { target, .. }
            | Self::FlakyLink { target, .. }
            | Self::PowerLoss { target, .. }
            | Self::BitRot { target }
            | Self::DiskStall { target, .. }
            | Self::DiskFail { target }
            | Self::Clock { target, .. }
            | Self::Contest { target, .. }
            | Self::Membership { target } => Some(target),
        }
    }

    /// The same fault with another target, where it has one.
    #[must_use]
    pub fn aimed_at(mut self, new: Target) -> Self {
        match &mut self {
            Self::Partition { .. } | Self::Aimed { .. } => {}
            Self::Kill { target, .. }
            | Self::Pause { target }
            | Self::SlowLink { target, .. }
            | Self::LossyLink { target, .. }
            | Self::FlakyLink { target, .. }
            | Self::PowerLoss { target, .. }
            | Self::BitRot { target }
            | Self::DiskStall { target, .. }
            | Self::DiskFail { target }
            | Self::Clock { target, .. }
            | Self::Contest { target, .. }
            | Self::Membership { target } => *target = new,
        }
        self
    }

    /// Whether the fault lasts as long as the run.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Kill { stay_dead: true, .. } | Self::BitRot { .. })
    }

    /// How long after its end its effects may last, in ms.
    #[must_use]
    pub fn lingering_ms(&self) -> u64 {
        match *self {
            Self::SlowLink { delay_ms, .. } | Self::DiskStall { delay_ms, .. } => delay_ms,
            Self::FlakyLink { reorder_ms, .. } => reorder_ms,
            Self::Clock { clock: Clock::Offset { by_ms }, .. } => by_ms,
            Self::Aimed { deed: Deed::Delay { delay_ms }, .. } => delay_ms,
            _ => 0,
        }
    }

    /// Whether the fault supposes that no node is lost for good meanwhile: those that are left have to carry the system.
    #[must_use]
    pub fn needs_everyone_back(&self) -> bool {
        matches!(self, Self::Membership { .. })
    }

    /// Whether its targets end at its start: they crash, or have to give up.
    #[must_use]
    pub fn ends_nodes(&self) -> bool {
        matches!(
            self,
            Self::Kill { .. }
                | Self::PowerLoss { .. }
                | Self::BitRot { .. }
                | Self::DiskFail { .. }
        )
    }

    /// Whether its targets cannot answer meanwhile.
    #[must_use]
    pub fn stops_nodes(&self) -> bool {
        self.ends_nodes() || matches!(self, Self::Pause { .. })
    }

    /// Whether it acts upon messages between nodes.
    #[must_use]
    pub fn acts_on_links(&self) -> bool {
        matches!(
            self,
            Self::Partition { .. }
                | Self::SlowLink { .. }
                | Self::LossyLink { .. }
                | Self::FlakyLink { .. }
                | Self::Aimed { .. }
        )
    }

    /// Whether resolving its target needs to know who leads.
    #[must_use]
    pub fn wants_leader(&self) -> bool {
        match self {
            Self::Partition { kind, .. } => kind.wants_leader(),
            _ => self.target() == Some(Target::Leader),
        }
    }

    /// Whether a system of `nodes` nodes can suffer it at all.
    #[must_use]
    pub fn fits(&self, nodes: u32) -> bool {
        match self {
            Self::Partition { kind, .. } => nodes >= kind.nodes_min(),
            // Two would be no minority of what is left.
            Self::Membership { .. } => nodes > 2,
            _ if self.is_permanent() => self.lost_for_good(nodes) <= crate::minority(nodes),
            // A single node sends nothing to others.
            _ if self.acts_on_links() => nodes > 1,
            _ => nodes > 0,
        }
    }

    /// How many nodes the fault takes away for the rest of the run.
    #[must_use]
    pub fn lost_for_good(&self, nodes: u32) -> u32 {
        match self.target() {
            Some(target) if self.is_permanent() => target.count(nodes),
            _ => 0,
        }
    }

    fn line(&self) -> &'static Line {
        match self {
            Self::Partition { .. } => &partition::LINE,
            Self::Kill { .. } => &kill::LINE,
            Self::Pause { .. } => &pause::LINE,
            Self::SlowLink { .. } => &slow_link::LINE,
            Self::LossyLink { .. } => &lossy_link::LINE,
            Self::FlakyLink { .. } => &flaky_link::LINE,
            Self::PowerLoss { .. } => &power_loss::LINE,
            Self::BitRot { .. } => &bit_rot::LINE,
            Self::DiskStall { .. } => &disk_stall::LINE,
            Self::DiskFail { .. } => &disk_fail::LINE,
            Self::Clock { .. } => &clock::LINE,
            Self::Contest { .. } => &contest::LINE,
            Self::Membership { .. } => &membership::LINE,
            Self::Aimed { .. } => &aimed::LINE,
        }
    }
}

/// The registry, as `tribunal list` prints it: each entry, and where it can be carried out.
pub fn registry() -> impl Iterator<Item = (&'static Entry, Available)> {
    REGISTRY.iter().map(|line| (&line.entry, line.available))
}

impl fmt::Display for Fault {
    /// Writes every parameter, by its name in ascending order, and the target last if it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name())?;
        match *self {
            Self::Partition { kind, mode } => {
                write!(f, "kind={},mode={}", kind.name(), mode.name())?;
            }
            Self::Kill { stay_dead, .. } => write!(f, "stay-dead={},", no_or_yes(stay_dead))?,
            Self::SlowLink { delay_ms, .. } | Self::DiskStall { delay_ms, .. } => {
                write!(f, "delay={delay_ms}ms,")?;
            }
            Self::LossyLink { percent, .. } => write!(f, "percent={percent},")?,
            Self::FlakyLink { duplicate_percent, reorder_ms, .. } => {
                write!(f, "duplicate={duplicate_percent},reorder={reorder_ms}ms,")?;
            }
            Self::PowerLoss { torn, .. } => write!(f, "torn={},", no_or_yes(torn))?,
            Self::Clock { clock, .. } => match clock {
                Clock::Offset { by_ms } | Clock::Jump { by_ms } => {
                    write!(f, "by={by_ms}ms,kind={},", clock.name())?;
                }
                Clock::Rate { percent } => write!(f, "kind=rate,rate={percent},")?,
            },
            Self::Contest { every_ms, .. } => write!(f, "every={every_ms}ms,")?,
            Self::Aimed { phase, deed, percent } => {
                if let Deed::Delay { delay_ms } = deed {
                    write!(f, "delay={delay_ms}ms,")?;
                }
                write!(f, "do={},percent={percent},phase={}", deed.name(), phase.name())?;
            }
            Self::Pause { .. }
            | Self::BitRot { .. }
            | Self::DiskFail { .. }
            | Self::Membership { .. } => {}
        }
        match self.target() {
            Some(target) => write!(f, "target={}", target.name()),
            None => Ok(()),
        }
    }
}

impl FromStr for Fault {
    type Err = SpecError;

    /// Reads a fault of a schedule, in which every parameter that has no default must be fixed.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        match Self::alternatives(&Spec::parse(text)?)?[..] {
            [fault] => Ok(fault),
            _ => Err(SpecError::Grammar {
                text: text.to_owned(),
                why: "a fault of a schedule fixes its kind or target",
            }),
        }
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

impl TryFrom<String> for Fault {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl Target {
    /// Every target, the order in which they are documented.
    pub const ALL: [Self; 5] = [Self::One, Self::Minority, Self::Majority, Self::All, Self::Leader];

    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::All => "all",
            Self::Leader => "leader",
        }
    }

    /// How many of `nodes` nodes it means.
    #[must_use]
    pub fn count(self, nodes: u32) -> u32 {
        match self {
            Self::One | Self::Leader => 1.min(nodes),
            Self::Minority => crate::minority(nodes).max(1).min(nodes),
            Self::Majority => (nodes / 2 + 1).min(nodes),
            Self::All => nodes,
        }
    }

    /// Takes the parameter `target`: the one that is given, or all if none is.
    fn take(params: &mut Params<'_>) -> Result<Vec<Self>, SpecError> {
        params.take_with(
            "target",
            Self::ALL.to_vec(),
            "one of one, minority, majority, all, leader",
            |name| one_or_any(name, &Self::ALL, Self::name),
        )
    }
}

struct Line {
    entry: Entry,
    available: Available,
    /// Every fault that a spec of this name asks for.
    read: fn(&Spec) -> Result<Vec<Fault>, SpecError>,
}

/// The longest delay or jump.
const DURATION_MS_MAX: u64 = 3_600_000;

const REGISTRY: &[Line] = &[
    partition::LINE,
    kill::LINE,
    pause::LINE,
    slow_link::LINE,
    lossy_link::LINE,
    flaky_link::LINE,
    power_loss::LINE,
    bit_rot::LINE,
    disk_stall::LINE,
    disk_fail::LINE,
    clock::LINE,
    contest::LINE,
    membership::LINE,
    aimed::LINE,
];

/// Takes a duration with a default in ms.
fn take_duration_ms(
    params: &mut Params<'_>,
    key: &'static str,
    default_ms: u64,
) -> Result<u64, SpecError> {
    params.take_with(key, default_ms, "a duration from 1ms to 1h, such as 500ms or 2s", |text| {
        duration_ms(text).filter(|&ms| ms <= DURATION_MS_MAX)
    })
}

/// Takes a percentage of at least `min`.
fn take_percent(
    params: &mut Params<'_>,
    key: &'static str,
    default: u32,
    min: u32,
) -> Result<u32, SpecError> {
    params.take_with(key, default, &format!("a number from {min} to 100"), |text| {
        text.parse().ok().filter(|percent| (min..=100).contains(percent))
    })
}

/// Those of `targets` that a run may lose for good.
fn expendable(spec: &Spec, mut targets: Vec<Target>) -> Result<Vec<Target>, SpecError> {
    targets.retain(|target| !matches!(target, Target::Majority | Target::All));
    if targets.is_empty() {
        let expected = "one, minority or leader: a majority has to live without them";
        refuse(spec, "target", expected)?;
    }
    Ok(targets)
}

/// Refuses the parameter `key` if it is given, where another one leaves it without a meaning.
fn refuse(spec: &Spec, key: &str, expected: &str) -> Result<(), SpecError> {
    let Some(value) = spec.params.get(key) else { return Ok(()) };
    Err(SpecError::BadValue {
        name: spec.name.clone(),
        key: key.to_owned(),
        value: value.clone(),
        expected: expected.to_owned(),
    })
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn no_or_yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// The one of `all` whose name is `name`; `any` means all of them.
fn one_or_any<T: Copy>(name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Option<Vec<T>> {
    if name == "any" {
        return Some(all.to_vec());
    }
    all.iter().find(|&&item| name_of(item) == name).map(|&item| vec![item])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternatives(text: &str) -> Result<Vec<Fault>, SpecError> {
        Fault::alternatives(&Spec::parse(text).expect("grammar"))
    }

    /// Every alternative of every name, and one of each with other parameters than the defaults.
    fn all_faults() -> Vec<Fault> {
        let given = [
            "partition:mode=reset",
            "kill:stay-dead=yes,target=one",
            "slow-link:delay=1s",
            "lossy-link:percent=100",
            "flaky-link:duplicate=0,reorder=1ms",
            "power-loss:torn=yes",
            "disk-stall:delay=1h",
            "contest:every=7ms",
            "clock:by=10ms,kind=jump",
            "clock:kind=rate,rate=99",
            "aimed:do=delay,delay=7ms,percent=1,phase=other",
        ];
        let names = registry().map(|(entry, _)| entry.name);
        names.chain(given).flat_map(|text| alternatives(text).expect(text)).collect()
    }

    #[test]
    fn every_fault_reads_back_as_it_is_written() {
        for fault in all_faults() {
            assert_eq!(fault.to_string().parse::<Fault>().expect("its own text"), fault);
        }
    }

    #[test]
    fn a_fault_has_the_name_of_its_line_in_the_registry() {
        for (entry, available) in registry() {
            for fault in alternatives(entry.name).expect(entry.name) {
                assert_eq!((fault.name(), fault.available()), (entry.name, available));
            }
        }
    }

    #[test]
    fn real_processes_suffer_these() {
        let lines = registry().filter(|(_, available)| *available == Available::Everywhere);
        let names: Vec<_> = lines.map(|(entry, _)| entry.name).collect();
        assert_eq!(names, ["partition", "kill", "pause", "membership"]);
    }

    #[test]
    fn what_a_spec_leaves_open_means_all_that_there_is() {
        let counts = [
            ("partition", Partition::ALL.len()),
            ("pause:target=any", 5),
            ("slow-link", 5),
            ("power-loss", 10),
            ("power-loss:torn=yes", 5),
            ("bit-rot", 3),
            ("clock", 20),
            ("clock:kind=rate", 10),
            ("clock:kind=rate,rate=80,target=one", 1),
            ("clock:by=1s", 20),
            // Five phases and five deeds that go with each, and the sixth.
            ("aimed", 26),
            ("aimed:do=drop", 5),
            ("aimed:phase=accepted", 6),
            ("aimed:do=cut-leader", 1),
        ];
        for (text, count) in counts {
            let faults = alternatives(text).expect(text);
            assert_eq!(faults.len(), count, "{text}");
            for (nth, fault) in faults.iter().enumerate() {
                assert!(!faults[..nth].contains(fault), "{text} has {fault} twice");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = [
            ("slow-link:delay=0s", "1ms to 1h"),
            ("slow-link:delay=61m", "1ms to 1h"),
            ("slow-link:delay=500us", "1ms to 1h"),
            ("lossy-link:percent=0", "from 1 to 100"),
            ("lossy-link:percent=101", "from 1 to 100"),
            ("flaky-link:duplicate=-1", "from 0 to 100"),
            ("power-loss:torn=maybe", "yes, no or any"),
            ("bit-rot:target=majority", "a majority has to live"),
            ("bit-rot:target=all", "a majority has to live"),
            ("clock:kind=back", "offset, rate, jump"),
            ("clock:rate=100", "not 100"),
            ("clock:rate=49", "50 to 200"),
            ("clock:rate=201", "50 to 200"),
            ("clock:kind=rate,by=1s", "no `by` beside kind=rate"),
            ("clock:kind=jump,rate=50", "no `rate` beside kind=jump"),
            ("aimed:phase=commit", "prepare, promise"),
            ("aimed:do=crash", "crash-sender"),
            ("aimed:do=drop,delay=1s", "no `delay` without do=delay"),
            ("aimed:do=cut-leader,phase=promise", "phase=accepted where do=cut-leader"),
            ("aimed:target=one", "no parameter `target`"),
        ];
        for (text, expected) in refused {
            let error = alternatives(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn small_systems_cannot_suffer_everything() {
        let fits = |text: &str, nodes| text.parse::<Fault>().expect(text).fits(nodes);
        assert!(!fits("slow-link:target=one", 1) && fits("slow-link:target=one", 2));
        assert!(!fits("aimed:do=cut-leader,phase=accepted", 1));
        assert!(!fits("bit-rot:target=one", 2) && fits("bit-rot:target=one", 3));
        assert!(fits("clock:kind=jump,target=one", 1) && fits("disk-fail:target=all", 1));
    }

    #[test]
    fn a_schedule_may_not_leave_a_fault_open() {
        assert!("partition".parse::<Fault>().is_err());
        assert!("kill:target=one".parse::<Fault>().is_ok());
    }

    #[test]
    fn what_is_unknown_is_refused_with_a_hint() {
        let error = |text: &str| alternatives(text).expect_err("unknown").to_string();
        assert!(error("partitoin").contains("did you mean `partition`?"));
        assert!(error("kill:tagret=one").contains("did you mean `target`?"));
        assert!(error("partition:kind=thirds").contains("expected one of one, halves"));
        assert!(error("kill:stay-dead=yes,target=majority").contains("minority"));
    }
}
