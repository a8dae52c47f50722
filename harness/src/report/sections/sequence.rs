//! The message sequence diagram of a simulated execution, where the folder has one.
//!
//! `sequence.svg` is written beside the run by whoever simulated it. It stands in the page as it is, so it is taken only if
//! it is a drawing and nothing more: of known elements, without handlers, references or scripts.

use crate::report::data::Data;
use maud::{Markup, PreEscaped, html};

/// Elements that a drawing consists of.
const ELEMENTS: &[&str] = &["line", "polygon", "rect", "style", "svg", "text", "title"];
/// Attributes that it may have.
const ATTRIBUTES: &[&str] = &[
    "aria-label",
    "class",
    "height",
    "points",
    "role",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "xmlns",
    "y",
    "y1",
    "y2",
];
/// What a style must not hold: it would load something.
const LOADS: &[&str] = &["url(", "@import", "image("];

/// The section; empty if there is no diagram.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let Some(svg) = &data.sequence else { return html! {} };
    html! {
        @if is_drawing(svg) {
            figure class="sequence wide" {
                (PreEscaped(svg))
                figcaption class="note" {
                    "Simulated: times are virtual. The same as text is in " code { "sequence.txt" } ", if the folder has it."
                }
            }
        } @else {
            p { "The file " code { "sequence.svg" } " is no drawing that this program makes, so it is not shown here." }
        }
    }
}

/// Whether the text is made of known elements with known, quoted attributes.
fn is_drawing(svg: &str) -> bool {
    let svg = svg.trim();
    if !svg.starts_with("<svg ") || LOADS.iter().any(|loads| svg.contains(loads)) {
        return false;
    }
    svg.split('<').skip(1).all(|piece| piece.split_once('>').is_some_and(|(tag, _)| is_known(tag)))
}

/// Whether a tag, without its angle brackets, is that of a known element.
fn is_known(tag: &str) -> bool {
    if let Some(name) = tag.strip_prefix('/') {
        return ELEMENTS.contains(&name);
    }
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    while !rest.is_empty() {
        let Some((attribute, value)) = rest.split_once("=\"") else { return false };
        let Some((_, more)) = value.split_once('"') else { return false };
        if !ATTRIBUTES.contains(&attribute.trim()) {
            return false;
        }
        rest = more;
    }
    ELEMENTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_drawing_is_taken() {
        let drawing = |inner: &str| format!("<svg class=\"sequence\" width=\"10\">{inner}</svg>\n");
        for good in [
            "",
            "<line class=\"message late\" x1=\"1\" y1=\"2\" x2=\"3\" y2=\"4\"></line>",
            "<text x=\"1\" y=\"2\">write &lt;b&gt; on 1</text>",
            "<style>.a { fill: #fff; }</style>",
        ] {
            assert!(is_drawing(&drawing(good)), "{good}");
        }
        for bad in [
            "<script>alert(1)</script>",
            "<text onclick=\"alert(1)\">a</text>",
            "<text x=\"1\" onclick=alert(1)>a</text>",
            "<a href=\"https://example.org\">a</a>",
            "<image xlink:href=\"x.png\"></image>",
            "<style>@import 'x.css';</style>",
            "<rect class=\"a\" style=\"fill: red\"></rect>",
            "<foreignObject></foreignObject>",
            "a < b",
        ] {
            assert!(!is_drawing(&drawing(bad)), "{bad}");
        }
        assert!(!is_drawing("<p>no drawing</p>"));
        assert!(!is_drawing(""));
    }
}
