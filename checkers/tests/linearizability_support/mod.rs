//! The definition of linearizability as an exhaustive search, for registers.
//!
//! Herlihy and Wing (1990), definition 2: complete some of the pending operations, drop the others, and find a legal sequential
//! order that keeps the order of operations that do not overlap.

use std::collections::BTreeMap;
use tribunal_checkers::linearizability::Linearizable;
use tribunal_checkers::{Checker, Verdict};
use tribunal_history::{Operation, Outcome, Value};

/// Operations in the order of their completion, as checkers get them.
pub(crate) type History = Vec<Operation>;

/// What the checker says, given the operations in any order.
pub(crate) fn check(history: &History) -> Verdict {
    let mut checker = Box::new(Linearizable::default());
    history.iter().for_each(|operation| checker.operation(operation));
    checker.finish()
}

/// The definition, key by key.
pub(crate) fn linearizable(history: &[Operation]) -> bool {
    let mut keys: BTreeMap<&Value, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        let (key, _) = operation.input.as_pair().expect("keyed");
        keys.entry(key).or_default().push(operation);
    }
    keys.into_values().all(|operations| {
        let mut rest: Vec<&Operation> =
            operations.into_iter().filter(|operation| operation.outcome != Outcome::Fail).collect();
        some_order(&mut rest, &Value::Nil)
    })
}

/// Whether the operations can follow `state` in some order that keeps real time.
fn some_order(rest: &mut Vec<&Operation>, state: &Value) -> bool {
    // Those that crashed may be dropped, all at any point.
    if rest.iter().all(|operation| operation.outcome == Outcome::Info) {
        return true;
    }
    for nth in 0..rest.len() {
        let next = rest[nth];
        let first = rest
            .iter()
            .all(|other| other.returned().is_none_or(|returned| returned.index > next.call.index));
        let Some(after) = first.then(|| apply(next, state)).flatten() else { continue };
        rest.remove(nth);
        let found = some_order(rest, &after);
        rest.insert(nth, next);
        if found {
            return true;
        }
    }
    false
}

/// The register after the operation; `None` if it could not have had its result.
pub(crate) fn apply(operation: &Operation, state: &Value) -> Option<Value> {
    let (_, argument) = operation.input.as_pair().expect("keyed");
    match &*operation.f {
        "write" => Some(argument.clone()),
        "cas" => {
            let (from, to) = argument.as_pair().expect("from and to");
            (from == state).then(|| to.clone())
        }
        _ if operation.outcome == Outcome::Info => Some(state.clone()),
        _ => {
            let (_, read) = operation.output.as_pair().expect("keyed");
            (read == state).then(|| state.clone())
        }
    }
}

/// A witness with the writers of all that is read or expected in it, transitively. Leaving out the rest of a linearizable
/// history would leave a linearizable one (struck-out reads matter to nobody, nor do writes that nobody sees), so if
/// this is not linearizable, the history was not.
pub(crate) fn closure(witness: &[Operation], history: &History) -> History {
    let mut closed: History = witness.to_vec();
    let mut nth = 0;
    while nth < closed.len() {
        let seen = observed(&closed[nth]);
        let key = key(&closed[nth]).clone();
        for writer in history.iter().filter(|operation| *self::key(operation) == key) {
            let call = writer.call;
            let known = closed.iter().any(|operation| operation.call == call);
            if written(writer).is_some() && written(writer) == seen && !known {
                closed.push(writer.clone());
            }
        }
        nth += 1;
    }
    closed
}

pub(crate) fn key(operation: &Operation) -> &Value {
    operation.input.as_pair().expect("keyed").0
}

fn written(operation: &Operation) -> Option<Value> {
    let (_, argument) = operation.input.as_pair().expect("keyed");
    match &*operation.f {
        "write" => Some(argument.clone()),
        "cas" => Some(argument.as_pair().expect("from and to").1.clone()),
        _ => None,
    }
}

fn observed(operation: &Operation) -> Option<Value> {
    let (_, argument) = operation.input.as_pair().expect("keyed");
    match &*operation.f {
        "read" => operation.output.as_pair().map(|(_, value)| value.clone()),
        "cas" => Some(argument.as_pair().expect("from and to").0.clone()),
        _ => None,
    }
}
