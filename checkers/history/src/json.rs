//! Reads events and values from JSON bytes, without a tree in between: reading is most of what judging a long history costs.
//!
//! Accepts what serde_json accepts for [`Event`], which is its oracle in `tests/json_oracle.rs`, but for two things: an event
//! is an object, never an array, and a value may be nested [`DEPTH_MAX`] deep. The lenient mode is for the files of others:
//! there a time may be a float, an error any value, and a newline is a space.

use crate::error::Fault;
use crate::event::{Actor, Event, EventKind, Process};
use crate::record::{Record, intern, kind};
use crate::value::Value;
use std::borrow::Cow;

/// How deep lists and maps may be nested: deeper ones would exhaust the stack.
pub(crate) const DEPTH_MAX: usize = 128;

type Parsed<T> = Result<T, Fault>;

/// A position in a text.
#[derive(Debug)]
pub(crate) struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    lenient: bool,
    /// Elements of the lists that are open; each list is moved out with its exact size when it closes.
    elements: Vec<Value>,
}

/// A number before anybody has said what it must be.
enum Number {
    Integer { negative: bool, magnitude: u64 },
    TooLarge,
    Float,
}

impl<'a> Json<'a> {
    /// At the start of lines that hold one event each.
    pub(crate) fn lines(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0, lenient: false, elements: Vec::new() }
    }

    /// At `at` of a file of another project.
    pub(crate) fn lenient(bytes: &'a [u8], at: usize) -> Self {
        Self { at, lenient: true, ..Self::lines(bytes) }
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// An error here.
    pub(crate) fn fault<T>(&self, message: impl Into<String>) -> Parsed<T> {
        self.fault_at(self.at, message)
    }

    fn fault_at<T>(&self, offset: usize, message: impl Into<String>) -> Parsed<T> {
        Err(Fault { offset, message: message.into() })
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        match self.bytes.get(self.at) {
            None => self.fault(format!("expected {what}, but the file ends")),
            Some(b'\n') => self.fault(format!("expected {what}, but the line ends")),
            Some(byte) => self.fault(format!("expected {what}, found `{}`", byte.escape_ascii())),
        }
    }

    /// The next byte that is no space, not taken.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\n') if self.lenient => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes `byte` if it is next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// One event of ours and the end of its line.
    #[inline]
    pub(crate) fn event(&mut self) -> Parsed<Event> {
        let start = self.at;
        let record = self.record()?;
        match self.peek() {
            None => {}
            Some(b'\n') => self.at += 1,
            Some(_) => return self.expected("the end of the line"),
        }
        record.complete().or_else(|key| self.fault_at(start, format!("the event has no `{key}`")))
    }

    /// One event, of which keys may be missing.
    #[inline]
    pub(crate) fn record(&mut self) -> Parsed<Record> {
        let open = self.at;
        let (mut record, mut seen) = (Record::default(), 0_u16);
        if !self.lenient && self.ours(&mut record).is_some() {
            record.value = self.value()?;
            if self.take(b'}') {
                return Ok(record);
            }
            if !self.take(b',') {
                return self.expected("`,` or `}` after a value");
            }
            seen = 0b11_1111;
        } else {
            (self.at, record) = (open, Record::default());
            if !self.take(b'{') {
                return self.expected("an event, which starts with `{`");
            }
            if self.take(b'}') {
                return Ok(record);
            }
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.expected("a key in quotes");
            }
            let start = self.at;
            let key = self.string()?;
            if !self.take(b':') {
                return self.expected("`:` after a key");
            }
            self.peek();
            if let Some(bit) = self.entry(&key, &mut record)? {
                if seen & bit != 0 {
                    return self.fault_at(start, format!("the key `{key}` stands twice"));
                }
                seen |= bit;
            }
            if self.take(b'}') {
                return Ok(record);
            }
            if !self.take(b',') {
                return self.expected("`,` or `}` after a value");
            }
        }
    }

    /// What precedes the value as our writer writes it, which is what nearly every line is; none if it stands otherwise, and
    /// then what was read is to be read again.
    #[inline]
    fn ours(&mut self, record: &mut Record) -> Option<()> {
        self.literal(b"{\"index\":")?;
        record.index = Some(self.plain_number()?);
        self.literal(b",\"time\":")?;
        record.time = Some(self.plain_number()?);
        self.literal(b",\"process\":")?;
        record.process = Some(Actor::Process(Process(self.plain_number()?)));
        self.literal(b",\"type\":\"")?;
        let kinds = [
            (&b"invoke\","[..], EventKind::Invoke),
            (b"ok\",", EventKind::Ok),
            (b"info\",", EventKind::Info),
            (b"fail\",", EventKind::Fail),
        ];
        record.kind = kinds.into_iter().find_map(|(name, kind)| self.literal(name).map(|()| kind));
        record.kind?;
        self.literal(b"\"f\":\"")?;
        self.at -= 1;
        record.f = Some(intern(&self.string().ok()?));
        self.literal(b",\"value\":")
    }

    #[inline]
    fn literal(&mut self, literal: &[u8]) -> Option<()> {
        let found = self.bytes[self.at..].starts_with(literal);
        self.at += if found { literal.len() } else { 0 };
        found.then_some(())
    }

    /// A whole number that surely fits and has no leading 0; what follows is for the caller to judge.
    #[inline]
    fn plain_number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            if self.at - start == 18 {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        let led = self.at > start + 1 && self.bytes[start] == b'0';
        (self.at > start && !led).then_some(number)
    }

    /// The value of `key`; answers a bit that stands for the key, none if nobody needs it.
    #[inline]
    fn entry(&mut self, key: &str, record: &mut Record) -> Parsed<Option<u16>> {
        let bit = match key {
            "index" => {
                record.index = Some(self.unsigned("index")?);
                0
            }
            "time" => {
                record.time = self.time()?;
                1
            }
            "process" => {
                record.process = self.process()?;
                2
            }
            "type" => {
                let start = self.at;
                let name = self.text("type")?;
                let Some(kind) = kind(&name) else {
                    return self.fault_at(
                        start,
                        format!("expected invoke, ok, fail or info, found `{name}`"),
                    );
                };
                record.kind = Some(kind);
                3
            }
            "f" => {
                record.f = if self.lenient && self.null()? {
                    None
                } else {
                    Some(intern(&self.text("f")?))
                };
                4
            }
            "value" => {
                record.value = self.value()?;
                5
            }
            "error" => {
                record.error = self.error()?;
                6
            }
            // Other projects give these keys meanings of their own.
            _ if self.lenient => {
                self.skip()?;
                return Ok(None);
            }
            "node" => {
                record.node = self.optional(|json| json.small("node"))?;
                7
            }
            "scheduled" => {
                record.scheduled = self.optional(|json| json.unsigned("scheduled"))?;
                8
            }
            "attempts" => {
                record.attempts = self.optional(|json| json.small("attempts"))?;
                9
            }
            "session" => {
                record.session = self.optional(|json| json.unsigned("session"))?;
                10
            }
            "phase" => {
                record.phase = self.optional(|json| Ok(intern(&json.text("phase")?)))?;
                11
            }
            _ => {
                self.skip()?;
                return Ok(None);
            }
        };
        Ok(Some(1 << bit))
    }

    fn time(&mut self) -> Parsed<Option<u64>> {
        if self.lenient && !matches!(self.peek(), Some(b'0'..=b'9')) {
            self.skip()?;
            return Ok(None);
        }
        let start = self.at;
        match self.number()? {
            Number::Integer { negative: false, magnitude } => Ok(Some(magnitude)),
            Number::Float if self.lenient => {
                let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
                // Saturates: a time beyond 584 years is nobody's.
                Ok(text.parse::<f64>().ok().map(|time| time as u64))
            }
            _ => self.fault_at(start, "expected `time` as a whole number of nanoseconds"),
        }
    }

    fn process(&mut self) -> Parsed<Option<Actor>> {
        let start = self.at;
        if self.lenient && self.null()? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Ok(Some(Actor::Process(Process(self.unsigned("process")?))));
        }
        match &*self.string()? {
            "nemesis" => Ok(Some(Actor::Nemesis)),
            other => self.fault_at(
                start,
                format!("expected a process number or \"nemesis\", found \"{other}\""),
            ),
        }
    }

    fn error(&mut self) -> Parsed<Option<Cow<'static, str>>> {
        if self.null()? {
            return Ok(None);
        }
        if !self.lenient || self.peek() == Some(b'"') {
            return Ok(Some(intern(&self.text("error")?)));
        }
        let start = self.at;
        self.skip()?;
        Ok(Some(intern(&String::from_utf8_lossy(&self.bytes[start..self.at]))))
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<Option<T>> {
        if self.null()? { Ok(None) } else { read(self).map(Some) }
    }

    fn text(&mut self, key: &str) -> Parsed<Cow<'a, str>> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => self.expected(&format!("`{key}` as a text")),
        }
    }

    #[inline]
    fn unsigned(&mut self, key: &str) -> Parsed<u64> {
        let start = self.at;
        if !matches!(self.peek(), Some(b'0'..=b'9' | b'-')) {
            return self.expected(&format!("`{key}` as a whole number"));
        }
        match self.number()? {
            Number::Integer { negative: false, magnitude } => Ok(magnitude),
            Number::Integer { .. } => self.fault_at(start, format!("`{key}` must not be negative")),
            _ => self.fault_at(start, format!("expected `{key}` as a whole number of 64 bits")),
        }
    }

    fn small(&mut self, key: &str) -> Parsed<u32> {
        let start = self.at;
        let number = self.unsigned(key)?;
        u32::try_from(number)
            .or_else(|_| self.fault_at(start, format!("`{key}` does not fit in 32 bits")))
    }

    fn null(&mut self) -> Parsed<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word("null").map(|()| true)
    }

    fn word(&mut self, word: &str) -> Parsed<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.expected("a JSON value");
        }
        self.at += word.len();
        Ok(())
    }

    /// A value, of which floats are no part.
    pub(crate) fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.integer().map(Value::Int),
            Some(b'"') => Ok(Value::Text(match self.string()? {
                Cow::Borrowed(text) => text.into(),
                Cow::Owned(text) => text.into_boxed_str(),
            })),
            Some(b'[') => self.nested(Self::list),
            Some(b'{') => self.nested(Self::map),
            Some(b't') => self.word("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Value::Nil),
            _ => self.expected("a value"),
        }
    }

    #[inline]
    fn integer(&mut self) -> Parsed<i64> {
        let start = self.at;
        let number = self.plain_number();
        if let Some(number) = number
            && !matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'))
        {
            return Ok(number.cast_signed());
        }
        self.at = start;
        let too_large = match self.number()? {
            Number::Integer { negative: false, magnitude } => i64::try_from(magnitude).ok(),
            // Minus zero is a float, as for serde_json.
            Number::Integer { negative: true, magnitude } if magnitude > 0 => {
                0_i64.checked_sub_unsigned(magnitude)
            }
            Number::TooLarge => None,
            _ => {
                return self.fault_at(
                    start,
                    "expected a whole number: floats cannot be told apart exactly, so values hold none",
                );
            }
        };
        let shown = &self.bytes[start..self.at];
        too_large.map_or_else(
            || {
                let text = String::from_utf8_lossy(&shown[..shown.len().min(40)]);
                self.fault_at(start, format!("the integer {text} does not fit in 64 bits"))
            },
            Ok,
        )
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return self.fault(format!("nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        self.at += 1;
        let result = read(self)?;
        self.depth -= 1;
        Ok(result)
    }

    fn list(&mut self) -> Parsed<Value> {
        let first = self.elements.len();
        if !self.take(b']') {
            loop {
                let element = self.value()?;
                self.elements.push(element);
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return self.expected("`,` or `]` after an element");
                }
            }
        }
        Ok(Value::List(self.elements.drain(first..).collect()))
    }

    fn map(&mut self) -> Parsed<Value> {
        let mut entries = Vec::new();
        self.entries(|json, key| {
            let value = json.value()?;
            entries.push((Value::text(&key), value));
            Ok(())
        })?;
        Ok(Value::Map(entries))
    }

    /// The entries of a map whose `{` was taken.
    fn entries(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = match self.peek() {
                Some(b'"') => self.string()?,
                _ => return self.expected("a key in quotes"),
            };
            if !self.take(b':') {
                return self.expected("`:` after a key");
            }
            each(self, key)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.expected("`,` or `}` after a value");
            }
        }
    }

    /// Any value, floats too, which nobody needs.
    fn skip(&mut self) -> Parsed<()> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.nested(|json| json.entries(|json, _| json.skip())),
            Some(b'[') => self.nested(|json| {
                if json.take(b']') {
                    return Ok(());
                }
                loop {
                    json.skip()?;
                    if json.take(b']') {
                        return Ok(());
                    }
                    if !json.take(b',') {
                        return json.expected("`,` or `]` after an element");
                    }
                }
            }),
            _ => self.value().map(drop),
        }
    }

    #[inline]
    fn number(&mut self) -> Parsed<Number> {
        let negative = self.bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let mut magnitude = Some(0_u64);
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            let digit = u64::from(digit - b'0');
            magnitude = magnitude.and_then(|sum| sum.checked_mul(10)?.checked_add(digit));
            self.at += 1;
        }
        if self.at == first {
            return self.expected("a digit");
        }
        if self.at > first + 1 && self.bytes[first] == b'0' {
            return self.fault_at(first, "a number does not start with 0");
        }
        if self.fraction()? {
            return Ok(Number::Float);
        }
        Ok(match magnitude {
            Some(0) if negative => Number::Float,
            Some(magnitude) => Number::Integer { negative, magnitude },
            None => Number::TooLarge,
        })
    }

    /// What makes a float of a number; false if nothing does.
    fn fraction(&mut self) -> Parsed<bool> {
        let mut float = false;
        if self.bytes.get(self.at) == Some(&b'.') {
            float = true;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(float)
    }

    fn digits(&mut self) -> Parsed<()> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        if self.at == first { self.expected("a digit") } else { Ok(()) }
    }

    /// A text, at its opening quote.
    #[inline]
    fn string(&mut self) -> Parsed<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        let plain = self.plain()?;
        if self.bytes[self.at] == b'"' {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.at = start;
        let mut text = String::new();
        loop {
            text.push_str(self.plain()?);
            self.at += 1;
            if self.bytes[self.at - 1] == b'"' {
                return Ok(Cow::Owned(text));
            }
            text.push(self.escape()?);
        }
    }

    /// The bytes up to a quote or a backslash, which there surely is.
    #[inline]
    fn plain(&mut self) -> Parsed<&'a str> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        self.at += rest.iter().position(special).unwrap_or(rest.len());
        if !matches!(self.bytes.get(self.at), Some(b'"' | b'\\')) {
            return self.expected("the closing quote of a text");
        }
        std::str::from_utf8(&self.bytes[start..self.at])
            .or_else(|error| self.fault_at(start + error.valid_up_to(), "invalid UTF-8"))
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Parsed<char> {
        let Some(byte) = self.bytes.get(self.at) else {
            return self.expected("an escape");
        };
        let char = match byte {
            b'"' | b'\\' | b'/' => char::from(*byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return self.expected("one of `\"\\/bfnrtu` after a backslash"),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Parsed<char> {
        let start = self.at;
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        match char::from_u32(code) {
            Some(char) => Ok(char),
            None => self.fault_at(start, "a lone half of a surrogate pair"),
        }
    }

    /// `u` and four digits.
    fn hex(&mut self) -> Parsed<u32> {
        self.at += 1;
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return self.expected("four hexadecimal digits");
        }
        self.at += 4;
        Ok(digits
            .iter()
            .fold(0, |code, digit| code * 16 + char::from(*digit).to_digit(16).unwrap_or(0)))
    }
}
