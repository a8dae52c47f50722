//! `tribunal node`: one node of one of our variants, as a process. Hidden: the controller starts it.

use super::Answer;
use crate::exit::{Exit, Failure};
use std::path::PathBuf;
use tribunal_nodes::NodeConfig;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's configuration, as JSON
    #[arg(long)]
    config: PathBuf,
}

pub(super) fn main(args: &Args) -> Answer {
    let path = args.config.display();
    let text = std::fs::read_to_string(&args.config)
        .map_err(|error| Failure::usage(format!("reading {path}: {error}")))?;
    let config: NodeConfig =
        serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
    // A node's own codes: 3 if it did not start, 1 if it failed later.
    tribunal_nodes::run(config).map(|()| Exit::Valid).map_err(|error| Failure {
        exit: if error.exit_code() == 1 { Exit::Invalid } else { Exit::Failed },
        message: error.to_string(),
    })
}
