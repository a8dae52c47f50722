//! What this run cannot show.

use crate::report::data::Data;
use crate::report::words;
use maud::{Markup, html};

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    html! {
        ul {
            @for limit in words::cannot_show(data.judged) { li { (limit) } }
        }
    }
}
