//! The report of a run, from the files of its folder and its judgement. The same input gives the same bytes: no clock is
//! read, and what is sampled is sampled with a fixed seed.
//!
//! * [`terminal`]: the end of a run on the terminal; `summary.md`, `verdict.json` and `junit.xml` say the same to CI.
//! * `report.html`: one self-contained page. Each section is a file in `sections/` and a line in [`SECTIONS`].
//!
//! To add a section: a file with a `section` in `sections/`, and its line here.
//!
//! Absent: any judgement. What convicts is decided by the checkers; here it is only told.

mod chart;
mod data;
mod figures;
mod format;
mod json;
mod junit;
mod load;
mod numbers;
mod page;
mod recorded;
mod sections;
mod summary;
mod terminal;
mod timeline;
mod words;

pub(crate) use format::{count, plain};
pub use json::verdict_json;
pub(crate) use recorded::{
    file_json, file_line, file_terminal, run_json, run_line, unreadable_json,
};
pub(crate) use terminal::align;
pub use terminal::terminal;

use crate::exit::Failure;
use crate::folder::Folder;
use crate::judge::Judged;
use data::Data;
use maud::Markup;
use std::time::{Duration, UNIX_EPOCH};

/// The page's name in the folder.
const PAGE: &str = "report.html";

/// A section of the page: its title, and what stands below it.
type Section = (&'static str, fn(&Data<'_>) -> Markup);

/// The sections of the page, in their order. One that is empty is left out.
const SECTIONS: &[Section] = &[
    ("Verdict", sections::verdict::section),
    ("Witness", sections::witness::section),
    ("Sequence", sections::sequence::section),
    ("Latency", sections::latency::section),
    ("Throughput", sections::throughput::section),
    ("Load by node", sections::nodes::section),
    ("Faults", sections::faults::section),
    ("Fairness", sections::fairness::section),
    ("Errors", sections::errors::section),
    ("Statistics", sections::statistics::section),
    ("What this run cannot show", sections::limits::section),
    ("Plan, environment, and how to repeat it", sections::origin::section),
];

/// Writes `summary.md`, `verdict.json`, `junit.xml`, `latency.hlog` and `report.html` into the folder.
///
/// # Errors
/// If a file of the run cannot be read, or one of the report not be written; the message names it.
pub fn write(folder: &Folder, judged: &Judged) -> Result<(), Failure> {
    folder.write_json("verdict.json", &verdict_json(judged))?;
    folder.write("summary.md", summary::summary(judged).as_bytes())?;
    folder.write("junit.xml", junit::junit(judged)?.as_bytes())?;
    let data = Data::read(folder, judged)?;
    let mut log = Vec::new();
    let start = UNIX_EPOCH + Duration::from_nanos(judged.environment.wall_ns_at_zero);
    data.timeline.log.write(&mut log, start).map_err(Failure::harness)?;
    folder.write("latency.hlog", &log)?;
    folder.write(PAGE, page::page(&data).into_string().as_bytes())
}
