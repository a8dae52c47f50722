//! The clients of one of the machine's threads, in a closed or an open loop.

use super::{Asker, Choice, Shared, http_client, own};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::{JoinSet, LocalSet};
use tribunal_workloads::Generator;
use tribunal_workloads::arrival::{Admission, Arrival, Arrivals, Rate, Threads};

/// A client with the requests that it makes.
struct Thread {
    local: u32,
    asker: Asker,
    generator: Box<dyn Generator>,
}

impl Thread {
    async fn operate(&mut self, scheduled: Option<u64>) {
        let request = self.generator.next(self.asker.shared.clock.now_ns());
        match self.asker.ask(&request, Choice::Balanced, scheduled).await {
            Some(completion) => self.generator.completed(&request, &completion),
            None => {
                self.asker.shared.counters.without_session.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// One of the machine's threads that run clients: its number, and how many there are.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// From 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Worker {
    /// The number in the run of its `local`th client.
    fn global(self, local: u32) -> u32 {
        local * self.of + self.number
    }

    /// How many of `count` clients are its own.
    fn share(self, count: u32) -> u32 {
        count / self.of + u32::from(self.number < count % self.of)
    }

    /// Runs its clients until the stop; answers their generators, which know what was touched.
    ///
    /// # Errors
    /// If the runtime or the HTTP client cannot be made.
    pub fn run(self, shared: &Arc<Shared>) -> std::io::Result<Vec<Box<dyn Generator>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = http_client().map_err(std::io::Error::other)?;
        let clients = self.share(shared.plan.clients);
        let clients_max = self.share(shared.plan.clients_max);
        let new = |local| Thread {
            local,
            asker: Asker::new(shared, &http, u64::from(self.global(local))),
            generator: shared.workload.generator(self.global(local), shared.plan.seed),
        };
        let threads = LocalSet::new().block_on(&runtime, async {
            match shared.arrival {
                Arrival::Closed => closed_loop(shared, (0..clients).map(new).collect()).await,
                Arrival::Open { rate, poisson } => {
                    let admission = Threads::new(clients, clients_max);
                    self.open_loop(shared, (rate, poisson), admission, &new).await
                }
            }
        });
        Ok(threads.into_iter().map(|thread| thread.generator).collect())
    }

    /// Every client takes the arrivals that find it free; more clients are started up to the cap.
    async fn open_loop(
        self,
        shared: &Arc<Shared>,
        (rate, poisson): (Rate, bool),
        mut admission: Threads,
        new: &impl Fn(u32) -> Thread,
    ) -> Vec<Thread> {
        let seed = shared.plan.seed_of("arrivals", 0);
        // All workers walk through the same arrivals, and each takes its own.
        let every = Arrivals::new(rate, poisson, seed).skip(self.number as usize);
        let mut arrivals = every.step_by(self.of as usize);
        let start = shared.clock.now_ns();
        let mut free: Vec<Option<Thread>> =
            (0..admission.started()).map(|local| Some(new(local))).collect();
        let mut busy = JoinSet::new();
        let mut due = arrivals.next();
        while let Some(time) = due {
            let scheduled = start.saturating_add(time);
            tokio::select! {
                biased;
                () = shared.stop.raised() => break,
                Some(returned) = busy.join_next() => {
                    let thread: Thread = own(returned);
                    admission.freed(thread.local);
                    let place = thread.local as usize;
                    free[place] = Some(thread);
                }
                () = tokio::time::sleep_until(shared.clock.instant(scheduled)) => {
                    due = arrivals.next();
                    let thread = match admission.arrive() {
                        Admission::Free(local) => free[local as usize].take(),
                        Admission::Started(local) => {
                            free.push(None);
                            Some(new(local))
                        }
                        Admission::Shed => {
                            shared.counters.shed.fetch_add(1, Ordering::Relaxed);
                            None
                        }
                    };
                    if let Some(mut thread) = thread {
                        busy.spawn_local(async move {
                            thread.operate(Some(scheduled)).await;
                            thread
                        });
                    }
                }
            }
        }
        let mut threads: Vec<Thread> = free.into_iter().flatten().collect();
        while let Some(returned) = busy.join_next().await {
            threads.push(own(returned));
        }
        threads.sort_unstable_by_key(|thread| thread.local);
        threads
    }
}

/// Every client asks again as soon as it is answered.
async fn closed_loop(shared: &Arc<Shared>, threads: Vec<Thread>) -> Vec<Thread> {
    let mut busy = JoinSet::new();
    for mut thread in threads {
        let shared = Arc::clone(shared);
        busy.spawn_local(async move {
            while !shared.stop.is_raised() && !shared.recorder.has_failed() {
                thread.operate(None).await;
            }
            thread
        });
    }
    let mut threads = Vec::new();
    while let Some(returned) = busy.join_next().await {
        threads.push(own(returned));
    }
    // The closing reads are made from their generators: in an order of its own, not in that of their ends.
    threads.sort_unstable_by_key(|thread| thread.local);
    threads
}
