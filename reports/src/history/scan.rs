//! Splits one line into keys and values, without building anything per line.
//!
//! Not a general JSON parser: it takes exactly one object whose values have the shapes of [`Key`], and
//! refuses all else. Written by hand because `serde_json` with derived flat options costs several times as much
//! per line (see the crate's bench), and reading has to keep up with the checkers.

use super::error::Problem;
use super::event::{Message, PageItem, User};
use super::keys::{Key, Shape};
use super::limits;

/// A string's bytes on the line, between its quotes.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
    escaped: bool,
}

/// The fields of one line. Reused from line to line; what was seen is in `seen`, all else is stale.
#[derive(Debug)]
pub(super) struct Fields {
    seen: u64,
    numbers: [u64; Key::ALL.len()],
    spans: [Span; Key::ALL.len()],
    users: [Vec<User>; 3],
    items: Vec<PageItem>,
}

impl Default for Fields {
    fn default() -> Self {
        const { assert!(Key::ALL.len() <= 64, "`seen` has one bit per key") };
        Self {
            seen: 0,
            numbers: [0; Key::ALL.len()],
            spans: [Span::default(); Key::ALL.len()],
            users: [const { Vec::new() }; 3],
            items: Vec::new(),
        }
    }
}

impl Fields {
    /// Reads a line.
    pub(super) fn scan<'a>(&'a mut self, line: &'a [u8]) -> Result<View<'a>, Problem> {
        if line.len() > limits::LINE_BYTES_MAX {
            return Err(Problem::LineTooLong);
        }
        std::str::from_utf8(line).map_err(|error| Problem::NotUtf8(error.valid_up_to() + 1))?;
        self.seen = 0;
        Scanner { line, at: 0 }.object(self)?;
        Ok(View { fields: self, line })
    }

    fn mark(&mut self, key: Key) -> Result<(), Problem> {
        let bit = 1 << key as u8;
        if self.seen & bit != 0 {
            return Err(Problem::Twice { key: key.name() });
        }
        self.seen |= bit;
        Ok(())
    }

    fn users_mut(&mut self, key: Key) -> &mut Vec<User> {
        &mut self.users[match key {
            Key::Members => 0,
            Key::Added => 1,
            _ => 2,
        }]
    }
}

/// The fields of one line, to be taken one by one. What is left at the end does not belong there.
#[derive(Debug)]
pub(super) struct View<'a> {
    fields: &'a mut Fields,
    line: &'a [u8],
}

impl<'a> View<'a> {
    fn take(&mut self, key: Key) -> bool {
        let bit = 1 << key as u8;
        let had = self.fields.seen & bit != 0;
        self.fields.seen &= !bit;
        had
    }

    /// Some key that nobody took.
    pub(super) fn left(&self) -> Option<Key> {
        Key::ALL.get(self.fields.seen.trailing_zeros() as usize).copied()
    }

    pub(super) fn optional(&mut self, key: Key) -> Option<u64> {
        self.take(key).then(|| self.fields.numbers[key as usize])
    }

    pub(super) fn number(&mut self, key: Key) -> Result<u64, Problem> {
        self.optional(key).ok_or(Problem::Missing { key: key.name() })
    }

    pub(super) fn narrow(&mut self, key: Key) -> Result<u32, Problem> {
        let wanted = "a whole number below 2^32";
        u32::try_from(self.number(key)?).map_err(|_| Problem::Value { key: key.name(), wanted })
    }

    /// `false` when absent.
    pub(super) fn flag(&mut self, key: Key) -> bool {
        self.optional(key) == Some(1)
    }

    pub(super) fn flag_stated(&mut self, key: Key) -> Result<bool, Problem> {
        Ok(self.number(key)? == 1)
    }

    /// The bytes of a string without escapes; words of the format never need any.
    pub(super) fn word(&mut self, key: Key) -> Result<&'a [u8], Problem> {
        if !self.take(key) {
            return Err(Problem::Missing { key: key.name() });
        }
        let span = self.fields.spans[key as usize];
        Ok(&self.line[span.start as usize..span.end as usize])
    }

    pub(super) fn text(&mut self, key: Key, bytes_max: usize) -> Result<String, Problem> {
        let raw = self.word(key)?;
        let span = self.fields.spans[key as usize];
        let text = if span.escaped {
            let quoted = &self.line[span.start as usize - 1..=span.end as usize];
            let wanted = "a string with valid escapes";
            serde_json::from_slice(quoted).map_err(|_| Problem::Value { key: key.name(), wanted })?
        } else {
            String::from_utf8_lossy(raw).into_owned()
        };
        if text.len() > bytes_max {
            return Err(Problem::TooMuch { key: key.name(), max: bytes_max });
        }
        Ok(text)
    }

    /// Empty when absent.
    pub(super) fn users(&mut self, key: Key) -> Vec<User> {
        if self.take(key) { self.fields.users_mut(key).clone() } else { Vec::new() }
    }

    pub(super) fn users_stated(&mut self, key: Key) -> Result<Vec<User>, Problem> {
        if self.take(key) {
            Ok(self.fields.users_mut(key).clone())
        } else {
            Err(Problem::Missing { key: key.name() })
        }
    }

    pub(super) fn items(&mut self) -> Result<Vec<PageItem>, Problem> {
        let key = Key::Items;
        if self.take(key) { Ok(self.fields.items.clone()) } else { Err(Problem::Missing { key: key.name() }) }
    }
}

struct Scanner<'a> {
    line: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn object(&mut self, fields: &mut Fields) -> Result<(), Problem> {
        self.expect(b'{', "{")?;
        if self.next_is(b'}') {
            return self.end();
        }
        loop {
            let name = self.string("a key in quotes")?;
            let name = &self.line[name.start as usize..name.end as usize];
            let key = Key::from_name(name).ok_or_else(|| Problem::UnknownField(Problem::quote(name)))?;
            self.expect(b':', ":")?;
            self.value(key, fields)?;
            if self.next_is(b',') {
                continue;
            }
            self.expect(b'}', ", or }")?;
            return self.end();
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        self.skip_space();
        if self.at < self.line.len() { Err(self.malformed("the end of the line")) } else { Ok(()) }
    }

    fn value(&mut self, key: Key, fields: &mut Fields) -> Result<(), Problem> {
        if self.null() {
            return Ok(());
        }
        fields.mark(key)?;
        let wrong = |wanted| Problem::Value { key: key.name(), wanted };
        let slot = key as usize;
        match key.shape() {
            Shape::Number => {
                fields.numbers[slot] = self.unsigned().ok_or(wrong("a whole number from 0 to 2^64 - 1"))?;
            }
            Shape::Text => {
                if self.line.get(self.at) != Some(&b'"') {
                    return Err(wrong("a string"));
                }
                fields.spans[slot] = self.string("a string")?;
            }
            Shape::Digest => {
                fields.numbers[slot] = self.digest().ok_or(wrong("a string of 16 hexadecimal digits"))?;
            }
            Shape::Flag => {
                let flag = if self.word(b"true") { Some(1) } else { self.word(b"false").then_some(0) };
                fields.numbers[slot] = flag.ok_or(wrong("true or false"))?;
            }
            Shape::Users => self.users(key, fields.users_mut(key))?,
            Shape::Items => self.items(&mut fields.items)?,
        }
        Ok(())
    }

    fn users(&mut self, key: Key, users: &mut Vec<User>) -> Result<(), Problem> {
        let wrong = Problem::Value { key: key.name(), wanted: "an array of user numbers below 2^32" };
        users.clear();
        self.array(&wrong, |scanner| {
            if users.len() == limits::USERS_PER_LIST_MAX {
                return Err(Problem::TooMuch { key: key.name(), max: limits::USERS_PER_LIST_MAX });
            }
            let user = scanner.unsigned().and_then(|number| u32::try_from(number).ok());
            users.push(User(user.ok_or_else(|| wrong.clone())?));
            Ok(())
        })
    }

    fn items(&mut self, items: &mut Vec<PageItem>) -> Result<(), Problem> {
        let key = Key::Items.name();
        let wrong = Problem::Value { key, wanted: "an array of [seq or null, message or null, digest]" };
        items.clear();
        self.array(&wrong, |scanner| {
            if items.len() == limits::PAGE_ITEMS_MAX {
                return Err(Problem::TooMuch { key, max: limits::PAGE_ITEMS_MAX });
            }
            let item = scanner.item().ok_or_else(|| wrong.clone())?;
            items.push(item);
            Ok(())
        })
    }

    fn item(&mut self) -> Option<PageItem> {
        self.next_is(b'[').then_some(())?;
        let seq = if self.null() { None } else { Some(self.unsigned()?) };
        self.next_is(b',').then_some(())?;
        let message = if self.null() { None } else { Some(Message(self.unsigned()?)) };
        self.next_is(b',').then_some(())?;
        self.skip_space();
        let digest = self.digest()?;
        self.next_is(b']').then_some(PageItem { seq, message, digest })
    }

    fn null(&mut self) -> bool {
        self.skip_space();
        self.line.get(self.at) == Some(&b'n') && self.word(b"null")
    }

    fn array(
        &mut self,
        wrong: &Problem,
        mut element: impl FnMut(&mut Self) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if !self.next_is(b'[') {
            return Err(wrong.clone());
        }
        if self.next_is(b']') {
            return Ok(());
        }
        loop {
            self.skip_space();
            element(self)?;
            if self.next_is(b']') {
                return Ok(());
            }
            self.expect(b',', ", or ]")?;
        }
    }

    fn unsigned(&mut self) -> Option<u64> {
        // So many digits fit, whatever they are; only a longer number can be too large.
        const DIGITS_SAFE: usize = 19;
        let rest = &self.line[self.at.min(self.line.len())..];
        let mut value = 0_u64;
        let mut length = 0;
        while let Some(digit) =
            rest.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            value = if length < DIGITS_SAFE {
                value * 10 + u64::from(digit)
            } else {
                value.checked_mul(10)?.checked_add(u64::from(digit))?
            };
            length += 1;
        }
        self.at += length;
        let fraction = matches!(rest.get(length), Some(b'.' | b'e' | b'E'));
        (length > 0 && (length == 1 || rest[0] != b'0') && !fraction).then_some(value)
    }

    fn digest(&mut self) -> Option<u64> {
        const DIGITS: usize = 16;
        let [b'"', digits @ .., b'"'] = self.line.get(self.at..self.at + DIGITS + 2)? else { return None };
        let (mut value, mut wrong) = (0, 0);
        for digit in digits {
            let nibble = NIBBLES[*digit as usize];
            wrong |= nibble;
            value = value << 4 | u64::from(nibble & 0xf);
        }
        if wrong & NO_NIBBLE != 0 {
            return None;
        }
        self.at += DIGITS + 2;
        Some(value)
    }

    fn string(&mut self, expected: &'static str) -> Result<Span, Problem> {
        self.expect(b'"', expected)?;
        let start = self.at as u32;
        let mut escaped = false;
        loop {
            match self.line.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(byte) if *byte >= b' ' => self.at += 1,
                _ => return Err(self.malformed("the end of a string")),
            }
        }
        let end = self.at as u32;
        self.at += 1;
        Ok(Span { start, end, escaped })
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let found = self.line[self.at.min(self.line.len())..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.line.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Problem> {
        if self.next_is(byte) { Ok(()) } else { Err(self.malformed(expected)) }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.line.get(self.at) {
            self.at += 1;
        }
    }

    fn malformed(&self, expected: &'static str) -> Problem {
        Problem::Malformed { column: self.at.min(self.line.len()) + 1, expected }
    }
}

/// Marks a byte that is no hexadecimal digit.
const NO_NIBBLE: u8 = 0x80;

/// What a hexadecimal digit counts.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_NIBBLE; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        nibbles[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};
