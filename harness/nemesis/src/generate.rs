//! Makes a schedule from a seed.
//!
//! ```text
//! 0      lead-in       fault   gap  fault and fault      long gap       fault      margin   duration
//! |--------------------[=====]----[=======]--------------------------[========]-----------|
//!                                     [========]
//! ```
//! * A quiet lead-in lets the system start, a quiet margin lets it heal before clients stop.
//! * Specs take turns: each round deals every spec once, in an order drawn anew; a spec that leaves its kind or target
//!   open rotates through its alternatives, in an order drawn once.
//! * Every other window is joined by a second fault that overlaps it. Once every spec had its turn, one gap in two is
//!   long enough that availability without faults is judged.
//! * Every spec occurs at least once: while turns of the first round are left, windows shrink to fit. At a pace that
//!   does not ask for it, this holds as long as the run has room for all.
//! * How long windows and gaps are is a matter of [`Pace`]: seconds with real processes, less in the simulator.
//! * A permanent fault lasts to the end of the run; no more of them are dealt than a minority.

use crate::faults::{Fault, Target};
use crate::schedule::{Injection, Schedule, ScheduleError, VERSION};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use tribunal_spec::Spec;

/// How dense a schedule is. All times are in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nothing happens before, if the run is long enough.
    pub lead_in_ms: u64,
    /// Nothing happens in this time before the end, if the run is long enough.
    pub margin_ms: u64,
    /// The shortest window in a run that is long enough, and the longest window.
    pub window_ms: (u64, u64),
    /// Short gaps, within which a system has hardly recovered, from the shortest to the longest.
    pub gap_ms: (u64, u64),
    /// Long gaps.
    pub long_gap_ms: (u64, u64),
    /// The shortest time in which a spec can have its turn; below it, a fault would hardly bite.
    pub turn_ms_min: u64,
    /// Whether every spec has to occur. If so, a run that is too short is refused; if not, it has those that fit.
    pub every_spec: bool,
}

impl Pace {
    /// For real processes, which need seconds to elect a leader and to start.
    pub const REAL: Self = Self {
        lead_in_ms: 2_000,
        margin_ms: 2_500,
        window_ms: (2_000, 5_000),
        gap_ms: (300, 1_200),
        long_gap_ms: (4_200, 5_000),
        turn_ms_min: 500,
        every_spec: true,
    };

    /// For real processes, as fast as they can follow: windows of one to three elections, and as many as fit.
    pub const DENSE: Self = Self {
        lead_in_ms: 1_500,
        margin_ms: 2_500,
        window_ms: (500, 1_800),
        gap_ms: (100, 500),
        long_gap_ms: (1_000, 2_000),
        turn_ms_min: 500,
        every_spec: true,
    };

    /// For the simulator, in which a second is long and the next seed is cheap. Its runs are shorter than the time
    /// after which availability is judged in real runs, so its long gaps are only long enough to recover in.
    pub const SIM: Self = Self {
        lead_in_ms: 300,
        margin_ms: 300,
        window_ms: (100, 900),
        gap_ms: (20, 300),
        long_gap_ms: (500, 900),
        turn_ms_min: 300,
        every_spec: false,
    };
}

/// The faults of a run of `duration_ms` with real processes, on nodes `1..=nodes`. Empty if `specs` is.
///
/// # Errors
/// [`ScheduleError`] if a spec is unknown, impossible with so few nodes, or the run too short for all of them.
pub fn generate(
    seed: u64,
    nodes: u32,
    duration_ms: u64,
    specs: &[Spec],
) -> Result<Schedule, ScheduleError> {
    generate_paced(seed, nodes, duration_ms, specs, &Pace::REAL)
}

/// As [`generate`], at any pace.
///
/// # Errors
/// [`ScheduleError`] if a spec is unknown or impossible with so few nodes, or if every spec has to occur and the run is too
/// short for that.
pub fn generate_paced(
    seed: u64,
    nodes: u32,
    duration_ms: u64,
    specs: &[Spec],
    pace: &Pace,
) -> Result<Schedule, ScheduleError> {
    let mut generator = crate::generator(seed, 0);
    let mut deal = Deal::new(nodes, specs, &mut generator)?;
    let lead_in_ms = pace.lead_in_ms.min(duration_ms / 8);
    let end_ms = duration_ms - pace.margin_ms.min(duration_ms / 6);
    let needed_ms = pace.turn_ms_min * specs.len() as u64;
    if end_ms - lead_in_ms < needed_ms {
        if pace.every_spec {
            return Err(ScheduleError::TooShort {
                asked: specs.len(),
                duration_ms,
                needed_ms: needed_ms * 3 / 2 + 1,
            });
        }
        deal.first_round_left = 0;
    }
    let mut maker = Maker { generator, deal, pace, duration_ms, end_ms, injections: Vec::new() };
    maker.fill(lead_in_ms);
    let mut injections = maker.injections;
    injections.sort_by_key(|injection| (injection.at_ms, injection.id));
    let schedule = Schedule { version: VERSION, seed, nodes, duration_ms, injections };
    schedule.check()?;
    Ok(schedule)
}

struct Maker<'a> {
    generator: ChaCha8Rng,
    deal: Deal,
    pace: &'a Pace,
    duration_ms: u64,
    /// Every window but a permanent fault's ends by then.
    end_ms: u64,
    injections: Vec<Injection>,
}

impl Maker<'_> {
    fn fill(&mut self, lead_in_ms: u64) {
        let mut now_ms = lead_in_ms;
        let mut gap_is_long = false;
        for slot in 0_u32.. {
            let Some(bounds) = self.bounds(now_ms) else { return };
            let Some(fault) = self.deal.next(&mut self.generator) else { return };
            let first_end_ms = now_ms + self.draw(bounds.window_min_ms, bounds.window_max_ms);
            self.add(fault, now_ms, first_end_ms);
            let over_ms = match slot % 2 {
                0 => first_end_ms,
                _ => self.overlap(now_ms, first_end_ms, &bounds),
            };
            let in_first_round = self.deal.first_round_left > 0;
            gap_is_long = !in_first_round && !gap_is_long;
            let (gap_min_ms, gap_max_ms) =
                if gap_is_long { self.pace.long_gap_ms } else { self.pace.gap_ms };
            let gap_ms = self.draw(gap_min_ms, gap_max_ms);
            now_ms = over_ms + if in_first_round { gap_ms.min(bounds.gap_max_ms) } else { gap_ms };
        }
    }

    /// How long a window may be that starts now; `None` if there is no room. While turns of the first round are left,
    /// each has an equal share of what time is left: three quarters for its window, one for the gap.
    fn bounds(&self, now_ms: u64) -> Option<Bounds> {
        let left_ms = self.end_ms.saturating_sub(now_ms);
        let turns = self.deal.first_round_left;
        let (window_min_ms, window_max_ms) = self.pace.window_ms;
        if turns == 0 {
            return (left_ms >= window_min_ms).then_some(Bounds {
                window_min_ms,
                window_max_ms: window_max_ms.min(left_ms),
                gap_max_ms: self.pace.gap_ms.1,
            });
        }
        let share_ms = left_ms / turns as u64;
        let window_max_ms = window_max_ms.min(share_ms * 3 / 4);
        Some(Bounds {
            window_min_ms: window_min_ms.min(window_max_ms),
            window_max_ms,
            gap_max_ms: share_ms / 4,
        })
    }

    /// Adds a second fault that starts within the first and may outlast it, but not two turns of the first round; the two
    /// change places if the second would find nothing to act upon. Answers when both are over.
    fn overlap(&mut self, start_ms: u64, first_end_ms: u64, bounds: &Bounds) -> u64 {
        let window_ms = first_end_ms - start_ms;
        let at_ms = start_ms + self.draw(window_ms / 4, window_ms * 3 / 4);
        let longest_ms = self.end_ms.saturating_sub(at_ms).min(bounds.window_max_ms);
        if longest_ms < bounds.window_min_ms {
            return first_end_ms;
        }
        let Some(mut fault) = self.deal.next(&mut self.generator) else { return first_end_ms };
        let until_ms = at_ms + self.draw(bounds.window_min_ms, longest_ms);
        if let Some(first) = self.injections.pop_if(|first| leaves_nothing_to(first.fault, fault)) {
            self.add(fault, start_ms, first_end_ms);
            fault = first.fault;
        }
        self.add(fault, at_ms, until_ms);
        first_end_ms.max(until_ms)
    }

    fn add(&mut self, fault: Fault, at_ms: u64, until_ms: u64) {
        let id = u32::try_from(self.injections.len()).unwrap_or(u32::MAX);
        let until_ms = if fault.is_permanent() { self.duration_ms } else { until_ms };
        self.injections.push(Injection { id, at_ms, until_ms, fault, resolved: None });
    }

    /// A number of `min..=max`.
    fn draw(&mut self, min: u64, max: u64) -> u64 {
        self.generator.random_range(min..=max.max(min))
    }
}

/// Whether the second fault could find nothing to act upon if it starts while the first is in effect: no process to
/// act on, no node that syncs, or none that sends anything over a link. A fault that never bites makes a verdict
/// unknown, so the maker lets the second of such a pair come first; a schedule written by hand may hold them in any
/// order. One of the two orders has to do: a failing disk may follow a pause of all nodes, as it waits for the next
/// sync.
fn leaves_nothing_to(first: Fault, second: Fault) -> bool {
    let stops_all = first.stops_nodes() && first.target() == Some(Target::All);
    if first.ends_nodes() {
        let wants_running = matches!(
            second,
            Fault::Pause { .. }
                | Fault::DiskStall { .. }
                | Fault::Clock { .. }
                | Fault::Contest { .. }
        );
        return wants_running || stops_all && (second.ends_nodes() || second.acts_on_links());
    }
    stops_all
        && (matches!(second, Fault::DiskStall { .. } | Fault::Contest { .. })
            || second.acts_on_links())
}

struct Bounds {
    window_min_ms: u64,
    window_max_ms: u64,
    gap_max_ms: u64,
}

/// Deals faults: every spec once a round, rotating through what each leaves open.
struct Deal {
    nodes: u32,
    /// By spec, its alternatives; the next one stands first.
    rotations: Vec<VecDeque<Fault>>,
    /// The specs whose turn is still to come in this round.
    round: VecDeque<usize>,
    first_round_left: usize,
    /// How many nodes may still be killed for good.
    expendable: u32,
}

impl Deal {
    fn new(nodes: u32, specs: &[Spec], generator: &mut ChaCha8Rng) -> Result<Self, ScheduleError> {
        let mut rotations = Vec::new();
        for spec in specs {
            let mut faults = Fault::alternatives(spec)?;
            faults.retain(|fault| fault.fits(nodes));
            if faults.is_empty() {
                return Err(ScheduleError::TooFewNodes { spec: spec.to_string(), nodes });
            }
            faults.shuffle(generator);
            rotations.push(VecDeque::from(faults));
        }
        let all = || rotations.iter().flatten();
        let needs_everyone = all().any(Fault::needs_everyone_back);
        let loses_always =
            |faults: &VecDeque<Fault>| faults.iter().all(|fault| fault.is_permanent());
        if needs_everyone && rotations.iter().any(loses_always) {
            return Err(ScheduleError::MembersLost);
        }
        let first_round_left = rotations.len();
        let expendable = if needs_everyone { 0 } else { crate::minority(nodes) };
        Ok(Self { nodes, rotations, round: VecDeque::new(), first_round_left, expendable })
    }

    /// The next fault; `None` if every spec asks for nodes that may not be lost.
    fn next(&mut self, generator: &mut ChaCha8Rng) -> Option<Fault> {
        if self.round.is_empty() {
            self.begin_round(generator);
        }
        let rotation = &mut self.rotations[self.round.pop_front()?];
        self.first_round_left = self.first_round_left.saturating_sub(1);
        // `begin_round` saw that one is affordable, and a spec has one turn a round; another spec may have spent since.
        let affordable = |fault: &Fault| fault.lost_for_good(self.nodes) <= self.expendable;
        let Some(place) = rotation.iter().position(affordable) else {
            return self.next(generator);
        };
        let fault = rotation.remove(place)?;
        rotation.push_back(fault);
        self.expendable -= fault.lost_for_good(self.nodes);
        Some(fault)
    }

    fn begin_round(&mut self, generator: &mut ChaCha8Rng) {
        let affordable = |fault: &Fault| fault.lost_for_good(self.nodes) <= self.expendable;
        let mut specs: Vec<usize> = (0..self.rotations.len())
            .filter(|&spec| self.rotations[spec].iter().any(affordable))
            .collect();
        specs.shuffle(generator);
        self.round = specs.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_faults_can_overlap_in_one_of_the_two_orders() {
        let names = crate::registry().map(|(entry, _)| Spec::named(entry.name));
        let all: Vec<Fault> =
            names.flat_map(|spec| Fault::alternatives(&spec).expect("known")).collect();
        let ends_all = |fault: Fault| fault.ends_nodes() && fault.target() == Some(Target::All);
        for &a in &all {
            for &b in &all {
                let either = !leaves_nothing_to(a, b) || !leaves_nothing_to(b, a);
                assert_eq!(either, !(ends_all(a) && ends_all(b)), "{a} and {b}");
            }
        }
    }
}
