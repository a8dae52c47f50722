//! The parsers against serde_json, which is the oracle of ours, and against damage: errors with a place, never a panic.

use proptest::prelude::*;
use std::borrow::Cow;
use std::io::{Cursor, Write};
use tribunal_history::formats::{self, Format};
use tribunal_history::{Actor, Event, EventKind, Process, ReadError, Value, jsonl};

/// One small history of each format, in the order of [`Format::ALL`].
const SAMPLES: [&str; 7] = [
    "{\"format\":\"tribunal-history\",\"version\":1}\n{\"index\":0,\"time\":5,\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":[\"x\",1]}\n{\"index\":1,\"time\":6,\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"value\":[\"x\",{\"\\u00e9\":[null,true,-3]}],\"node\":2}\n",
    "; a comment\n({:process 0, :type :invoke, :f :cas, :value [1 2], :time 1.5e3}\n #_ {:gone 1} #jepsen.history.Op{:process 0 :type :info :f :cas :value #{1 \"a\\n\\u0041\" \\b} :error [:timeout {:a 1/2}]}\n {:process 0 :type :invoke :f :read :value nil} {:process :nemesis :type :info :f :start})",
    "0\t:invoke\t:write\t3\n0\t:info\t:write\t3\t[:timeout \"x\"]\n:nemesis\t:info\t:start\tnil\n",
    "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n",
    "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x\"}\n{:process 0, :type :ok, :f :append, :key \"0\", :value \"x\"}\n",
    "[{\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"r\",\"x\",null]],\"time\":0.5},\n{\"type\":\"ok\",\"f\":\"txn\",\"value\":[[\"r\",\"x\",[1,2]]],\"error\":{\"a\":1.5}}]",
    "{\"ClientId\":1,\"Input\":{\"Type\":\"range\",\"Range\":{\"Start\":\"k\",\"End\":\"\",\"Limit\":0,\"Revision\":0}},\"Call\":5,\"Output\":{\"Range\":{\"KVs\":[{\"Key\":\"k\",\"Value\":{\"Value\":\"1\"},\"ModRevision\":2}],\"Count\":1},\"Revision\":2},\"Return\":9}\n{\"ClientId\":2,\"Input\":{\"Type\":\"txn\",\"Txn\":{\"Conditions\":null,\"OperationsOnSuccess\":[{\"Type\":\"put-operation\",\"Put\":{\"Key\":\"k\",\"Value\":{\"Value\":\"1\"},\"LeaseID\":0}}],\"OperationsOnFailure\":null}},\"Call\":1,\"Output\":{\"Error\":\"timeout\"},\"Return\":9223372036854775807}\n",
];

fn all(bytes: &[u8], format: Option<Format>) -> Result<Vec<Event>, ReadError> {
    formats::read(Cursor::new(bytes.to_vec()), format)?.collect()
}

fn zip_of(text: &str) -> Vec<u8> {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(text.as_bytes()).expect("in memory");
    zip.finish().expect("in memory")
}

#[test]
fn two_operations_of_one_client_of_etcd_do_not_overlap() {
    let get = |call: u64, returned: u64, output: &str| {
        format!(
            "{{\"ClientId\":1,\"Input\":{{\"Type\":\"range\",\"Range\":{{\"Start\":\"k\"}}}},\"Call\":{call},\"Output\":{output},\"Return\":{returned}}}\n"
        )
    };
    let seen = "{\"Range\":{\"KVs\":[]}}";
    let overlap = get(1, 5, seen) + &get(3, 9, seen);
    let error = all(overlap.as_bytes(), None).expect_err("they overlap").to_string();
    assert!(error.contains("line 2, column 1: client 1 calls at 3 ns while"), "{error}");
    let lost = get(1, 5, "{\"Error\":\"timeout\"}") + &get(3, 9, seen) + &get(9, 10, seen);
    assert!(all(lost.as_bytes(), None).is_ok(), "nobody knows when a lost one ends");
}

#[test]
fn each_sample_is_found_and_read_plain_and_zipped() {
    for (format, sample) in Format::ALL.into_iter().zip(SAMPLES) {
        let found = formats::read(Cursor::new(sample.as_bytes()), None).expect("a format");
        assert_eq!(found.format(), format);
        let events = all(sample.as_bytes(), None).expect("events");
        assert!(events.len() >= 2, "{format}: {events:?}");
        let zipped = zip_of(sample);
        assert_eq!(all(&zipped, None).expect("events"), events);
        let cut = all(&zipped[..zipped.len() - 9], None).expect_err("a cut file");
        assert!(cut.to_string().contains("gzip file is cut short"), "{cut}");
        assert_eq!(format.name().parse(), Ok(format));
        assert_eq!(all(&[&zipped[..], &zip_of("")].concat(), None).expect("events"), events);
        let followed = all(&[&zipped[..], b"what"].concat(), None).expect_err("bytes follow");
        assert!(followed.to_string().contains("bytes follow that are not gzip"), "{followed}");
    }
}

#[test]
fn what_is_left_out_is_filled_in() {
    let edn = all(SAMPLES[1].as_bytes(), None).expect("events");
    let process = |nth: usize| edn[nth].process;
    assert_eq!(process(0), process(1));
    assert_ne!(process(1), process(2), "an info retires its process");
    assert_eq!(process(3), Actor::Nemesis);
    assert_eq!(edn[0].time, 1_500);
    assert_eq!(edn[1].error.as_deref(), Some("[:timeout {:a 1/2}]"));
    let log = all(SAMPLES[3].as_bytes(), None).expect("events");
    assert_eq!(log[1].error.as_deref(), Some("cas-mismatch"));
    assert_eq!((log[3].error.as_deref(), &log[3].value), (Some("timed-out"), &Value::Nil));
    let etcd = all(SAMPLES[6].as_bytes(), None).expect("events");
    let seen: Vec<_> = etcd.iter().map(|event| (event.kind, &*event.f, event.time)).collect();
    let expected = [
        (EventKind::Invoke, "put", 0),
        (EventKind::Invoke, "get", 4),
        (EventKind::Ok, "get", 8),
        (EventKind::Info, "put", 8),
    ];
    assert_eq!(seen, expected);
    assert_eq!(etcd[2].value, Value::keyed("k".into(), "1".into()));
}

#[test]
fn errors_say_where_and_what() {
    let header = SAMPLES[0].lines().next().expect("a header");
    let event = |value: &str| {
        format!(
            "{header}\n{{\"index\":0,\"time\":5,\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":{value}}}\n"
        )
    };
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let cases = [
        (String::new(), "no operations"),
        (format!("{header}\n"), "no operations"),
        ("what is this".to_owned(), "no known format"),
        (event("9223372036854775808"), "line 2, column 69: the integer 9223372036854775808"),
        (event("1.5"), "line 2, column 69: expected a whole number"),
        (event(&deep), "nested more than 128 deep"),
        (event("1,\"value\":2"), "stands twice"),
        (format!("{{:type :invoke :f {deep}"), "nested more than 128 deep"),
        ("{:type :ok :value 1.5}".to_owned(), "line 1, column 19: expected a whole number"),
        ("{:type :ok :value 1\n".to_owned(), "but nothing follows"),
        ("[{:type :ok :value 1}\n".to_owned(), "line 2, column 1: expected an event or `]`"),
        (
            "0\t:invoke\t:read\tnil\n0\t:done\t:read\tnil\n".to_owned(),
            "line 2, column 3: expected :invoke",
        ),
        (
            "{\"ClientId\":1,\"Call\":0,\"Return\":1,\"Input\":{\"Type\":\"watch\"}}".to_owned(),
            "not known: `watch`",
        ),
        (
            "0\t:invoke\t:write\t9223372036854775808\n".to_owned(),
            "line 1, column 18: the integer 9223372036854775808",
        ),
        (
            "INFO  jepsen.util - 0\t:invoke\t:write\t9223372036854775808\n".to_owned(),
            "the integer 9223372036854775808",
        ),
        (event("1").replace("\"process\":1", "\"process\":-1"), "`process` must not be negative"),
        ("{:process -1 :type :ok}".to_owned(), "the process must not be negative"),
        ("{\"format\":\"other\",\"version\":1}\n".to_owned(), "format `other`, which is not known"),
        (header.replace("\"version\":1", "\"version\":7"), "version 7, which is not known"),
    ];
    for (text, message) in cases {
        let error = all(text.as_bytes(), None).expect_err(&text).to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }
    let invalid = [event("\"").as_bytes(), b"\xff\"}\n"].concat();
    assert!(all(&invalid, None).is_err());
}

#[test]
fn a_long_file_keeps_its_order_on_many_threads() {
    let mut bytes = Vec::new();
    jsonl::write_header(&mut bytes).expect("in memory");
    for index in 0..60_000 {
        let event = Event { index, time: index, ..event(Value::Int(7)) };
        jsonl::write_event(&mut bytes, &event).expect("in memory");
    }
    let events = all(&bytes, None).expect("events");
    assert!(events.iter().map(|event| event.index).eq(0..60_000));
    let cut = formats::read(Cursor::new(bytes[..bytes.len() - 3].to_vec()), None);
    let mut cut = cut.expect("a header");
    assert_eq!(cut.by_ref().filter(Result::is_ok).count(), 59_999);
    assert!(cut.cut_short());
    let newline = bytes.len() * 3 / 4
        + bytes[bytes.len() * 3 / 4..].iter().position(|byte| *byte == b'\n').expect("a line");
    let line = bytes[..newline].iter().filter(|byte| **byte == b'\n').count() + 2;
    bytes[newline + 1] = b'?';
    let error = all(&bytes, None).expect_err("damage").to_string();
    assert!(error.starts_with(&format!("line {line}, column 1: expected an event")), "{error}");
}

fn event(value: Value) -> Event {
    Event {
        index: 0,
        time: 0,
        process: Actor::Process(Process(3)),
        kind: EventKind::Ok,
        f: Cow::Borrowed("read"),
        value,
        error: None,
        node: None,
        scheduled: None,
        attempts: None,
        session: None,
        phase: None,
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<String>().prop_map(|text| Value::text(&text)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let entries = prop::collection::vec((any::<String>(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::List),
            entries.prop_map(|entries| Value::Map(
                entries.into_iter().map(|(key, value)| (Value::text(&key), value)).collect()
            )),
        ]
    })
}

fn line(bytes: &[u8]) -> Option<Event> {
    let file = [b"{\"format\":\"tribunal-history\",\"version\":1}\n", bytes, b"\n"].concat();
    jsonl::Reader::new(&file[..]).expect("a header").next().expect("a line").ok()
}

proptest! {
    #[test]
    fn events_come_back_as_serde_json_has_them(
        value in values(),
        f in any::<String>(),
        error in any::<Option<String>>(),
        (node, scheduled, attempts, session) in any::<(Option<u32>, Option<u64>, Option<u32>, Option<u64>)>(),
    ) {
        let event = Event {
            f: f.into(), error: error.map(Into::into), node, scheduled, attempts, session, ..event(value)
        };
        let bytes = serde_json::to_vec(&event).expect("JSON");
        prop_assert_eq!(line(&bytes), Some(event));
    }

    #[test]
    fn damaged_lines_are_refused_or_read_as_serde_json_does(
        nth in 1..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:\\u0d8e19-+.tfn \t\xc3\xff".to_vec())), 1..4),
    ) {
        let mut bytes = SAMPLES[0].lines().nth(nth).expect("a line").as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(line(&bytes), serde_json::from_slice::<Event>(&bytes).ok());
    }

    #[test]
    fn no_damage_makes_a_parser_panic(
        sample in 0..7_usize,
        format in 0..8_usize,
        cut in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = SAMPLES[sample].as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = all(&bytes, Format::ALL.get(format).copied());
        let _ = all(&bytes, None);
    }
}
