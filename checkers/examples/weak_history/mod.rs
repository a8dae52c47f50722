//! Causal histories of register transactions, made by replicas that lag: see `generate_weak`.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tribunal_history::{Actor, Event, EventKind, Process, Value};

/// What the history is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many transactions.
    pub(crate) transactions: u64,
    /// Reads and writes of each.
    pub(crate) operations: u64,
    /// How many sessions run at a time.
    pub(crate) sessions: u64,
    /// How many keys.
    pub(crate) keys: u64,
    /// How many of a hundred accesses write.
    pub(crate) writes_percent: u64,
    /// How many transactions a replica may be behind.
    pub(crate) lag: u64,
    /// How many transactions crash, about.
    pub(crate) crashed: u64,
    /// How many violations of causality.
    pub(crate) violations: u64,
    /// Of the generator of random numbers.
    pub(crate) seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            transactions: 100_000,
            operations: 8,
            sessions: 20,
            keys: 1_000,
            writes_percent: 50,
            lag: 50,
            crashed: 0,
            violations: 0,
            seed: 1,
        }
    }
}

impl Plan {
    /// Makes the history, event by event.
    ///
    /// # Errors
    /// The first of `out`.
    pub(crate) fn events<E>(&self, out: &mut impl FnMut(Event) -> Result<(), E>) -> Result<(), E> {
        let mut store = Store::new(self);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut open: Vec<Option<Vec<Access>>> = vec![None; self.sessions as usize];
        let (mut started, mut ended) = (0, 0);
        while ended < self.transactions {
            let session = rng.random_range(0..self.sessions) as usize;
            if let Some(accesses) = open[session].take() {
                let crashes = rng.random_range(0..self.transactions) < self.crashed;
                store.complete(session, accesses, crashes, &mut rng, out)?;
                ended += 1;
                if self.violations > 0
                    && ended * 10 >= self.transactions * 9
                    && store.violations < self.violations
                {
                    store.violate(session, out)?;
                }
            } else if started < self.transactions {
                let accesses = store.plan(&mut rng);
                store.event(session, EventKind::Invoke, &accesses, out)?;
                open[session] = Some(accesses);
                started += 1;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Access {
    writes: bool,
    key: u64,
    value: Option<i64>,
}

/// All committed versions, and how far each replica has come.
struct Store<'a> {
    plan: &'a Plan,
    /// By key: place in the common order, session and value.
    versions: Vec<Vec<(u64, usize, i64)>>,
    committed: u64,
    applied: Vec<u64>,
    process: Vec<u64>,
    next_value: i64,
    index: u64,
    violations: u64,
}

impl<'a> Store<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            versions: vec![Vec::new(); plan.keys as usize],
            committed: 0,
            applied: vec![0; plan.sessions as usize],
            process: (0..plan.sessions).collect(),
            next_value: 0,
            index: 0,
            violations: 0,
        }
    }

    fn plan(&mut self, rng: &mut impl Rng) -> Vec<Access> {
        let access = |_| {
            let writes = rng.random_range(0..100) < self.plan.writes_percent;
            let key = rng.random_range(0..self.plan.keys);
            self.next_value += i64::from(writes);
            Access { writes, key, value: writes.then_some(self.next_value) }
        };
        (0..self.plan.operations).map(access).collect()
    }

    fn complete<E>(
        &mut self,
        session: usize,
        mut accesses: Vec<Access>,
        crashes: bool,
        rng: &mut impl Rng,
        out: &mut impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let behind = rng.random_range(0..=self.plan.lag);
        self.applied[session] = self.applied[session].max(self.committed.saturating_sub(behind));
        for at in 0..accesses.len() {
            let (done, rest) = accesses.split_at_mut(at);
            if !rest[0].writes {
                let own = done.iter().rev().find(|own| own.writes && own.key == rest[0].key);
                rest[0].value =
                    own.map_or_else(|| self.read(session, rest[0].key), |own| own.value);
            }
        }
        if !crashes || rng.random_bool(0.5) {
            self.commit(session, &accesses);
        }
        let kind = if crashes { EventKind::Info } else { EventKind::Ok };
        self.event(session, kind, &accesses, out)?;
        if crashes {
            self.process[session] += self.plan.sessions;
        }
        Ok(())
    }

    fn read(&self, session: usize, key: u64) -> Option<i64> {
        let mut versions = self.versions[key as usize].iter().rev();
        let visible = versions.find(|(at, of, _)| *at < self.applied[session] || *of == session);
        visible.map(|(_, _, value)| *value)
    }

    fn commit(&mut self, session: usize, accesses: &[Access]) {
        for access in accesses.iter().filter(|access| access.writes) {
            let value = access.value.unwrap_or_default();
            self.versions[access.key as usize].push((self.committed, session, value));
        }
        self.committed += 1;
    }

    /// A session writes a key twice, and then reads what it wrote first.
    fn violate<E>(
        &mut self,
        session: usize,
        out: &mut impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        self.violations += 1;
        let first = self.next_value + 1;
        self.next_value += 2;
        for (writes, value) in [(true, first), (true, first + 1), (false, first)] {
            let accesses = vec![Access { writes, key: 0, value: Some(value) }];
            self.event(session, EventKind::Invoke, &accesses, out)?;
            self.commit(session, &accesses);
            self.event(session, EventKind::Ok, &accesses, out)?;
        }
        Ok(())
    }

    fn event<E>(
        &mut self,
        session: usize,
        kind: EventKind,
        accesses: &[Access],
        out: &mut impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let access = |access: &Access| {
            let shown = access.writes || kind == EventKind::Ok;
            let value = access.value.filter(|_| shown).map_or(Value::Nil, Value::Int);
            let f = Value::text(if access.writes { "w" } else { "r" });
            Value::List(vec![f, Value::Int(access.key as i64), value])
        };
        let event = Event {
            index: self.index,
            time: self.index * 10_000,
            process: Actor::Process(Process(self.process[session])),
            kind,
            f: "txn".into(),
            value: Value::List(accesses.iter().map(access).collect()),
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        };
        self.index += 1;
        out(event)
    }
}
