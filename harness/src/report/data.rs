//! What the sections of the page read.

use super::timeline::Timeline;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::judge::Judged;
use crate::sample::Sample;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};

/// All of a run.
pub(super) struct Data<'a> {
    /// The judgement.
    pub(super) judged: &'a Judged,
    /// The history over time.
    pub(super) timeline: Timeline,
    /// The samples of nodes and controller, none where there is no `metrics.jsonl`.
    pub(super) samples: Vec<Sample>,
    /// The length of all time axes, in s; at least 1.
    pub(super) end_s: f64,
    /// `sequence.svg`, the message sequence diagram of a simulated execution, if there is one.
    pub(super) sequence: Option<String>,
}

impl<'a> Data<'a> {
    /// Reads the files of a run.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn read(folder: &Folder, judged: &'a Judged) -> Result<Self, Failure> {
        let timeline = Timeline::read(folder)?;
        let samples = samples(folder)?;
        let sampled = samples.last().map_or(0.0, |sample| sample.time_ms as f64 / 1e3);
        let end_s = (timeline.end_ns as f64 / 1e9).max(sampled).max(1.0);
        let sequence = sequence(folder)?;
        Ok(Self { judged, timeline, samples, end_s, sequence })
    }
}

/// The text of `sequence.svg`.
fn sequence(folder: &Folder) -> Result<Option<String>, Failure> {
    let path = folder.file("sequence.svg");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("reading {}: {error}", path.display()))),
    }
}

/// The lines of `metrics.jsonl`. A last line that is cut, as by the death of the controller, is left out.
fn samples(folder: &Folder) -> Result<Vec<Sample>, Failure> {
    let path = folder.file("metrics.jsonl");
    let shown = path.display();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::usage(format!("reading {shown}: {error}"))),
    };
    let mut reader = BufReader::new(file);
    let (mut samples, mut line) = (Vec::new(), String::new());
    for number in 1_u64.. {
        line.clear();
        let read = reader.read_line(&mut line);
        if read.map_err(|error| Failure::usage(format!("{shown}, line {number}: {error}")))? == 0 {
            break;
        }
        match serde_json::from_str(&line) {
            Ok(sample) => samples.push(sample),
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => return Err(Failure::usage(format!("{shown}, line {number}: {error}"))),
        }
    }
    Ok(samples)
}
