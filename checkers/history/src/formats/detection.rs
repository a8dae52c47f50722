//! Which format a file has, by its first bytes.

use super::{Format, edn, text};
use crate::jsonl::{FORMAT, is_header};

/// The format of a file that starts with `head`, if it is one.
pub(super) fn detect(head: &[u8]) -> Option<Format> {
    let head = head.trim_ascii_start();
    let after = |from: usize| head[from..].trim_ascii_start();
    match head.first()? {
        b'{' if after(1).starts_with(b"\"") => Some(object(head)),
        b'[' if after(1).starts_with(b"]") => Some(Format::Json),
        b'[' if after(1).starts_with(b"{") => {
            let inner = after(1)[1..].trim_ascii_start();
            Some(if inner.starts_with(b"\"") { Format::Json } else { edn(head) })
        }
        b'{' | b'[' | b'(' | b'#' | b';' => Some(edn(head)),
        _ => lines(head),
    }
}

fn object(head: &[u8]) -> Format {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if contains(line, FORMAT.as_bytes()) && contains(line, b"\"version\"") {
        Format::Jsonl
    } else if is_header(line) && !contains(line, b"\"type\"") {
        // Not ours: its reader says so.
        Format::Jsonl
    } else if contains(head, b"\"ClientId\"") {
        Format::EtcdOperations
    } else {
        Format::Json
    }
}

fn edn(head: &[u8]) -> Format {
    if edn::first_is_keyed(head) { Format::PorcupineKv } else { Format::Edn }
}

/// A log may open with lines of others.
fn lines(head: &[u8]) -> Option<Format> {
    head.split(|byte| *byte == b'\n').find_map(text::recognize)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
