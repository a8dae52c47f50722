//! elle-cli's JSON: one array of objects with Jepsen's keys, or one object after the other.
//!
//! Source: elle-cli, `src/elle_cli/cli.clj`. `index`, `time`, `process` and `f` may be missing. Texts stand for keywords.

use super::Document;
use crate::error::Fault;
use crate::json::Json;
use crate::record::Record;

/// Nothing was read yet.
const START: usize = 0;
/// In an array, after an element.
const ARRAY: usize = 1;
/// Objects without an array.
const OBJECTS: usize = 2;
/// After the array.
const END: usize = 3;

/// The next event.
pub(super) fn next(document: &mut Document) -> Result<Option<Record>, Fault> {
    let mut json = Json::lenient(&document.bytes, document.at);
    let mut first = false;
    if document.state == START {
        first = true;
        document.state = if json.take(b'[') { ARRAY } else { OBJECTS };
    }
    if document.state == ARRAY && json.take(b']') {
        document.state = END;
    } else if document.state == ARRAY && !first && !json.take(b',') {
        return json.fault("expected `,` or `]` after an event");
    }
    let record = match (document.state, json.peek()) {
        (END, Some(_)) => return json.fault("expected the end of the file after `]`"),
        (END | OBJECTS, None) => None,
        _ => Some(json.record()?),
    };
    document.at = json.at();
    Ok(record)
}
