//! The general engine against the definition of linearizability, under every model, on random small histories.
//!
//! The oracle tries all orders and knows only the model's `init` and `step`. So what a model says of itself to the
//! engine (`nature`, `may_matter`) is held against its step too. 1,500 histories a model by default;
//! `TRIBUNAL_ORACLE_HISTORIES` asks for another number.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Debug;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::wgl::{Answer, Interval, Strategy, search_by};
use tribunal_checkers::models::append_list::ListOp;
use tribunal_checkers::models::counter::CounterOp;
use tribunal_checkers::models::kv::KvOp;
use tribunal_checkers::models::multi_register::Access;
use tribunal_checkers::models::mutex::MutexOp;
use tribunal_checkers::models::owner_mutex::OwnerMutexOp;
use tribunal_checkers::models::porcupine_etcd::EtcdOp;
use tribunal_checkers::models::register::RegisterOp;
use tribunal_checkers::models::set::SetOp;
use tribunal_checkers::models::{
    AppendList, Counter, GrowSet, Kv, Model, MultiRegister, Mutex, OwnerMutex, PorcupineEtcd,
    Register,
};
use tribunal_history::Value;

#[test]
fn registers() {
    let value = |rng: &mut ChaCha8Rng| Value::Int(rng.random_range(0..3));
    agrees(&Register::default(), |rng| match rng.random_range(0..10) {
        0..4 => RegisterOp::Read(value(rng)),
        4..7 => RegisterOp::Write(value(rng)),
        _ => RegisterOp::Cas(value(rng), value(rng)),
    });
    agrees(&PorcupineEtcd, |rng| match rng.random_range(0..10) {
        0..3 => EtcdOp::Read(value(rng)),
        3..6 => EtcdOp::Write(value(rng)),
        6..8 => EtcdOp::Mismatch(value(rng)),
        _ => EtcdOp::Cas(value(rng), value(rng)),
    });
}

#[test]
fn several_registers() {
    agrees(&MultiRegister, |rng| {
        let steps = rng.random_range(1..=2);
        let access = |_| {
            let (key, value) = (rng.random_range(0..2).into(), rng.random_range(0..2).into());
            match rng.random_range(0..5) {
                0 => Access::Read(key, None),
                1 | 2 => Access::Read(key, Some(value)),
                _ => Access::Write(key, value),
            }
        };
        (0..steps).map(access).collect()
    });
}

#[test]
fn texts() {
    const TEXTS: [&str; 7] = ["", "a", "b", "aa", "ab", "ba", "bb"];
    agrees(&Kv, |rng| match rng.random_range(0..10) {
        0..5 => KvOp::Get(TEXTS[rng.random_range(0..TEXTS.len())].into()),
        5..7 => KvOp::Put(TEXTS[rng.random_range(0..3)].into()),
        _ => KvOp::Append(TEXTS[rng.random_range(1..3)].into()),
    });
}

#[test]
fn locks() {
    agrees(&Mutex, |rng| if rng.random() { MutexOp::Acquire } else { MutexOp::Release });
    agrees(&OwnerMutex, |rng| {
        let owner = Value::Int(rng.random_range(0..2));
        if rng.random() { OwnerMutexOp::Acquire(owner) } else { OwnerMutexOp::Release(owner) }
    });
}

#[test]
fn collections() {
    agrees(&Counter, |rng| match rng.random_range(0..2) {
        0 => CounterOp::Read(rng.random_range(0..4)),
        _ => CounterOp::Add(rng.random_range(-1..=2)),
    });
    agrees(&GrowSet, |rng| match rng.random_range(0..2) {
        0 => SetOp::Read(some(rng).into_iter().collect()),
        _ => SetOp::Add(rng.random_range(0..3).into()),
    });
    agrees(&AppendList, |rng| match rng.random_range(0..2) {
        0 => ListOp::Read(some(rng)),
        _ => ListOp::Append(rng.random_range(0..2).into()),
    });
}

fn some(rng: &mut impl Rng) -> Vec<Value> {
    let count = rng.random_range(0..3);
    (0..count).map(|_| rng.random_range(0..2).into()).collect()
}

/// Both searches answer as the definition does, on histories that are linearizable and on others.
fn agrees<M: Model>(model: &M, mut random: impl FnMut(&mut ChaCha8Rng) -> M::Op)
where
    M::Op: Debug,
{
    let (mut valid, mut invalid) = (0, 0);
    for seed in 0..histories() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let history = history(model, &mut rng, &mut random);
        let mut rest: Vec<&Interval<M::Op>> = history.iter().collect();
        let expected = some_order(model, &mut rest, &model.init());
        for strategy in [Strategy::Depth, Strategy::Breadth] {
            let deadline = Instant::now() + Duration::from_secs(600);
            let answer = search_by(strategy, model, &history, deadline, 1 << 30);
            let context = || format!("seed {seed}, {strategy:?}: {answer:?}\n{history:#?}");
            assert!(!matches!(answer, Answer::Unknown { .. }), "{}", context());
            assert_eq!(answer == Answer::Linearizable, expected, "{}", context());
        }
        *(if expected { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid * 10 > invalid && invalid * 10 > valid, "lopsided: {valid}, not {invalid}");
}

/// Up to nine operations that took effect in some order, of which some crashed and one may be replaced by another.
fn history<M: Model>(
    model: &M,
    rng: &mut ChaCha8Rng,
    random: &mut impl FnMut(&mut ChaCha8Rng) -> M::Op,
) -> Vec<Interval<M::Op>> {
    let length = rng.random_range(1..=9);
    let crashes = [0.0, 0.2, 0.5][rng.random_range(0..3)];
    let spread = [1, 30, 100][rng.random_range(0..3)];
    let mut state = model.init();
    let mut history = Vec::new();
    for point in (0..).map(|nth| 200 + 10 * nth).take(length) {
        let mut op = random(rng);
        for _ in 0..50 {
            if model.step(&state, &op).is_some() {
                break;
            }
            op = random(rng);
        }
        let crashed = rng.random_bool(crashes);
        if !crashed || rng.random() {
            state = model.step(&state, &op).unwrap_or(state);
        }
        let call = point - rng.random_range(1..=spread);
        let end = (!crashed).then(|| point + rng.random_range(1..=spread));
        history.push(Interval { op, call, end });
    }
    if rng.random() {
        let nth = rng.random_range(0..length);
        history[nth].op = random(rng);
    }
    history
}

/// Whether the operations can follow `state` in some order that keeps real time; crashed ones may be dropped.
fn some_order<M: Model>(model: &M, rest: &mut Vec<&Interval<M::Op>>, state: &M::State) -> bool {
    if rest.iter().all(|interval| interval.end.is_none()) {
        return true;
    }
    for nth in 0..rest.len() {
        let next = rest[nth];
        let first = rest.iter().all(|other| other.end.is_none_or(|end| end >= next.call));
        let Some(after) = first.then(|| model.step(state, &next.op)).flatten() else { continue };
        rest.remove(nth);
        let found = some_order(model, rest, &after);
        rest.insert(nth, next);
        if found {
            return true;
        }
    }
    false
}

fn histories() -> u64 {
    let asked = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok();
    asked.map_or(1_500, |number| number.parse().expect("a number of histories"))
}
