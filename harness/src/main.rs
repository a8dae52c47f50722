//! The program `tribunal`. See [`tribunal`] for its parts.

fn main() {}
