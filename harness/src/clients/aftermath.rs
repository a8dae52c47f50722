//! What clients ask after everything was healed: probes that tell whether each node serves, and reads of every key.

use super::{Asker, Choice, PAUSE, READERS, Shared, nanos, own, stride};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tribunal_workloads::{Completion, Generator};

/// Probes every node until it answers or the limit has passed: ordinary operations, recorded as such.
pub async fn probe(shared: &Arc<Shared>, http: &reqwest::Client, nodes: &[u32]) {
    let limit = Duration::from_millis(shared.plan.recover_within_ms);
    let mut probes = JoinSet::new();
    for &node in nodes {
        let shared = Arc::clone(shared);
        let mut asker =
            Asker::new(&shared, http, u64::from(shared.plan.clients_max) + u64::from(node - 1));
        probes.spawn_local(async move {
            let mut deadline = None;
            for attempt in 0.. {
                let began = shared.clock.now_ns();
                let request = shared.workload.probe(node, attempt);
                let completion = asker.ask(&request, Choice::Node(node), None).await;
                // Counted from the end of the first probe, and passed by one that began later: what is recorded of a
                // node that never answers spans the whole limit, and convicts it.
                let first_ended = shared.clock.now_ns();
                let deadline = *deadline.get_or_insert(first_ended.saturating_add(nanos(limit)));
                if matches!(completion, Some(Completion::Ok(_))) || began >= deadline {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    all(probes).await;
}

/// Reads every key that was touched, each at several nodes, by a handful of clients. A read that fails is asked again.
pub async fn close(
    shared: &Arc<Shared>,
    http: &reqwest::Client,
    nodes: &[u32],
    generators: &[Box<dyn Generator>],
) {
    const NODES_EACH: usize = 3;
    const TRIES: u32 = 3;
    let requests = shared.workload.closing(generators);
    let mut reads = Vec::new();
    for (nth, request) in requests.into_iter().enumerate() {
        for offset in 0..NODES_EACH.min(nodes.len()) {
            reads.push((request.clone(), nodes[(nth + offset) % nodes.len()]));
        }
    }
    let reads = Arc::new(Mutex::new(reads.into_iter()));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (shared, reads) = (Arc::clone(shared), Arc::clone(&reads));
        let mut asker = Asker::new(&shared, http, stride(&shared.plan) - 1 - u64::from(reader));
        readers.spawn_local(async move {
            loop {
                let next = reads.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((request, node)) = next else { return };
                for _ in 0..TRIES {
                    let completion = asker.ask(&request, Choice::Node(node), None).await;
                    if matches!(completion, Some(Completion::Ok(_))) {
                        break;
                    }
                }
            }
        });
    }
    all(readers).await;
}

/// Waits for all of them. Dropped before, it ends them: a run that is cut short asks nothing more.
async fn all(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        own(ended);
    }
}
