//! Our own nodes: every variant of `tribunal-protocol`, hosted by this very program as `tribunal node`.

use super::{CONNECTION, Call, Listed, Made, Place, Promise, Status, System, exchange};
use crate::cluster::NodeSpawn;
use crate::mutants::catalogue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tribunal_nodes::NodeConfig;
use tribunal_nodes::api;
use tribunal_protocol as protocol;
use tribunal_protocol::mutants;
use tribunal_protocol::variants::{self, Variant};
use tribunal_sim::translate;
use tribunal_spec::{Entry, Params, Spec, SpecError};
use tribunal_workloads::client::{Certainty, Input};
use tribunal_workloads::{Needs, Request};

/// A system that `tribunal node` hosts, with its parameters, in one run.
pub(super) struct Ours {
    pub(super) name: &'static str,
    pub(super) capabilities: protocol::Capabilities,
    /// Those of the core.
    pub(super) options: BTreeMap<String, String>,
    /// That of the host: see [`NodeConfig::snapshot_entries`].
    pub(super) snapshot_entries: Option<u64>,
    pub(super) run: u64,
}

/// The parameter of the host.
const SNAPSHOT_ENTRIES: &str = "snapshot-entries";

/// Our variants as lines of the registry of systems.
pub(super) fn listed() -> Vec<Listed> {
    let listed = |variant: &'static Variant| Listed {
        entry: Entry { name: variant.name, summary: variant.summary, params: variant.params },
        variant: Some(variant),
    };
    variants::VARIANTS.iter().map(listed).collect()
}

/// Makes the system that `spec` names.
pub(super) fn make(spec: &Spec, run: u64) -> Made {
    let known = listed();
    tribunal_spec::find("system", &spec.name, &known, |one| &one.entry)?;
    let variant = variants::VARIANTS.iter().find(|variant| variant.name == spec.name);
    let Some(variant) = variant else { unreachable!("the name was just found") };
    for (key, value) in &spec.params {
        if key == mutants::OPTION && known_mutant(variant, value)? {
            continue;
        }
        // A parameter is documented as `key=default`.
        let name = |param: &str| param.split('=').next().unwrap_or_default().to_owned();
        if !variant.params.iter().any(|(param, _)| name(param) == *key) {
            return Err(SpecError::UnknownKey {
                name: spec.name.clone(),
                key: key.clone(),
                known: variant.params.iter().map(|(param, _)| name(param)).collect(),
            });
        }
    }
    let snapshot_entries = snapshot_entries(&mut spec.params())?;
    let mut options = spec.params.clone();
    options.remove(SNAPSHOT_ENTRIES);
    let Variant { name, capabilities, .. } = *variant;
    Ok(Arc::new(Ours { name, capabilities, options, snapshot_entries, run }))
}

/// Takes the parameter of the host.
pub(super) fn snapshot_entries(params: &mut Params) -> Result<Option<u64>, SpecError> {
    params.take_with(SNAPSHOT_ENTRIES, None, "a whole number, at least 1", |value| {
        value.parse().ok().filter(|entries| *entries > 0).map(Some)
    })
}

/// Whether the variant has mutants, and this is one of them.
///
/// # Errors
/// If it has some, but not this one: the nearest of them, or the options that put the one of that name in.
fn known_mutant(variant: &Variant, name: &str) -> Result<bool, SpecError> {
    let of_variant = |(system, about)| (system == variant.name).then_some(about);
    let lines: Vec<Entry> =
        variants::mutants().into_iter().filter_map(of_variant).map(line).collect();
    if lines.is_empty() || lines.iter().any(|line| line.name == name) {
        return Ok(!lines.is_empty());
    }
    if let Some(other) = catalogue::all().iter().find(|one| one.name == name) {
        return Err(SpecError::BadValue {
            name: variant.name.to_owned(),
            key: mutants::OPTION.to_owned(),
            value: name.to_owned(),
            expected: format!(
                "a mutant of {}; use this one with `{}`",
                variant.name,
                other.usage()
            ),
        });
    }
    tribunal_spec::find("mutant", name, &lines, |line| line).map(|_| true)
}

fn line(about: &mutants::About) -> Entry {
    Entry { name: about.name, summary: about.mechanism, params: &[] }
}

impl System for Ours {
    fn offers(&self) -> Needs {
        tribunal_sim::execution::needs(&self.capabilities)
    }

    fn has_sessions(&self) -> bool {
        self.capabilities.sessions
    }

    fn has_membership(&self) -> bool {
        self.capabilities.membership
    }

    fn claims_linearizability(&self) -> bool {
        self.capabilities.linearizable
    }

    fn needed(&self, nodes: u32) -> Result<u32, String> {
        let needed = variants::needed(self.name, &self.options, nodes as usize);
        let needed = needed.transpose().map_err(|damaged| damaged.0)?.unwrap_or(0);
        Ok(u32::try_from(needed).unwrap_or(u32::MAX))
    }

    fn spawn(&self, place: &Place) -> io::Result<NodeSpawn> {
        let config = NodeConfig {
            variant: self.name.to_owned(),
            options: self.options.clone(),
            run: self.run,
            node: place.node,
            members: place.members.clone(),
            client: place.client,
            listen: place.listen,
            peers: place.peers.iter().copied().collect(),
            data: place.folder.join("data"),
            seed: place.seed,
            parent: std::process::id(),
            snapshot_entries: self.snapshot_entries,
        };
        let path = place.folder.join("node.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
        Ok(NodeSpawn {
            id: place.node,
            program: place.program.clone(),
            args: vec!["node".into(), "--config".into(), OsString::from(path)],
            env: Vec::new(),
            dir: place.folder.clone(),
        })
    }

    fn open_session<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
        nonce: u64,
    ) -> Promise<'a, Result<u64, Cow<'static, str>>> {
        Box::pin(async move {
            let body = api::SessionRequest { run: self.run, nonce };
            let request = http.post(format!("http://{node}/v1/session")).json(&body);
            match exchange(request).await {
                Ok((200, body)) => serde_json::from_slice::<api::SessionReply>(&body)
                    .map(|reply| reply.session.0)
                    .map_err(|_| Cow::Borrowed("malformed-answer")),
                Ok((_, body)) => {
                    Err(error_of(&body)
                        .map_or(Cow::Borrowed("malformed-answer"), |reply| reply.error))
                }
                Err(_) => Err(Cow::Borrowed(CONNECTION)),
            }
        })
    }

    fn call<'a>(&'a self, http: &'a reqwest::Client, call: Call<'a>) -> Promise<'a, Input> {
        Box::pin(async move {
            let Some(operation) = translate::operation(call.request) else {
                let error = Cow::Borrowed("not-an-operation-of-our-nodes");
                return Input::Failed { error, certainty: Certainty::Request };
            };
            let command = protocol::Command {
                session: protocol::SessionId(call.session),
                sequence: call.sequence,
                watermark: call.watermark,
                operations: vec![operation],
            };
            let body = api::ExecuteRequest::new(self.run, command);
            let request = http.post(format!("http://{}/v1/execute", call.node)).json(&body);
            match exchange(request).await {
                Ok((200, body)) => results(call.request, &body),
                Ok((_, body)) => match error_of(&body) {
                    Some(reply) => translate::failed(reply.error, reply.certainty),
                    None => Input::Garbled,
                },
                Err(input) => input,
            }
        })
    }

    fn change_membership<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
        member: u32,
        is_member: bool,
    ) -> Promise<'a, bool> {
        Box::pin(async move {
            let member = protocol::NodeId(member);
            let admin = match is_member {
                true => protocol::Admin::Add(member),
                false => protocol::Admin::Remove(member),
            };
            let body = api::AdminRequest { run: self.run, admin };
            let request = http.post(format!("http://{node}/v1/admin")).json(&body);
            matches!(exchange(request).await, Ok((200, _)))
        })
    }

    fn status<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
    ) -> Promise<'a, Option<Status>> {
        Box::pin(async move {
            let (_, body) = exchange(http.get(format!("http://{node}/status"))).await.ok()?;
            let status: api::Status = serde_json::from_slice(&body).ok()?;
            Some(Status {
                role: status.role.to_string(),
                ballot: status.ballot,
                incarnation: status.incarnation,
            })
        })
    }

    fn metrics<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
    ) -> Promise<'a, Option<String>> {
        Box::pin(async move {
            let (_, body) = exchange(http.get(format!("http://{node}/metrics"))).await.ok()?;
            String::from_utf8(body.to_vec()).ok()
        })
    }
}

/// What became of an attempt whose results came back in this body.
fn results(request: &Request, body: &[u8]) -> Input {
    match serde_json::from_slice::<api::ExecuteReply>(body) {
        Ok(reply) => translate::results(request, &reply.results),
        Err(_) => Input::Garbled,
    }
}

fn error_of(body: &[u8]) -> Option<api::ErrorReply> {
    serde_json::from_slice(body).ok()
}
