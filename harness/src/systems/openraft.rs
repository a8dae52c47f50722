//! The library `openraft`, hosted by this very program as `tribunal node`: it speaks as our own nodes do, and is no core.

use super::ours::{self, Ours};
use super::{Listed, Made};
use std::collections::BTreeMap;
use std::sync::Arc;
use tribunal_nodes::openraft::{CAPABILITIES, NAME};
use tribunal_spec::{Entry, Spec};

/// As a line of the registry of systems.
pub(super) fn listed() -> Vec<Listed> {
    let entry = Entry {
        name: NAME,
        summary: "Raft of the crate openraft, on our disk, transport and state machine; \
                  for processes only",
        params: &[(
            "snapshot-entries=20000",
            "committed entries after which a node takes a snapshot and drops its log before it",
        )],
    };
    vec![Listed { entry, variant: None }]
}

/// Makes the system that `spec` names.
pub(super) fn make(spec: &Spec, run: u64) -> Made {
    let mut params = spec.params();
    let snapshot_entries = ours::snapshot_entries(&mut params)?;
    params.finish()?;
    let options = BTreeMap::new();
    Ok(Arc::new(Ours { name: NAME, capabilities: CAPABILITIES, options, snapshot_entries, run }))
}
