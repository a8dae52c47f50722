//! The order of execution: strongly connected components of the graph of dependencies, dependencies first.
//!
//! Source: R. Tarjan, "Depth-First Search and Linear Graph Algorithms" (1972), without recursion. An instance has an
//! edge to its predecessor in its row, and to the last instance of each other row that it depends on. Linear in the
//! instances visited and their edges, of which each has at most one a row.

use super::log::Log;
use super::message::Instance;

/// What a search finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Components that can be executed one after the other, each in the order of its members' execution.
    pub(super) components: Vec<Vec<Instance>>,
    /// The first instance that was met and is not known to be decided: what depends on it has to wait.
    pub(super) lacks: Option<Instance>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    New,
    /// On Tarjan's stack: when it was found, and the earliest one on the stack that it reaches.
    Open {
        found: u64,
        low: u64,
    },
    Done,
}

/// The search from one instance.
struct Search<'a> {
    log: &'a Log,
    /// By row and number above what is executed.
    marks: Vec<Vec<Mark>>,
    stack: Vec<Instance>,
    /// The path from the root, each with the next row to look at.
    path: Vec<(Instance, usize)>,
    found: u64,
    result: Found,
}

/// The components reachable from `root`, which is decided and not executed.
pub(super) fn components(log: &Log, root: Instance) -> Found {
    let mut search = Search {
        log,
        marks: vec![Vec::new(); log.rows()],
        stack: Vec::new(),
        path: Vec::new(),
        found: 0,
        result: Found::default(),
    };
    search.open(root);
    while let Some((instance, row)) = search.path.pop() {
        if row == log.rows() {
            search.close(instance);
        } else {
            search.path.push((instance, row + 1));
            if !search.follow(instance, row) {
                break;
            }
        }
    }
    search.result
}

impl Search<'_> {
    fn mark(&mut self, instance: Instance) -> &mut Mark {
        let above = instance.number - self.log.executed_in(instance.row()) - 1;
        let index = usize::try_from(above).expect("instances in memory are counted by usize");
        let marks = &mut self.marks[instance.row()];
        if index >= marks.len() {
            marks.resize(index + 1, Mark::New);
        }
        &mut marks[index]
    }

    fn open(&mut self, instance: Instance) {
        self.found += 1;
        *self.mark(instance) = Mark::Open { found: self.found, low: self.found };
        self.stack.push(instance);
        self.path.push((instance, 0));
    }

    fn lower(&mut self, instance: Instance, to: u64) {
        if let Mark::Open { low, .. } = self.mark(instance) {
            *low = to.min(*low);
        }
    }

    /// Follows the edge of `instance` to a row. False if it leads to an instance that is not decided.
    fn follow(&mut self, instance: Instance, row: usize) -> bool {
        let (_, deps) = self.log.decision(instance).expect("only decided instances are opened");
        let own = row == instance.row();
        let number = if own { instance.number - 1 } else { deps.of(row) };
        if number <= self.log.executed_in(row) {
            return true;
        }
        let other = Instance { row: u32::try_from(row).expect("rows are few"), number };
        let mark = *self.mark(other);
        match mark {
            Mark::Done => {}
            Mark::Open { found, .. } => self.lower(instance, found),
            Mark::New if self.log.decision(other).is_some() => self.open(other),
            Mark::New => {
                self.result.lacks = Some(other);
                return false;
            }
        }
        true
    }

    /// Every edge of `instance` was followed.
    fn close(&mut self, instance: Instance) {
        let Mark::Open { found, low } = *self.mark(instance) else {
            unreachable!("{instance} is on the path")
        };
        if let Some((parent, _)) = self.path.last() {
            let parent = *parent;
            self.lower(parent, low);
        }
        if found != low {
            return;
        }
        let mut component = Vec::new();
        while let Some(member) = self.stack.pop() {
            *self.mark(member) = Mark::Done;
            component.push(member);
            if member == instance {
                break;
            }
        }
        component.sort_unstable_by_key(|member| (member.number, member.row));
        self.result.components.push(component);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variants::epaxos::message::{Deps, Payload};

    fn at(row: u32, number: u64) -> Instance {
        Instance { row, number }
    }

    /// A log of three rows with these decisions.
    fn log(decisions: &[(Instance, [u64; 3])]) -> Log {
        let none = Deps::none(3);
        let mut log = Log::starting_after(&none, &none);
        for (instance, numbers) in decisions {
            let mut deps = Deps::none(3);
            numbers.iter().enumerate().for_each(|(row, number)| deps.set(row, *number));
            log.commit(*instance, Payload::NoOp, deps);
        }
        log
    }

    #[test]
    fn dependencies_come_first() {
        let log = log(&[(at(0, 1), [0, 0, 0]), (at(1, 1), [1, 0, 0]), (at(2, 1), [0, 1, 0])]);
        let expected = vec![vec![at(0, 1)], vec![at(1, 1)], vec![at(2, 1)]];
        assert_eq!(components(&log, at(2, 1)), Found { components: expected, lacks: None });
    }

    #[test]
    fn a_cycle_is_one_component_in_the_order_of_numbers() {
        let log = log(&[
            (at(0, 1), [0, 0, 0]),
            (at(0, 2), [1, 1, 0]),
            (at(1, 1), [0, 0, 1]),
            (at(2, 1), [2, 0, 0]),
        ]);
        let cycle = vec![at(1, 1), at(2, 1), at(0, 2)];
        for root in &cycle {
            let found = components(&log, *root);
            assert_eq!(found.components, [vec![at(0, 1)], cycle.clone()], "from {root}");
        }
    }

    #[test]
    fn what_depends_on_an_undecided_instance_waits_and_the_rest_does_not() {
        let log = log(&[(at(0, 1), [0, 0, 0]), (at(1, 1), [1, 0, 1])]);
        let found = components(&log, at(1, 1));
        assert_eq!(found, Found { components: vec![vec![at(0, 1)]], lacks: Some(at(2, 1)) });
    }

    /// An instance of a row waits for all before it, whether or not they interfere.
    #[test]
    fn a_row_is_executed_in_its_order() {
        let log = log(&[(at(0, 2), [1, 0, 0]), (at(1, 1), [2, 0, 0])]);
        assert_eq!(components(&log, at(1, 1)).lacks, Some(at(0, 1)));
    }

    /// Against the definition, on random graphs: members reach each other, and what is reached comes first.
    #[test]
    fn components_are_those_of_the_definition() {
        let mut state = 7u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let mut decisions = Vec::new();
            for row in 0..3 {
                for number in 1..=3 {
                    let mut numbers = [0, 0, 0].map(|_: u64| random(4));
                    numbers[row as usize] = number - 1;
                    decisions.push((at(row, number), numbers));
                }
            }
            let log = log(&decisions);
            let reach = closure(&decisions);
            let Found { components, lacks } = components(&log, at(0, 3));
            assert_eq!(lacks, None);
            let mut done = Vec::new();
            for component in components {
                for one in &component {
                    let all = reach(*one);
                    assert!(component.iter().all(|other| all.contains(other)));
                    assert!(all.iter().all(|other| {
                        done.contains(other)
                            || (component.contains(other) && reach(*other).contains(one))
                    }));
                }
                done.extend(component);
            }
            assert!(reach(at(0, 3)).iter().all(|one| done.contains(one)));
        }
    }

    /// What an instance reaches, itself included, by the definition.
    fn closure(decisions: &[(Instance, [u64; 3])]) -> impl Fn(Instance) -> Vec<Instance> {
        move |from| {
            let mut reached = vec![from];
            let mut next = 0;
            while let Some(one) = reached.get(next).copied() {
                next += 1;
                let (_, numbers) = decisions.iter().find(|(at, _)| *at == one).expect("decided");
                for (row, number) in (0..).zip(numbers) {
                    let other = at(row, *number);
                    if *number > 0 && !reached.contains(&other) {
                        reached.push(other);
                    }
                }
            }
            reached
        }
    }
}
