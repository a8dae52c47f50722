//! Raft by its paper and dissertation: one test for each sentence that binds, and for what the header of the variant promises
//! beside it.

mod membership;
mod net;

use net::{Net, entry, id};
use tribunal_protocol::mutants::Mutated;
use tribunal_protocol::replication::Slot;
use tribunal_protocol::variants::raft::{EntryId, Message, Raft, Term};
use tribunal_protocol::*;

type Nodes = Net<Raft>;
type Bugged = Net<Mutated<Raft>>;

fn nodes(count: u32) -> Nodes {
    Nodes::new(count, &[], Limits::default())
}

fn request_vote(term: u64, candidate: u32, last: EntryId) -> Message {
    Message::RequestVote { term: Term(term), candidate: NodeId(candidate), last, wanted: false }
}

fn append(term: u64, previous: EntryId, terms: &[u64], commit: u64) -> Message {
    let first = previous.slot.0 + 1;
    let entries = (first..).zip(terms).map(|(slot, term)| entry(slot, *term)).collect();
    Message::Append { term: Term(term), previous, entries, commit: Slot(commit) }
}

fn granted(answer: &[Message]) -> bool {
    match answer {
        [Message::Vote { granted, .. }] => *granted,
        other => panic!("{other:?}"),
    }
}

/// Section 5.2: "each server will vote for at most one candidate in a given term, on a first-come-first-served basis".
#[test]
fn a_server_votes_once_a_term_also_after_restarts_and_snapshots() {
    for snapshot in [false, true] {
        let mut net = nodes(3);
        assert!(granted(&net.tell(1, 3, request_vote(1, 1, id(0, 0)))));
        if snapshot {
            net.admin(3, Admin::Snapshot);
        }
        net.restart(3);
        assert!(!granted(&net.tell(2, 3, request_vote(1, 2, id(0, 0)))));
        assert!(granted(&net.tell(1, 3, request_vote(1, 1, id(0, 0)))), "the same one again");
        assert!(granted(&net.tell(2, 3, request_vote(2, 2, id(0, 0)))), "in the next term");
    }
}

/// The mutant `vote-cleared`, and what becomes of its votes.
#[test]
fn a_vote_that_is_cleared_within_a_term_is_given_twice() {
    let mut net = Bugged::new(3, &[("mutant", "vote-cleared")], Limits::default());
    assert!(granted(&net.tell(1, 3, request_vote(1, 1, id(0, 0)))));
    assert!(granted(&net.tell(2, 3, request_vote(1, 2, id(0, 0)))));
}

/// Figure 2: "currentTerm" and "votedFor" are "updated on stable storage before responding to RPCs".
#[test]
fn nothing_is_said_before_it_is_durable() {
    let mut net = nodes(3);
    net.stalled.insert(3);
    assert!(net.tell(1, 3, request_vote(1, 1, id(0, 0))).is_empty());
    assert!(net.tell(1, 3, append(1, id(0, 0), &[1], 0)).is_empty());
}

/// Section 5.4.1: logs are compared by the term of their last entries, then by length.
#[test]
fn votes_go_to_logs_that_are_at_least_as_up_to_date() {
    let votes = |last| {
        let mut net = Nodes::with_logs(&[&[], &[], &[1, 2, 2]], &[], Limits::default());
        granted(&net.tell(1, 3, request_vote(9, 1, last)))
    };
    let logs = [(3, 2, true), (4, 2, true), (2, 3, true), (2, 2, false), (9, 1, false)];
    for (slot, term, expected) in logs {
        assert_eq!(votes(id(slot, term)), expected, "slot {slot} of term {term}");
    }
}

/// Figure 7, (a) to (f): "when the leader at the top comes to power", every follower's log becomes its own.
#[test]
fn the_logs_of_figure_7_become_the_leaders() {
    let logs: [&[u64]; 7] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    let mut net = Nodes::with_logs(&logs, &[], Limits::default());
    net.know(1, 7);
    net.lead(1);
    assert!(net.leads(1), "with the votes of (a), (b), (e) and (f)");
    assert_eq!(net.cores[&1].term(), Term(8));
    net.wake(1, 50); // A heartbeat tells what is committed.
    for node in 1..=7 {
        assert_eq!(net.log(node), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8], "node {node}");
        assert_eq!(net.applied(node), 11, "node {node}");
    }
    // Section 5.3: one step a conflicting term, not one an entry; (f) has two such terms.
    assert!(net.delivered["refused"] <= 8, "{:?}", net.delivered);
}

/// Section 5.4.2 and figure 8: a majority holds an entry of an earlier term, and still it is not committed, until one of the
/// leader's own term is.
#[test]
fn only_entries_of_the_leaders_own_term_are_committed_by_counting() {
    let figure_8 = |net: &mut Nodes| {
        net.only(&[]);
        net.know(1, 3);
        net.lead(1);
        for voter in [2, 3] {
            net.tell(voter, 1, Message::Vote { term: Term(4), granted: true });
        }
        assert!(net.leads(1));
        for holder in [2, 3] {
            net.tell(holder, 1, Message::Appended { term: Term(4), matched: id(2, 2) });
        }
    };
    let logs: [&[u64]; 5] = [&[1, 2], &[1, 2], &[1, 2], &[1], &[1, 3]];
    let mut net = Nodes::with_logs(&logs, &[], Limits::default());
    figure_8(&mut net);
    assert_eq!(net.applied(1), 0, "(c): slot 2 is held by a majority");
    for holder in [2, 3] {
        net.tell(holder, 1, Message::Appended { term: Term(4), matched: id(3, 4) });
    }
    assert_eq!(net.applied(1), 3, "(e)");
}

/// Figure 8, (d) and (e): who held the entry of the earlier term only votes for S5, and who held one of term 4 does not.
#[test]
fn s5_of_figure_8_is_elected_unless_an_entry_of_the_later_term_has_spread() {
    for (spread, elected) in [(false, true), (true, false)] {
        let held: &[u64] = if spread { &[1, 2, 4] } else { &[1, 2] };
        let logs: [&[u64]; 5] = [&[1, 2, 4], held, held, &[1], &[1, 3]];
        let mut net = Nodes::with_logs(&logs, &[], Limits::default());
        net.only(&[2, 3, 4, 5]);
        net.know(5, 4);
        net.lead(5);
        assert_eq!(net.leads(5), elected);
        if elected {
            assert_eq!((net.log(2), net.log(3)), (vec![1, 3, 5], vec![1, 3, 5]), "overwritten");
        }
    }
}

/// The mutant `old-term-commit` in the same place, (c) of figure 8.
#[test]
fn counting_entries_of_an_earlier_term_commits_what_figure_8_overwrites() {
    let logs: [&[u64]; 5] = [&[1, 2], &[1, 2], &[1, 2], &[1], &[1, 3]];
    let mut net = Bugged::with_logs(&logs, &[("mutant", "old-term-commit")], Limits::default());
    net.only(&[]);
    net.know(1, 3);
    net.lead(1);
    for voter in [2, 3] {
        net.tell(voter, 1, Message::Vote { term: Term(4), granted: true });
    }
    for holder in [2, 3] {
        net.tell(holder, 1, Message::Appended { term: Term(4), matched: id(2, 2) });
    }
    assert_eq!(net.applied(1), 2);
}

/// Figure 2, AppendEntries, 3: only "if an existing entry conflicts with a new one".
#[test]
fn a_late_append_cuts_nothing_off() {
    fn late<C: Core<Message = Message, Record = variants::raft::Record>>(net: &mut Net<C>) -> bool {
        net.tell(1, 3, append(1, id(0, 0), &[1, 1, 1], 0));
        net.tell(1, 3, append(1, id(0, 0), &[1], 0));
        let after = net.tell(1, 3, append(1, id(3, 1), &[1], 0));
        matches!(after[..], [Message::Appended { matched, .. }] if matched == id(4, 1))
    }
    assert!(late(&mut nodes(3)));
    let mutant = [("mutant", "append-truncates")];
    assert!(!late(&mut Bugged::new(3, &mutant, Limits::default())), "the mutant has lost entries");
}

/// Figure 2, AppendEntries, 5: "min(leaderCommit, index of last new entry)"; what lies behind need not be the leader's.
#[test]
fn a_follower_commits_only_what_it_knows_to_be_the_leaders() {
    fn applied<C: Core<Message = Message, Record = variants::raft::Record>>(
        net: &mut Net<C>,
    ) -> [u64; 3] {
        net.tell(1, 3, append(2, id(1, 1), &[], 3));
        let appended = net.applied(3);
        let commit = id(3, 2);
        net.tell(1, 3, Message::Heartbeat { term: Term(2), round: 1, commit });
        let heard = net.applied(3);
        net.tell(1, 3, append(2, id(1, 1), &[2, 2], 3));
        [appended, heard, net.applied(3)]
    }
    let logs: [&[u64]; 3] = [&[], &[], &[1, 1, 1]];
    let mut net = Nodes::with_logs(&logs, &[], Limits::default());
    assert_eq!(applied(&mut net), [1, 1, 3]);
    assert_eq!(net.log(3), [1, 2, 2]);
    let mutant = [("mutant", "commits-past-match")];
    let mut net = Bugged::with_logs(&logs, &mutant, Limits::default());
    net.tell(1, 3, append(2, id(1, 1), &[], 3));
    assert_eq!(net.applied(3), 3, "entries that the leader does not have");
}

/// The mutant `no-election-restriction`: who lacks entries is elected, and has them replaced.
#[test]
fn without_the_restriction_a_leader_lacks_entries() {
    let logs: [&[u64]; 3] = [&[], &[1, 1], &[1, 1]];
    let mutant = [("mutant", "no-election-restriction")];
    let mut net = Bugged::with_logs(&logs, &mutant, Limits::default());
    net.know(1, 1);
    net.lead(1);
    assert!(net.leads(1));
    let mut net = Nodes::with_logs(&logs, &[], Limits::default());
    net.know(1, 1);
    net.lead(1);
    assert!(!net.leads(1));
}

/// Dissertation, section 9.6: a server that was cut off does not disturb a leader when it returns.
#[test]
fn a_server_that_returns_deposes_nobody() {
    let mut net = nodes(3);
    net.lead(1);
    net.only(&[1, 2]);
    for _ in 0..20 {
        net.wake(1, 100);
        net.wake(3, 100);
    }
    assert_eq!(net.cores[&3].term(), Term(1), "it asks in its old term");
    net.only(&[1, 2, 3]);
    net.wake(1, 50);
    net.wake(3, 20);
    assert!(net.leads(1) && net.cores[&3].term() == Term(1));
}

/// Dissertation, section 4.2.3: whoever hears a leader lets no candidate make it vote, unless an operator wants that.
#[test]
fn whoever_hears_a_leader_takes_no_request_for_a_vote() {
    let mut net = nodes(3);
    net.lead(1);
    let ask = request_vote(5, 2, id(9, 4));
    assert!(net.tell(2, 3, ask.clone()).is_empty());
    assert_eq!(net.cores[&3].term(), Term(1));
    net.pass(700);
    assert!(granted(&net.tell(2, 3, ask)));
    net.lead(3);
    assert!(net.leads(3), "by an operator's wish");
}

/// Dissertation, section 10.2.1: the leader sends at once, and counts itself once its own disk has the entry.
#[test]
fn a_leader_counts_itself_only_when_it_is_durable() {
    let mut net = nodes(3);
    net.lead(1);
    net.only(&[1, 2]);
    net.stalled.insert(1);
    let request = net.ask(1);
    net.deliver();
    assert_eq!(net.log(2), [1, 1], "sent while it is written");
    assert!(!net.replies.contains_key(&request), "one of three");
    net.only(&[1, 2, 3]);
    net.pass(110);
    net.wake(1, 50);
    net.wake(1, 110);
    assert!(net.replies.contains_key(&request), "two of three, without the leader");
}

/// Dissertation, section 6.4: a read waits for a round of heartbeats that began after it came.
#[test]
fn a_read_waits_for_a_majority_to_confirm_the_leader() {
    let mut net = nodes(3);
    net.lead(1);
    let read = net.read(1);
    let rounds: Vec<_> = net.wire.drain(..).collect();
    assert_eq!(rounds.len(), 2);
    net.tell(2, 1, Message::Heard { term: Term(1), round: 0 });
    assert!(!net.replies.contains_key(&read), "an answer to an earlier round");
    let [.., (_, _, Message::Heartbeat { round, .. })] = &rounds[..] else { panic!("{rounds:?}") };
    net.tell(2, 1, Message::Heard { term: Term(1), round: *round });
    assert_eq!(net.replies[&read], Reply::Results(vec![Value::Nil]));
}

/// The same section: not before the leader has committed an entry of its own term.
#[test]
fn a_new_leader_answers_no_read_before_its_term_is_settled() {
    let mut net = nodes(3);
    net.loses = |_, _, message| matches!(message, Message::Append { .. });
    net.lead(1);
    let read = net.read(1);
    net.deliver();
    assert!(net.leads(1) && net.delivered["heard"] == 2 && !net.replies.contains_key(&read));
    net.loses = |_, _, _| false;
    net.wake(1, 110);
    assert!(net.replies.contains_key(&read));
}

/// Dissertation, section 6.2: a leader that hears no majority steps down, and what it had proposed is of unknown fate.
#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut net = nodes(3);
    net.lead(1);
    net.only(&[1]);
    let request = net.ask(1);
    net.deliver();
    net.wake(1, 50);
    assert!(net.leads(1));
    net.wake(1, 600);
    assert!(!net.leads(1));
    assert_eq!(net.replies[&request], Reply::Failed(Failure::Unknown));
}

/// Section 7: a follower whose next entry was dropped gets a snapshot, in chunks, then the entries after it.
#[test]
fn a_follower_that_lags_far_gets_a_snapshot_in_chunks() {
    let limits =
        Limits { snapshot_entries: 10, keep_entries: 2, chunk_bytes: 50, ..Limits::default() };
    let mut net = Nodes::new(3, &[], limits);
    net.lead(1);
    net.only(&[1, 2]);
    for _ in 0..40 {
        net.ask(1);
        net.deliver();
    }
    net.only(&[1, 2, 3]);
    net.wake(1, 50);
    net.wake(1, 110);
    assert!(net.delivered["snapshot"] > 3, "{:?}", net.delivered);
    net.wake(1, 50);
    let state = |net: &Nodes, node| (net.applied(node), net.cores[&node].state_digest());
    assert_eq!(state(&net, 3), state(&net, 1));
    (1..=3).for_each(|node| net.restart(node));
    net.lead(3);
    net.wake(3, 50);
    assert!(net.leads(3) && net.applied(3) == 42, "what it got counts also after a restart");
    assert_eq!(state(&net, 1), state(&net, 3));
}

/// Any node answers, and a request is proposed once.
#[test]
fn a_client_of_any_node_is_answered() {
    let mut net = nodes(3);
    let early = net.ask(2);
    assert!(net.replies.is_empty(), "nobody leads yet");
    net.lead(1);
    let late = net.ask(3);
    net.deliver();
    assert!(matches!(net.replies[&early], Reply::Session(_)));
    assert!(matches!(net.replies[&late], Reply::Session(_)));
    assert_eq!(net.log(1).len(), 3);
}
