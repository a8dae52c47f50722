//! What read atomic demands of the commit order (AWDIT, section 3.2; the axiom is of Biswas and Enea 2019).
//!
//! *Axiom*: if `t2` comes before a transaction in its session, or the transaction reads anything of `t2`, and it reads a key
//! that `t2` writes from another `t1`, then `t2` commits before `t1`.
//!
//! Of the session it is enough to look at the last that wrote the key: the others come before that one anyway. A key read
//! from two others is refused before this (`non-repeatable-read`: each would have to commit before the other).
//!
//! Cost: O(n^1.5), as for read committed.

use super::read_committed::large_writers;
use super::{Demand, view::View};
use crate::keyed::NONE;

/// Tells `demand` what must commit before what.
pub(super) fn infer(view: &View, demand: &mut impl FnMut(Demand)) {
    sessions(view, demand);
    by_reader(view, demand);
    by_writer(view, demand);
}

/// What came before in the session of the reader.
fn sessions(view: &View, demand: &mut impl FnMut(Demand)) {
    // By key: the session that wrote it last in this walk, and the node.
    let mut last = vec![(NONE, NONE); view.keys];
    for reader in view.committed() {
        let session = view.session[reader as usize];
        for read in view.reads(reader) {
            let (of, before) = last[read.key as usize];
            if of == session && before != read.writer {
                demand(Demand { before, after: read.writer, reader, key: read.key });
            }
        }
        view.writes(reader).iter().for_each(|key| last[*key as usize] = (session, reader));
    }
}

/// Writers that write no more than the reader reads: walks what they write.
fn by_reader(view: &View, demand: &mut impl FnMut(Demand)) {
    // By key: the reader, and from whom it reads the key.
    let mut source = vec![(NONE, NONE); view.keys];
    for reader in view.committed() {
        let reads = view.reads(reader);
        reads.iter().for_each(|read| source[read.key as usize] = (reader, read.writer));
        let seen =
            reads.iter().filter(|read| read.first && read.writer != 0).map(|read| read.writer);
        for before in seen.filter(|writer| view.writes(*writer).len() <= reads.len()) {
            for key in view.writes(before) {
                let (of, after) = source[*key as usize];
                if of == reader && after != before {
                    demand(Demand { before, after, reader, key: *key });
                }
            }
        }
    }
}

/// Writers that write more than the reader reads: walks what it reads.
fn by_writer(view: &View, demand: &mut impl FnMut(Demand)) {
    let mut written = vec![NONE; view.keys];
    for (before, readers) in large_writers(view) {
        view.writes(before).iter().for_each(|key| written[*key as usize] = before);
        for (reader, _) in readers {
            for read in view.reads(reader) {
                if written[read.key as usize] == before && read.writer != before {
                    demand(Demand { before, after: read.writer, reader, key: read.key });
                }
            }
        }
    }
}
