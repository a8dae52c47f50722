//! What read committed demands of the commit order (AWDIT, section 3.1, there Algorithm 1; the axiom is of Biswas and Enea 2019).
//!
//! *Axiom*: if a transaction reads anything of `t2`, and later reads a key that `t2` writes from another `t1`, then `t2`
//! commits before `t1`. Nil is read from the initial state, before which nothing commits.
//!
//! Of these demands enough are made that the others follow:
//! * From `t2` to the writer of the *next* read of the key after the first read of `t2`.
//! * From the writer of each read of a key to that of the next read of the same key in the same transaction.
//!   So the demands on all later reads follow by the chain.
//!
//! Cost: for a reader and a writer, the lesser of what the one reads and the other writes. Readers of at most √n reads cost
//! at most √n a read; of the larger there are at most √n, and each costs at most what all writers write, n. So O(n^1.5),
//! which is optimal (AWDIT, section 5).

use super::{Demand, view::View};
use crate::keyed::NONE;

/// Tells `demand` what must commit before what.
pub(super) fn infer(view: &View, demand: &mut impl FnMut(Demand)) {
    by_reader(view, demand);
    by_writer(view, demand);
}

/// Writers that write no more than the reader reads: walks what they write.
fn by_reader(view: &View, demand: &mut impl FnMut(Demand)) {
    // By key: the reader, and the writer of its next read of the key, seen from where the walk is.
    let mut next = vec![(NONE, NONE); view.keys];
    for reader in view.committed() {
        let reads = view.reads(reader);
        for read in reads.iter().rev() {
            if read.first && read.writer != 0 && view.writes(read.writer).len() <= reads.len() {
                for key in view.writes(read.writer) {
                    let (of, after) = next[*key as usize];
                    if of == reader && after != read.writer {
                        demand(Demand { before: read.writer, after, reader, key: *key });
                    }
                }
            }
            let (of, after) =
                std::mem::replace(&mut next[read.key as usize], (reader, read.writer));
            if of == reader && after != read.writer && read.writer != 0 {
                demand(Demand { before: read.writer, after, reader, key: read.key });
            }
        }
    }
}

/// Writers that write more than the reader reads: walks what it reads.
fn by_writer(view: &View, demand: &mut impl FnMut(Demand)) {
    let mut written = vec![NONE; view.keys];
    for (writer, readers) in large_writers(view) {
        view.writes(writer).iter().for_each(|key| written[*key as usize] = writer);
        for (reader, place) in readers {
            for read in &view.reads(reader)[place + 1..] {
                if written[read.key as usize] == writer && read.writer != writer {
                    demand(Demand { before: writer, after: read.writer, reader, key: read.key });
                }
            }
        }
    }
}

/// The writers that write more than some reader reads, with those readers and the places of their first reads of it.
pub(super) fn large_writers(view: &View) -> Vec<(u32, Vec<(u32, usize)>)> {
    let mut pairs = Vec::new();
    for reader in view.committed() {
        let reads = view.reads(reader);
        for (place, read) in reads.iter().enumerate() {
            if read.first && read.writer != 0 && view.writes(read.writer).len() > reads.len() {
                pairs.push((read.writer, (reader, place)));
            }
        }
    }
    pairs.sort_unstable();
    pairs
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| (same[0].0, same.iter().map(|pair| pair.1).collect()))
        .collect()
}
