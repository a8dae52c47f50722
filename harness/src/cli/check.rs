//! `tribunal check`: judges recorded runs again from their files.

use super::{Answer, print};
use crate::exit::{Exit, Failure};
use crate::folder::Folder;
use crate::{judge, report};
use std::path::PathBuf;
use tribunal_checkers::Validity;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tribunal check results/latest")]
pub(super) struct Args {
    /// Folders of recorded runs
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print one line of JSON a run
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Answer {
    let mut worst = Validity::Valid;
    let mut unreadable = false;
    for path in &args.paths {
        match check(path, args.json) {
            Ok(validity) => worst = worst.max(validity),
            Err(Failure { message, .. }) => {
                eprintln!("error: {message}");
                unreadable = true;
            }
        }
    }
    Ok(match worst {
        Validity::Invalid => Exit::Invalid,
        _ if unreadable => Exit::Usage,
        validity => validity.into(),
    })
}

fn check(path: &std::path::Path, json: bool) -> Result<Validity, Failure> {
    let folder = Folder::open(path)?;
    let judged = judge::judge(&folder)?;
    if json {
        print(report::verdict_json(&judged))?;
    } else {
        print(report::terminal(&folder, &judged))?;
    }
    Ok(judged.validity)
}
