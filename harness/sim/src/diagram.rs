//! An execution as a message sequence diagram: lifelines of clients and nodes, calls, messages and faults in the order of
//! time, up to what convicts.
//!
//! One model, two renderings: [`Diagram::text`] for a terminal, and [`Diagram::svg`] for a page. Both show the same rows;
//! the text draws those in one line that say the same at the same time.
//!
//! Shown is what matters: the processes of the witness (and a few others, up to four) and every node; all from the beginning, if
//! it fits, else from just before the first operation of the witness. Heartbeats and the like are left out unless nothing
//! else remains. If it is still too long, the messages farthest from any call and fault are left out first, and then the
//! earliest rows. What is left out is counted and said.
//!
//! What one operation costs on a calm schedule ([`crate::calm`]) is drawn from its trace by the same means; there the syncs of
//! disks are told, too.
//!
//! Absent from an execution's: steps of a disk, and attempts of a client beyond the first, which no record tells. A restart has no record
//! either: a node counts as down until the fault ends, or until it sends.

mod calm;
mod label;
mod model;
mod svg;
mod text;

pub use label::LEGEND;
pub use model::Diagram;

#[cfg(test)]
mod tests {
    use super::model::{Arrival, Diagram, Kind, Row, State, What};

    /// One row of each kind, on a client and two nodes.
    fn diagram() -> Diagram {
        let row = |at_ms: u64, what| Row { at_ns: at_ms * 1_000_000, stressed: at_ms == 1, what };
        let arrow = |(from, to), label: &str, kind, arrival| {
            let label = label.to_owned();
            What::Arrow { from, to, label, kind, arrival }
        };
        let message = |ends, label, arrival| arrow(ends, label, Kind::Message, arrival);
        let label = "stop <b>&\"now\"</b>".to_owned();
        let later = Arrival::Later { number: 1, at_ns: 6_000_000 };
        let rows = vec![
            row(1, arrow((0, 2), "write 1", Kind::Call, Arrival::Soon)),
            row(2, message((2, 1), "accept", Arrival::Never)),
            row(3, message((1, 2), "heard", later)),
            row(4, What::Mark { on: vec![1], label, fault: true }),
            row(5, What::Gap { messages: 7 }),
            row(6, What::Arrives { from: 1, to: 2, label: "heard".to_owned(), number: 1 }),
            row(7, arrow((2, 0), "ok", Kind::Answer, Arrival::Soon)),
        ];
        let down = (4_000_000, 6_000_000, State::Down);
        let states = vec![vec![], vec![down, (0, 9_000_000, State::Disturbed)], vec![]];
        let lifelines = ["process 3", "node 1", "node 2"].map(str::to_owned).to_vec();
        Diagram { title: "a < b".to_owned(), lifelines, rows, states, notes: vec![] }
    }

    #[test]
    fn each_kind_of_row_is_drawn() {
        let text = diagram().text();
        let rows: Vec<&str> = text.lines().skip(3).take(7).collect();
        let expected = [
            "*  0.001000         │══════════════════════▶│      write 1",
            "   0.002000         │           ╎     ✗─────│      accept  [lost]",
            "   0.003000         │           ╎──────────▷│      heard  [1: arrives later]",
            "   0.004000         │           ◆           │      stop <b>&\"now\"</b>",
            "   0.005000         │                       │      ⋮ 7 messages",
            "   0.006000         │           ╎           ●      [1] of node 1: heard",
            "   0.007000         │◀══════════════════════│      ok",
        ];
        assert_eq!(rows, expected, "\n{text}");
    }

    #[test]
    fn what_is_said_to_several_or_by_several_is_one_line() {
        let row = |ends: (usize, usize), label: &str| {
            let (from, to) = ends;
            let (label, kind, arrival) = (label.to_owned(), Kind::Message, Arrival::Soon);
            let what = What::Arrow { from, to, label, kind, arrival };
            Row { at_ns: 1_000_000, stressed: false, what }
        };
        let ends = [(2, 0), (2, 1), (2, 3)];
        let accepts = ends.map(|ends| row(ends, "accept"));
        let accepted = [(0, 2), (3, 2)].map(|ends| row(ends, "accepted"));
        let other = row((0, 1), "answer 1");
        let rows = [&accepts[..], &accepted, &[other, row((0, 1), "answer 2")]].concat();
        let lifelines = (1..5).map(|node| format!("node {node}")).collect();
        let states = vec![vec![]; 4];
        let text = Diagram { title: String::new(), lifelines, rows, states, notes: vec![] }.text();
        let lines: Vec<&str> = text.lines().skip(3).take(4).collect();
        let expected = [
            "   0.001000         │◀──────────│◀──────────│──────────▶│      accept",
            "   0.001000         │──────────────────────▶│◀──────────│      accepted",
            "   0.001000         │──────────▶│           │           │      answer 1",
            "   0.001000         │──────────▶│           │           │      answer 2",
        ];
        assert_eq!(lines, expected, "\n{text}");
    }

    #[test]
    fn text_in_a_drawing_is_escaped() {
        let svg = diagram().svg();
        assert!(svg.contains("stop &lt;b&gt;&amp;&quot;now&quot;&lt;/b&gt;"));
        assert!(svg.contains("a &lt; b") && !svg.contains("<b>"));
        for class in ["client", "message late", "disturbed", "down", "fault", "marked"] {
            assert!(svg.contains(&format!("class=\"{class}\"")), "{class}");
        }
    }
}
