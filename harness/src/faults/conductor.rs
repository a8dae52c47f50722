//! Carries a schedule out: each fault at its time, until the schedule is over or the run is cut short.

use super::{Faults, Notice};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tribunal_nemesis::{Moment, Schedule, resolve};

/// Carries `schedule` out from `begin` on, and fills in what its targets resolved to.
///
/// `leader` is asked whom the system takes for its leader, just before a fault that is aimed at the leader; it has to
/// answer within a bounded time, as later faults wait for it. `record` hears of every start and end right after it.
/// Returns when the last fault has ended, or soon after `stop` completes; in either case, [`Faults::heal_all`] should
/// follow.
pub async fn conduct<L, F>(
    faults: &mut Faults,
    schedule: &mut Schedule,
    begin: Instant,
    leader: L,
    mut record: impl FnMut(&Notice),
    stop: impl Future<Output = ()>,
) where
    L: Fn() -> F,
    F: Future<Output = Option<u32>>,
{
    tokio::pin!(stop);
    let (seed, nodes) = (schedule.seed, schedule.nodes);
    for (at_ms, moment) in schedule.moments() {
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = sleep_until(begin + Duration::from_millis(at_ms)) => {}
        }
        for notice in faults.finished().await {
            record(&notice);
        }
        match moment {
            Moment::End(id) => {
                if let Some(notice) = faults.end(id).await {
                    record(&notice);
                }
            }
            Moment::Start(nth) => {
                let injection = &mut schedule.injections[nth];
                let resolved = match injection.resolved.take() {
                    Some(resolved) => resolved,
                    None => {
                        let leader =
                            if injection.fault.wants_leader() { leader().await } else { None };
                        resolve(seed, nodes, injection, leader)
                    }
                };
                injection.resolved = Some(resolved.clone());
                record(&faults.start(injection, resolved).await);
            }
        }
    }
}
