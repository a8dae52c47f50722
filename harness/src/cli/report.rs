//! `tribunal report`: writes the report of a recorded run again.

use super::{Answer, print};
use crate::folder::Folder;
use crate::{judge, report};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tribunal report results/latest")]
pub(super) struct Args {
    /// The folder of a recorded run
    #[arg(default_value = "results/latest", value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn main(args: &Args) -> Answer {
    let folder = Folder::open(&args.path)?;
    let judged = judge::judge(&folder)?;
    report::write(&folder, &judged)?;
    print(report::terminal(&folder, &judged))?;
    Ok(judged.validity.into())
}
