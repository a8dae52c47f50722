//! The links between clients and nodes, cut in the controller's connector.
//!
//! Clients live in the controller, so that no proxy is needed: every HTTP client passes its request through
//! [`ClientGate::pass`]. The cut has the granularity of a request:
//! * *requests cut* (link `0 -> n`), silently: a request that has not begun waits until the link heals or the caller
//!   gives up; dropped then, it never left. One that is under way has left and goes on.
//! * *answers cut* (link `n -> 0`), silently: the request is carried out, and its answer waits until the link heals or the
//!   caller gives up.
//! * *reset*, either link: a new request fails at once and never left; one under way is dropped, which closes its
//!   connection, and may have been carried out.
//!
//! A dead node is none of the gate's business: an open link passes a refused connection on as what it is.

use super::link::{Link, add};
use std::collections::BTreeMap;
use std::future::Future;
use tribunal_nemesis::{CLIENTS, CutMode};

/// The links between the clients and every node.
#[derive(Debug)]
pub struct ClientGate {
    links: BTreeMap<(u32, u32), Link>,
}

/// A cut reset the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection reset by a partition, {}", if *.sent { "after the request was sent" } else { "before the request was sent" })]
pub struct GateReset {
    /// Whether the request may have reached the node.
    pub sent: bool,
}

impl ClientGate {
    /// A gate with every link open to nodes `1..=nodes`.
    #[must_use]
    pub fn new(nodes: u32) -> Self {
        let both = |node| [((CLIENTS, node), Link::new()), ((node, CLIENTS), Link::new())];
        Self { links: (1..=nodes).flat_map(both).collect() }
    }

    /// The directed link; one of its ends is [`CLIENTS`].
    #[must_use]
    pub fn link(&self, from: u32, to: u32) -> Option<&Link> {
        self.links.get(&(from, to))
    }

    /// Carries out `request` to `node` as far as the links let it. `request` is not polled before it may leave: what a
    /// caller has to note just before the first byte leaves belongs into its first lines.
    ///
    /// # Errors
    /// [`GateReset`] if a cut reset it.
    pub async fn pass<T>(
        &self,
        node: u32,
        request: impl Future<Output = T>,
    ) -> Result<T, GateReset> {
        let (Some(to), Some(from)) = (self.link(CLIENTS, node), self.link(node, CLIENTS)) else {
            // A node that the gate does not know cannot be cut off.
            return Ok(request.await);
        };
        open(to, false).await?;
        // Answers that are reset mean connections that are: the request cannot leave either.
        if from.state() == Some(CutMode::Reset) {
            return Err(reset(from, false));
        }
        add(&to.counts.connections, 1);
        let answer = tokio::select! {
            biased;
            answer = request => answer,
            () = is_reset(to) => return Err(reset(to, true)),
            () = is_reset(from) => return Err(reset(from, true)),
        };
        add(&to.counts.bytes_forwarded, 1);
        open(from, true).await?;
        add(&from.counts.bytes_forwarded, 1);
        Ok(answer)
    }
}

/// Waits until the link is open.
async fn open(link: &Link, sent: bool) -> Result<(), GateReset> {
    if link.state().is_none() {
        return Ok(());
    }
    if link.state() == Some(CutMode::Silent) {
        add(&link.counts.bytes_held, 1);
    }
    let _holding = link.holding();
    match link.until(|state| state != Some(CutMode::Silent)).await {
        None => Ok(()),
        Some(_) => Err(reset(link, sent)),
    }
}

async fn is_reset(link: &Link) {
    link.until(|state| state == Some(CutMode::Reset)).await;
}

fn reset(link: &Link, sent: bool) -> GateReset {
    add(&link.counts.connections_reset, 1);
    GateReset { sent }
}
