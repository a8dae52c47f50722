//! A cycle as a picture: its transactions in a column, each edge an arrow with its label, the last one back to the top.
//!
//! Self-contained SVG that takes the colour of the text around it, so that it is readable on light and dark pages.

use std::fmt::Write as _;

/// A transaction.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) title: String,
    pub(super) text: String,
}

const TOP: usize = 8;
const BOX: usize = 44;
const STEP: usize = 84;
const CHARACTER: usize = 7;
const LONGEST: usize = 100;

/// Draws the nodes; `labels` names the edge from each to the next.
pub(super) fn draw(nodes: &[Node], labels: &[String]) -> String {
    let texts: Vec<String> = nodes.iter().map(|node| abridged(&node.text)).collect();
    let longest = nodes
        .iter()
        .zip(&texts)
        .map(|(node, text)| node.title.chars().count().max(text.chars().count()));
    let width = 24 + CHARACTER * longest.max().unwrap_or(0).max(24);
    let back = labels.last().map_or("", String::as_str);
    let whole = width + 60 + CHARACTER * back.chars().count();
    let height = TOP + STEP * nodes.len() - (STEP - BOX) + TOP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {height}\" width=\"{whole}\" height=\"{height}\" role=\"img\" \
         aria-label=\"A cycle of transactions\" fill=\"none\" stroke=\"currentColor\" font-family=\"sans-serif\" font-size=\"13\">"
    );
    for (number, (node, text)) in nodes.iter().zip(&texts).enumerate() {
        let y = TOP + STEP * number;
        rectangle(&mut svg, y, width, &node.title, text);
        if number + 1 < nodes.len() {
            let (x, from, to) = (width / 2, y + BOX, y + STEP);
            arrow(&mut svg, &format!("M{x} {from}V{}", to - 1), x, to, Towards::Down);
            text_at(&mut svg, x + 8, from + 24, labels.get(number).map_or("", String::as_str), "");
        }
    }
    let (first, last) = (TOP + BOX / 2, TOP + STEP * nodes.len().saturating_sub(1) + BOX / 2);
    let turn = width + 36;
    arrow(
        &mut svg,
        &format!("M{width} {last}C{turn} {last} {turn} {first} {} {first}", width + 1),
        width,
        first,
        Towards::Left,
    );
    text_at(&mut svg, width + 34, usize::midpoint(first, last) + 4, back, "");
    svg.push_str("</svg>");
    svg
}

fn rectangle(svg: &mut String, y: usize, width: usize, title: &str, text: &str) {
    let inner = width - 2;
    let _infallible =
        write!(svg, "<rect x=\"1\" y=\"{y}\" width=\"{inner}\" height=\"{BOX}\" rx=\"5\"/>");
    text_at(svg, 10, y + 18, title, " font-weight=\"bold\"");
    text_at(svg, 10, y + 36, text, "");
}

fn text_at(svg: &mut String, x: usize, y: usize, text: &str, more: &str) {
    let text = escaped(text);
    let _infallible = write!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" fill=\"currentColor\" stroke=\"none\"{more}>{text}</text>"
    );
}

enum Towards {
    Down,
    Left,
}

fn arrow(svg: &mut String, path: &str, x: usize, y: usize, towards: Towards) {
    let head = match towards {
        Towards::Down => format!("M{} {}L{x} {y}L{} {}", x - 5, y - 9, x + 5, y - 9),
        Towards::Left => format!("M{} {}L{x} {y}L{} {}", x + 9, y - 5, x + 9, y + 5),
    };
    let _infallible = write!(svg, "<path d=\"{path}\"/><path d=\"{head}\"/>");
}

fn abridged(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 4).chain(" ...".chars()).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_escapes_what_it_shows() {
        let node = |title: &str| Node { title: title.into(), text: "append <x> \"1\"".into() };
        let svg = draw(&[node("T1"), node("T2")], &["rw x".into(), "rw y".into()]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(svg.contains("append &lt;x&gt; &quot;1&quot;") && svg.contains("currentColor"));
        assert!(!svg.contains("<x>"));
    }
}
