//! Bytes as a history of every format, and of the one that they seem to have: none makes a parser panic or run on.
//!
//! `cargo +nightly fuzz run formats` in `checkers/history`; `corpus/formats` holds a small history of each format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use tribunal_history::formats::{self, Format};

fuzz_target!(|bytes: &[u8]| {
    let formats = Format::ALL.into_iter().map(Some).chain([None]);
    for format in formats {
        if let Ok(source) = formats::read(Cursor::new(bytes.to_vec()), format) {
            source.for_each(drop);
        }
    }
});
