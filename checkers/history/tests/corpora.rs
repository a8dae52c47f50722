//! Every file of the corpora is found to be of the format that `truth.tsv` says, and is read and paired to its end.
//!
//! The corpora are other projects' and lie beside the workspace, in `../shared/corpora`; where they do not, nothing is tested.

use std::path::{Path, PathBuf};
use tribunal_history::{Pairing, formats};

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora")
}

/// How many operations the file has.
fn read(path: &Path, format: &str) -> Result<usize, String> {
    let source = formats::open(path, None).map_err(|error| error.to_string())?;
    if source.format().name() != format {
        return Err(format!("{}: found to be {}, is {format}", path.display(), source.format()));
    }
    let mut pairing = Pairing::new();
    let mut operations = 0;
    for event in source {
        let event = event.map_err(|error| error.to_string())?;
        let paired = pairing.push(event);
        let paired = paired.map_err(|error| format!("{}: {error}", path.display()))?;
        operations += usize::from(paired.is_some());
    }
    Ok(operations + pairing.finish().len())
}

#[test]
fn every_file_of_the_corpora_is_read_to_its_end() {
    let Ok(truth) = std::fs::read_to_string(corpora().join("truth.tsv")) else {
        println!("not tested: there is no ../shared/corpora beside the workspace");
        return;
    };
    let mut wrong = Vec::new();
    for line in truth.lines().skip(1) {
        let mut columns = line.split('\t');
        let (Some(file), Some(format)) = (columns.next(), columns.next()) else {
            panic!("truth.tsv has a line without file and format: {line}");
        };
        match read(&corpora().join(file), format) {
            Ok(0) => wrong.push(format!("{file}: no operations")),
            Ok(_) => {}
            Err(error) => wrong.push(error),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
