//! The page itself: one file that opens from disk and loads nothing. All text from outside goes through maud, which escapes
//! it, or through the drawings of checkers, which do so too; style and script are constants, and no data is ever put into the script.

use super::SECTIONS;
use super::data::Data;
use super::words;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of a run.
pub(super) fn page(data: &Data<'_>) -> Markup {
    let plan = &data.judged.plan;
    let environment = &data.judged.environment;
    let word = words::loud(data.judged.validity);
    let sections = SECTIONS.iter().map(|(title, section)| (title, section(data)));
    let sections: Vec<_> = sections.filter(|(_, section)| !section.0.is_empty()).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (word) ": " (plan.system) ", seed " (plan.seed) }
                // Else a browser asks for /favicon.ico where the page is served.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (plan.system) }
                    p {
                        (plan.nodes) " nodes, workload " (plan.workload) ", faults "
                        @if plan.nemesis.is_empty() { "none" } @else { (plan.nemesis.join(", ")) }
                        ", seed " (plan.seed)
                        @if environment.simulated.is_some() { ", simulated" }
                        ", commit "
                        @if environment.commit.is_empty() { "unknown" } @else { (environment.commit) }
                        ", " (environment.cpus) " × " (environment.cpu)
                    }
                    nav {
                        @for (nth, (title, _)) in sections.iter().enumerate() {
                            a href={ "#section-" (nth + 1) } { (title) }
                        }
                    }
                }
                main {
                    @for (nth, (title, section)) in sections.iter().enumerate() {
                        section id={ "section-" (nth + 1) } {
                            h2 { (title) }
                            (section)
                        }
                    }
                }
                footer { "Made by tribunal " (environment.version) "." }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}
