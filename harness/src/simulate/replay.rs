//! One simulated execution as the folder of a run: the files that a real run leaves, so that the same judge and the same
//! report read them, and beside them the plan of the simulation and every message.
//!
//! Invariant: the folder is judged as the execution was. If the files said something else than the simulator, a
//! conviction could not be looked into, so that is a failure of the harness.

use super::breach::{self, Breach};
use super::{execute, keep_to_this_thread, plan_file};
use crate::cluster::Program;
use crate::environment::{Environment, Simulated};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::judge::{self, Judged};
use crate::load::Health;
use crate::plan::{Links, Plan};
use crate::report;
use std::collections::BTreeSet;
use std::path::Path;
use tribunal_checkers::Validity;
use tribunal_history::{Event, jsonl};
use tribunal_sim::diagram::Diagram;
use tribunal_sim::trace::Trace;
use tribunal_sim::{Options, Outcome};

/// The messages, one a line.
const TRACE: &str = "trace.jsonl";

/// An execution to be repeated.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its plan.
    pub plan: tribunal_sim::Plan,
    /// Whether invariants are left out.
    pub black_box: bool,
    /// The command that repeats it; `None` if only the plan does.
    pub command: Option<String>,
}

impl Replay {
    /// Executes the plan and writes, judges and reports its folder below `out`.
    ///
    /// # Errors
    /// If the plan cannot be run, the simulator fails, or a file cannot be written.
    pub fn perform(&self, out: &Path) -> Result<(Folder, Judged), Failure> {
        super::check(&self.plan)?;
        let outcome = self.execute()?;
        let plan = self.plan_of_run();
        let folder = Folder::create(out, &plan)?;
        folder.write_json("plan.json", &plan)?;
        folder.write_json(plan_file::FILE, &self.plan)?;
        folder.write_json("schedule.json", &outcome.schedule)?;
        folder.write("history.jsonl", &history(outcome.history.as_deref().unwrap_or_default())?)?;
        folder.write(TRACE, &trace(outcome.trace.as_ref())?)?;
        folder.write_json("environment.json", &self.environment(&folder, &outcome))?;
        folder.write_json("health.json", &health(&outcome))?;
        if let Some(breach) = Breach::of(&outcome) {
            folder.write_json(breach::FILE, &breach)?;
        }
        draw(&folder, &outcome)?;
        let judged = judge::judge(&folder)?;
        agree(&folder, &outcome, &judged)?;
        report::write(&folder, &judged)?;
        if let Err(error) = folder.link_latest(out) {
            eprintln!("warning: {}/latest was not renewed: {error}", out.display());
        }
        Ok((folder, judged))
    }

    fn execute(&self) -> Result<Outcome, Failure> {
        let options = Options { black_box: self.black_box, record: true };
        apart(|| execute(&self.plan, options))
    }

    /// The plan in the words of a run: what judges and the report read.
    fn plan_of_run(&self) -> Plan {
        let tribunal_sim::Plan { system, workload, balancer, client_bug, client, schedule, .. } =
            &self.plan;
        let faults: BTreeSet<&str> =
            schedule.injections.iter().map(|injection| injection.fault.name()).collect();
        Plan {
            version: Plan::VERSION,
            system: system.to_string(),
            workload: workload.to_string(),
            nemesis: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            balancer: balancer.to_string(),
            // An unknown one has been refused by the execution.
            client_bug: client_bug.as_deref().and_then(|name| name.parse().ok()),
            nodes: self.plan.nodes,
            clients: self.plan.clients,
            clients_max: self.plan.clients,
            rate: "max".to_owned(),
            duration_ms: schedule.duration_ms + self.plan.calm_ms,
            seed: self.plan.seed,
            links: Links::Proxy,
            timeout_ms: client.timeout_us / 1_000,
            retry: client.retries,
            available_within_ms: self.plan.available_within_ms,
            recover_within_ms: self.plan.recover_within_ms,
            // As the simulator has it.
            returns_within_ms: Some(self.plan.available_within_ms),
            assert_shares: self.plan.assert_shares,
            // What one seed drew and did not bring to bear is no gap: others do.
            waive: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            stop_on_violation: true,
            replay: None,
        }
    }

    fn environment(&self, folder: &Folder, outcome: &Outcome) -> Environment {
        let command = self.command.clone().unwrap_or_else(|| command(folder, self.black_box));
        // It identifies the program and decides nothing.
        let executable = Program::own().and_then(|program| program.fingerprint());
        Environment {
            executable: executable.ok().flatten().unwrap_or_default(),
            simulated: Some(Simulated {
                command,
                hash: format!("{:016x}", outcome.hash),
                virtual_ns: outcome.virtual_ns,
                black_box: self.black_box,
                steps: outcome.steps,
                messages: outcome.messages,
                writes: outcome.writes,
            }),
            ..Environment::read()
        }
    }
}

/// Does what executes on a thread of its own, as among many seeds.
pub(super) fn apart<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let work = || keep_to_this_thread().and_then(|()| work());
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(Failure::harness("the thread of the execution panicked")))
}

/// The command that repeats the execution of a folder.
pub(super) fn command(folder: &Folder, black_box: bool) -> String {
    let plan = folder.file(plan_file::FILE);
    let black_box = if black_box { " --black-box" } else { "" };
    format!("tribunal sim --plan {}{black_box}", plan.display())
}

/// The message sequence diagram of an execution that is convicted, as a drawing and as text.
fn draw(folder: &Folder, outcome: &Outcome) -> Result<(), Failure> {
    let convicted = outcome.convicted_by().is_some();
    let Some(diagram) = Diagram::of(outcome).filter(|_| convicted) else { return Ok(()) };
    folder.write("sequence.svg", diagram.svg().as_bytes())?;
    folder.write("sequence.txt", diagram.text().as_bytes())
}

/// Nothing is late in virtual time, and the controller is never starved.
fn health(outcome: &Outcome) -> Health {
    let stopped_by_violation_ns = outcome.stopped.then_some(outcome.virtual_ns);
    Health { stopped_by_violation_ns, ..Health::default() }
}

fn history(events: &[Event]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    jsonl::write_header(&mut bytes).map_err(Failure::harness)?;
    for event in events {
        jsonl::write_event(&mut bytes, event).map_err(Failure::harness)?;
    }
    Ok(bytes)
}

fn trace(trace: Option<&Trace>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for line in trace.map_or(&[][..], Trace::lines) {
        serde_json::to_writer(&mut bytes, line).map_err(Failure::harness)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// The files convict if and only if the execution did.
fn agree(folder: &Folder, outcome: &Outcome, judged: &Judged) -> Result<(), Failure> {
    let convicted = judged.validity == Validity::Invalid;
    if convicted == outcome.convicted_by().is_some() {
        return Ok(());
    }
    let execution = outcome.convicted_by().unwrap_or("nothing");
    Err(Failure::harness(format!(
        "the execution was convicted by {execution}, but its files in {} are {}: this is a bug of tribunal",
        folder.path().display(),
        judged.validity
    )))
}
