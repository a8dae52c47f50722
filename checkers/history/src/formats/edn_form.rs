//! EDN's forms: where one starts and ends, and the value that it stands for. See `edn` for what becomes of what.

use crate::error::Fault;
use crate::json::DEPTH_MAX;
use crate::value::Value;

type Parsed<T> = Result<T, Fault>;

/// A position in a text.
pub(super) struct Edn<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// Nobody needs the value: numbers that are no integers of 64 bits pass as nil.
    tolerant: bool,
    /// Elements of the collections that are open; each is moved out with its exact size when it closes.
    elements: Vec<Value>,
}

impl<'a> Edn<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, depth: 0, tolerant: false, elements: Vec::new() }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What was read since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// Takes the byte that [`Edn::peek`] showed.
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn fault<T>(&self, message: impl Into<String>) -> Parsed<T> {
        self.fault_at(self.at, message)
    }

    pub(super) fn fault_at<T>(&self, offset: usize, message: impl Into<String>) -> Parsed<T> {
        Err(Fault { offset, message: message.into() })
    }

    pub(super) fn expected<T>(&self, what: &str) -> Parsed<T> {
        match self.bytes.get(self.at) {
            None => self.fault(format!("expected {what}, but nothing follows")),
            Some(byte) => self.fault(format!("expected {what}, found `{}`", byte.escape_ascii())),
        }
    }

    /// The next byte that is no space, comma, comment or discarded form; not taken.
    pub(super) fn peek(&mut self) -> Parsed<Option<u8>> {
        loop {
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(byte) if byte.is_ascii_whitespace() => self.at += 1,
                Some(b';') => {
                    let comment = &self.bytes[self.at..];
                    let end = comment.iter().position(|byte| *byte == b'\n');
                    self.at += end.unwrap_or(comment.len());
                }
                Some(b'#') if self.bytes.get(self.at + 1) == Some(&b'_') => {
                    self.nested(2, |edn| {
                        edn.any()?;
                        Ok(())
                    })?
                }
                other => return Ok(other.copied()),
            }
        }
    }

    /// A key of an event: its name if it is a keyword or text, otherwise nothing that anybody knows.
    pub(super) fn key(&mut self) -> Parsed<Box<str>> {
        Ok(match self.any()? {
            Value::Text(text) => text,
            _ => Box::default(),
        })
    }

    /// A keyword, symbol or text.
    pub(super) fn name(&mut self, what: &str) -> Parsed<Box<str>> {
        self.peek()?;
        let start = self.at;
        match self.any()? {
            Value::Text(text) => Ok(text),
            other => self.fault_at(start, format!("expected {what} as a keyword, found {other}")),
        }
    }

    /// Takes `nil`, if it is next.
    pub(super) fn nil(&mut self) -> Parsed<bool> {
        let start = self.at;
        let nil = self.peek()? == Some(b'n') && self.token() == b"nil";
        if !nil {
            self.at = start;
        }
        Ok(nil)
    }

    /// Nanoseconds; none if it is no number, or less than nothing.
    pub(super) fn time(&mut self) -> Parsed<Option<u64>> {
        self.peek()?;
        let start = self.at;
        self.any()?;
        let text = std::str::from_utf8(self.since(start)).unwrap_or_default();
        let whole = text.parse::<u64>().ok();
        // Saturates: a time beyond 584 years is nobody's.
        let float = || text.parse::<f64>().ok().filter(|time| *time >= 0.0).map(|time| time as u64);
        Ok(whole.or_else(float))
    }

    /// Any form; numbers that a value cannot hold are nil.
    pub(super) fn any(&mut self) -> Parsed<Value> {
        let before = std::mem::replace(&mut self.tolerant, true);
        let value = self.value();
        self.tolerant = before;
        value
    }

    /// A form.
    pub(super) fn value(&mut self) -> Parsed<Value> {
        match self.peek()? {
            Some(b'"') => self.string(),
            Some(b'[') => self.nested(1, |edn| edn.list(b']')),
            Some(b'(') => self.nested(1, |edn| edn.list(b')')),
            Some(b'{') => self.nested(1, Self::map),
            Some(b'#') if self.bytes.get(self.at + 1) == Some(&b'{') => {
                self.nested(2, |edn| edn.list(b'}'))
            }
            Some(b'#') => self.nested(0, |edn| {
                edn.tag()?;
                edn.value()
            }),
            Some(b'^') => self.nested(1, |edn| {
                edn.any()?;
                edn.value()
            }),
            Some(b'\\') => self.character(),
            Some(b'0'..=b'9') => self.number(),
            Some(b'+' | b'-') if matches!(self.bytes.get(self.at + 1), Some(b'0'..=b'9')) => {
                self.number()
            }
            Some(b']' | b')' | b'}') | None => self.expected("a value"),
            Some(_) => self.symbol(),
        }
    }

    fn nested<T>(&mut self, skip: usize, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return self.fault(format!("nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        self.at += skip;
        let result = read(self)?;
        self.depth -= 1;
        Ok(result)
    }

    /// `#` and a symbol.
    pub(super) fn tag(&mut self) -> Parsed<()> {
        self.at += 1;
        match self.bytes.get(self.at) {
            // `##Inf` and `##NaN` are floats.
            Some(b'#') => {
                self.at += 1;
                let start = self.at;
                self.token();
                if !self.tolerant {
                    return self.fault_at(start, NO_FLOATS);
                }
                // Stands for the form that a tag is followed by.
                self.at = start;
                Ok(())
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                self.token();
                Ok(())
            }
            _ => self.expected("a tag after `#`"),
        }
    }

    fn list(&mut self, close: u8) -> Parsed<Value> {
        let first = self.elements.len();
        while self.peek()? != Some(close) {
            let element = self.value()?;
            self.elements.push(element);
        }
        self.at += 1;
        Ok(Value::List(self.elements.drain(first..).collect()))
    }

    fn map(&mut self) -> Parsed<Value> {
        let mut entries = Vec::new();
        while self.peek()? != Some(b'}') {
            let key = self.value()?;
            entries.push((key, self.value()?));
        }
        self.at += 1;
        Ok(Value::Map(entries))
    }

    /// The bytes up to a delimiter.
    pub(super) fn token(&mut self) -> &'a [u8] {
        let start = self.at;
        let delimits = |byte: &u8| {
            byte.is_ascii_whitespace()
                || matches!(
                    byte,
                    b',' | b';' | b'"' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'\\'
                )
        };
        let rest = &self.bytes[start..];
        self.at += rest.iter().position(delimits).unwrap_or(rest.len());
        self.since(start)
    }

    fn utf8(&self, start: usize, bytes: &'a [u8]) -> Parsed<&'a str> {
        std::str::from_utf8(bytes)
            .or_else(|error| self.fault_at(start + error.valid_up_to(), "invalid UTF-8"))
    }

    fn symbol(&mut self) -> Parsed<Value> {
        let start = self.at;
        let token = self.token();
        Ok(match self.utf8(start, token)? {
            "" | ":" => return self.fault_at(start, "expected a value"),
            "nil" => Value::Nil,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            name => Value::text(name.strip_prefix(':').unwrap_or(name)),
        })
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        let token = self.token();
        let token = self.utf8(start, token)?;
        let digits = token.trim_start_matches(['+', '-']);
        let whole = digits.strip_suffix('N').unwrap_or(digits);
        if whole.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = token.strip_suffix('N').unwrap_or(token).parse();
            return match number {
                Ok(number) => Ok(Value::Int(number)),
                Err(_) if self.tolerant => Ok(Value::Nil),
                Err(_) => {
                    let shown = &token[..token.len().min(40)];
                    self.fault_at(start, format!("the integer {shown} does not fit in 64 bits"))
                }
            };
        }
        let part = |byte: u8| byte.is_ascii_digit() || b"./eE+-M".contains(&byte);
        if !digits.bytes().all(part) {
            return self.fault_at(start, format!("`{token}` is no number"));
        }
        if self.tolerant { Ok(Value::Nil) } else { self.fault_at(start, NO_FLOATS) }
    }

    /// A backslash and a character, or its name.
    fn character(&mut self) -> Parsed<Value> {
        self.at += 1;
        let start = self.at;
        // The character itself may be a delimiter.
        let width = self.bytes[start..].utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let Some(first) = width.chars().next() else {
            return self.expected("a character after `\\`");
        };
        self.at += first.len_utf8();
        self.token();
        let name = self.utf8(start, self.since(start))?;
        let char = match name {
            "newline" => '\n',
            "return" => '\r',
            "space" => ' ',
            "tab" => '\t',
            "backspace" => '\u{8}',
            "formfeed" => '\u{c}',
            _ if name.len() == first.len_utf8() => first,
            _ => match name.strip_prefix('u').and_then(code) {
                Some(char) => char,
                None => return self.fault_at(start, format!("`\\{name}` is no character")),
            },
        };
        Ok(Value::text(char.encode_utf8(&mut [0; 4])))
    }

    fn string(&mut self) -> Parsed<Value> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            let rest = &self.bytes[start..];
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
                self.at = self.bytes.len();
                return self.expected("the closing quote of a text");
            };
            self.at += end + 1;
            let plain = self.utf8(start, &rest[..end])?;
            if rest[end] == b'"' {
                return Ok(Value::Text(if text.is_empty() {
                    plain.into()
                } else {
                    text.push_str(plain);
                    text.into_boxed_str()
                }));
            }
            text.push_str(plain);
            text.push(self.escape()?);
        }
    }

    /// What follows a backslash in a text.
    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        let Some(byte) = self.bytes.get(start) else {
            return self.expected("an escape");
        };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'\'' => char::from(*byte),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => return self.unicode(),
            b'0'..=b'7' => {
                self.at = start;
                let mut code = 0;
                while let Some(digit @ b'0'..=b'7') = self.bytes.get(self.at)
                    && self.at < start + 3
                {
                    code = code * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                char::from_u32(code).unwrap_or_default()
            }
            _ => return self.fault_at(start, "expected one of `\"\\nrtbfu` after a backslash"),
        })
    }

    /// Four hexadecimal digits, or two times four that are a surrogate pair as Java's are.
    fn unicode(&mut self) -> Parsed<char> {
        let start = self.at;
        let unit = |at: usize| {
            let digits = self.bytes.get(at..at + 4)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let Some(first) = unit(start) else {
            return self.expected("four hexadecimal digits");
        };
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.bytes[start + 4..].starts_with(b"\\u") {
            units.extend(unit(start + 6));
        }
        self.at = start + units.len() * 6 - 2;
        match char::decode_utf16(units).next() {
            Some(Ok(char)) => Ok(char),
            _ => self.fault_at(start, "a lone half of a surrogate pair"),
        }
    }
}

const NO_FLOATS: &str =
    "expected a whole number: floats cannot be told apart exactly, so values hold none";

/// The character of that hexadecimal number.
fn code(digits: &str) -> Option<char> {
    if digits.len() != 4 {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}
