//! Every workload against a store in memory: a sound one is acquitted, one that forgets is convicted.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use tribunal_checkers::{Validity, check_all, worst};
use tribunal_history::{Actor, Event, EventKind, Process, Value};
use tribunal_spec::Spec;
use tribunal_workloads::{
    Completion, Generator, Needs, PHASE_FINAL, PHASE_PROBE, Request, WORKLOADS, Workload, workload,
};

const ALL: Needs = Needs { cas: true, collections: true, transactions: true };
const MS: u64 = 1_000_000;

fn make(spec: &str, threads: u32) -> Box<dyn Workload> {
    workload(&Spec::parse(spec).expect("a spec"), threads, &ALL).expect("a workload")
}

/// A store that executes one request at a time, and forgets the effect of every `forgets`th change.
#[derive(Default)]
struct Store {
    values: BTreeMap<Value, Value>,
    changes: u64,
    forgets: Option<u64>,
}

impl Store {
    fn execute(&mut self, request: &Request) -> Completion {
        let (key, argument) = request.value.as_pair().expect("requests are keyed");
        let held = self.values.get(key).cloned().unwrap_or_default();
        let list = || held.as_list().map(<[Value]>::to_vec).unwrap_or_default();
        let next = match &*request.f {
            "read" => return Completion::Ok(Value::keyed(key.clone(), held)),
            "write" => argument.clone(),
            "cas" => match argument.as_pair() {
                Some((from, to)) if *from == held => to.clone(),
                _ => return Completion::Fail { error: "cas-mismatch".into() },
            },
            "add" => Value::Int(held.as_int().unwrap_or(0) + argument.as_int().expect("a number")),
            "insert" | "append" => {
                let mut list = list();
                list.push(argument.clone());
                Value::List(list)
            }
            other => panic!("no such function: {other}"),
        };
        self.changes += 1;
        if self.forgets.is_none_or(|every| !self.changes.is_multiple_of(every)) {
            self.values.insert(key.clone(), next);
        }
        Completion::Ok(request.value.clone())
    }
}

/// A run of some threads that take turns, one request a millisecond.
struct Run {
    store: Store,
    generators: Vec<Box<dyn Generator>>,
    events: Vec<Event>,
    asked: Vec<(usize, Request, Completion)>,
}

impl Run {
    fn new(workload: &dyn Workload, threads: u32, requests: u64, forgets: Option<u64>) -> Self {
        let mut run = Self {
            store: Store { forgets, ..Store::default() },
            generators: (0..threads).map(|thread| workload.generator(thread, 7)).collect(),
            events: Vec::new(),
            asked: Vec::new(),
        };
        for nth in 0..requests {
            let thread = (nth % u64::from(threads)) as usize;
            let request = run.generators[thread].next(nth * MS);
            let completion = run.ask(thread, &request);
            run.generators[thread].completed(&request, &completion);
            run.asked.push((thread, request, completion));
        }
        for attempt in 0..4 {
            for node in 1..=3 {
                run.ask(0, &workload.probe(node, attempt));
            }
        }
        for request in workload.closing(&run.generators) {
            run.ask(0, &request);
        }
        run
    }

    fn ask(&mut self, thread: usize, request: &Request) -> Completion {
        let completion = self.store.execute(request);
        self.record(thread, EventKind::Invoke, request, request.value.clone());
        match &completion {
            Completion::Ok(value) => self.record(thread, EventKind::Ok, request, value.clone()),
            Completion::Fail { .. } => self.record(thread, EventKind::Fail, request, Value::Nil),
            Completion::Info { .. } => self.record(thread, EventKind::Info, request, Value::Nil),
        }
        completion
    }

    fn record(&mut self, thread: usize, kind: EventKind, request: &Request, value: Value) {
        let index = self.events.len() as u64;
        self.events.push(Event {
            index,
            time: index * MS / 2,
            process: Actor::Process(Process(thread as u64)),
            kind,
            f: request.f.clone(),
            value,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: request.phase.map(Into::into),
        });
    }

    fn keys_asked(&self) -> BTreeSet<Value> {
        self.asked.iter().map(|(_, request, _)| key_of(request)).collect()
    }
}

fn key_of(request: &Request) -> Value {
    request.value.as_pair().expect("requests are keyed").0.clone()
}

fn verdict(workload: &dyn Workload, run: Run) -> Validity {
    let events = run.events.into_iter().map(Ok::<Event, Infallible>);
    worst(&check_all(events, workload.checkers()).expect("a history"))
}

#[test]
fn a_sound_store_is_acquitted_and_a_forgetful_one_convicted() {
    for item in WORKLOADS {
        let workload = make(item.entry.name, 6);
        let sound = Run::new(&*workload, 6, 6000, None);
        assert_eq!(verdict(&*workload, sound), Validity::Valid, "{}", item.entry.name);
        let forgetful = Run::new(&*workload, 6, 6000, Some(500));
        assert_eq!(verdict(&*workload, forgetful), Validity::Invalid, "{}", item.entry.name);
    }
}

#[test]
fn every_key_is_read_at_the_end_once() {
    for item in WORKLOADS {
        let workload = make(item.entry.name, 6);
        let run = Run::new(&*workload, 6, 6000, None);
        let closing = workload.closing(&run.generators);
        assert!(closing.iter().all(|read| read.f == "read" && read.phase == Some(PHASE_FINAL)));
        let closed: BTreeSet<Value> = closing.iter().map(key_of).collect();
        assert_eq!(closed.len(), closing.len());
        let probed = key_of(&workload.probe(1, 0));
        assert_eq!(closed, run.keys_asked().into_iter().chain([probed]).collect());
    }
}

#[test]
fn what_is_written_is_unique() {
    for spec in ["register", "register:value-bytes=16", "set", "append"] {
        let workload = make(spec, 6);
        let run = Run::new(&*workload, 6, 6000, None);
        let probes = (0..50).map(|nth| workload.probe(1 + nth % 5, u64::from(nth / 5)));
        let asked = run.asked.iter().map(|(_, request, _)| request.clone());
        let mut written = BTreeSet::new();
        for request in asked.chain(probes).filter(|request| request.f != "read") {
            let (_, argument) = request.value.as_pair().expect("requests are keyed");
            let value = match argument.as_pair() {
                Some((_, to)) => to,
                None => argument,
            };
            assert!(written.insert(value.clone()), "{spec}: {value} twice");
        }
    }
}

#[test]
fn keys_have_clients_of_one_group_only_and_pass_with_time() {
    for item in WORKLOADS {
        let workload = make(&format!("{}:processes=3", item.entry.name), 8);
        let run = Run::new(&*workload, 8, 8000, None);
        let mut clients: BTreeMap<Value, BTreeSet<usize>> = BTreeMap::new();
        for (thread, request, _) in &run.asked {
            clients.entry(key_of(request)).or_default().insert(*thread);
        }
        assert!(clients.values().all(|clients| clients.len() <= 3), "{}", item.entry.name);
        assert!(clients.values().any(|clients| clients.len() > 1), "{}", item.entry.name);
        // 3 groups in 8 s: lasting keys and those of at least 4 epochs.
        assert!(clients.len() >= 3 * 4, "{}: {}", item.entry.name, clients.len());
    }
}

#[test]
fn collections_stay_small() {
    for name in ["set", "append"] {
        let workload = make(&format!("{name}:elements=4,epoch=10s"), 6);
        let run = Run::new(&*workload, 6, 6000, None);
        let longest = run.store.values.iter().filter(|(key, _)| key.as_text() != Some("probe"));
        let longest = longest.filter_map(|(_, list)| list.as_list()).map(<[Value]>::len).max();
        assert_eq!(longest, Some(4 * 6), "{name}");
    }
}

#[test]
fn each_epoch_begins_at_its_first_key() {
    let workload = make("append:reads=0,elements=4,epoch=10ms", 1);
    let mut generator = workload.generator(0, 1);
    let keys: Vec<Value> = (0..12).map(|nth| key_of(&generator.next(2 * nth * MS))).collect();
    let texts: Vec<&str> = keys.iter().filter_map(Value::as_text).collect();
    assert_eq!(texts[..5], ["g0.e0.0", "g0.e0.0", "g0.e0.0", "g0.e0.0", "g0.e0.1"]);
    assert_eq!(texts[5..10], ["g0.e1.0", "g0.e1.0", "g0.e1.0", "g0.e1.0", "g0.e1.1"]);
}

#[test]
fn a_cas_expects_what_its_thread_saw_or_what_nobody_wrote() {
    let workload = make("register", 6);
    let run = Run::new(&*workload, 6, 12_000, None);
    let mut seen: BTreeSet<(usize, Value, Value)> = BTreeSet::new();
    let mut written: BTreeSet<Value> = [Value::Nil].into();
    let (mut cas, mut wrong, mut succeeded) = (0, 0, 0);
    for (thread, request, completion) in &run.asked {
        let (key, argument) = request.value.as_pair().expect("requests are keyed");
        if let ("cas", Some((from, _))) = (&*request.f, argument.as_pair()) {
            cas += 1;
            if written.contains(from) {
                assert!(seen.contains(&(*thread, key.clone(), from.clone())));
            } else {
                wrong += 1;
                assert!(matches!(completion, Completion::Fail { .. }));
            }
            succeeded += u32::from(matches!(completion, Completion::Ok(_)));
        }
        if let Completion::Ok(result) = completion {
            let (_, value) = result.as_pair().expect("results are keyed");
            let value = value.as_pair().map_or(value, |(_, to)| to).clone();
            seen.insert((*thread, key.clone(), value.clone()));
            written.insert(value);
        }
    }
    assert!((2100..2600).contains(&cas), "{cas} of 12,000 are not about 20 %");
    assert!(wrong * 8 > cas / 4 && wrong * 8 < cas, "{wrong} of {cas} are not about 1 in 16");
    assert!(succeeded * 5 > cas, "{succeeded} of {cas} succeeded: too few to test anything");
}

#[test]
fn without_cas_there_is_none() {
    let spec = Spec::named("register");
    let without = workload(&spec, 2, &Needs::default()).expect("registers need nothing");
    assert!(!without.needs().cas);
    let run = Run::new(&*without, 2, 500, None);
    assert!(run.asked.iter().all(|(_, request, _)| request.f != "cas"));
    assert!(make("register", 2).needs().cas);
}

#[test]
fn a_system_without_collections_is_refused() {
    for name in ["set", "counter", "append"] {
        let error = workload(&Spec::named(name), 2, &Needs::default()).err().expect("refused");
        assert!(error.to_string().contains("does not offer"), "{error}");
        assert!(make(name, 2).needs().collections);
    }
}

#[test]
fn a_seed_repeats_and_threads_differ() {
    for item in WORKLOADS {
        let workload = make(item.entry.name, 2);
        let requests = |thread, seed| -> Vec<Request> {
            let mut generator = workload.generator(thread, seed);
            (0..100).map(|nth| generator.next(nth * MS)).collect()
        };
        assert_eq!(requests(0, 1), requests(0, 1));
        assert_ne!(requests(0, 1), requests(0, 2));
        assert_ne!(requests(0, 1), requests(1, 1));
    }
}

#[test]
fn probes_change_something_and_say_that_they_are_probes() {
    for item in WORKLOADS {
        let probe = make(item.entry.name, 2).probe(3, 0);
        assert_eq!(probe.phase, Some(PHASE_PROBE));
        assert_ne!(probe.f, "read");
    }
}

#[test]
fn the_documented_parameters_are_those_that_are_taken() {
    for item in WORKLOADS {
        for (param, _) in item.entry.params {
            make(&format!("{}:{param}", item.entry.name), 2);
        }
        let spec = Spec::parse(&format!("{}:colour=red", item.entry.name)).expect("a spec");
        let error = workload(&spec, 2, &ALL).err().expect("unknown").to_string();
        for (param, _) in item.entry.params {
            let key = param.split('=').next().expect("a key");
            assert!(error.contains(key), "{error} does not name {key}");
        }
    }
}

#[test]
fn parameters_that_do_not_fit_are_refused() {
    for text in [
        "register:mix=50/50",
        "register:mix=50/50/50",
        "register:value-bytes=8",
        "register:keys=0",
        "register:epoch=0s",
        "set:reads=100",
        "append:elements=0",
        "counter:processes=0",
        "regster",
    ] {
        assert!(workload(&Spec::parse(text).expect("a spec"), 2, &ALL).is_err(), "{text}");
    }
}
