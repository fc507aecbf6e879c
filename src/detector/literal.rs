//! The Python literals of ONNX metadata: Ultralytics writes `names` as `{0: 'person', 1: 'bicycle'}`, not as JSON.
//!
//! A small recursive parser over the subset that `repr()` of plain data makes (and JSON's words besides). It never
//! evaluates anything, and nesting is bounded.

use std::fmt;

/// How deep lists and dictionaries may nest.
const MAX_DEPTH: usize = 16;

/// A plain Python value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `None` or `null`.
    None,
    /// `True`, `False`, `true`, `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Str(String),
    /// A list or a tuple.
    List(Vec<Literal>),
    /// A dictionary, in the order of the text.
    Dict(Vec<(Literal, Literal)>),
}

/// Where and why a text is no literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralError {
    /// The byte at which it went wrong.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for LiteralError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

impl std::error::Error for LiteralError {}

impl Literal {
    /// Parses a whole text.
    pub fn parse(text: &str) -> Result<Literal, LiteralError> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.space();
        match parser.peek() {
            None => Ok(value),
            Some(_) => Err(parser.error("the end")),
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Literal::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Literal::Int(i) => Some(*i as f64),
            Literal::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Literal::Str(s) => Some(s),
            _ => None,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, expected: &'static str) -> LiteralError {
        LiteralError { at: self.at, expected }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: char) -> bool {
        self.space();
        let hit = self.rest().starts_with(token);
        self.at += if hit { token.len_utf8() } else { 0 };
        hit
    }

    fn value(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        if depth > MAX_DEPTH {
            return Err(self.error("less nesting"));
        }
        self.space();
        match self.peek() {
            Some('\'' | '"') => self.string().map(Literal::Str),
            Some('[') => self.sequence('[', ']', depth),
            Some('(') => self.sequence('(', ')', depth),
            Some('{') => self.dict(depth),
            Some('-' | '+' | '.' | '0'..='9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Literal, LiteralError> {
        let words = [
            ("None", Literal::None),
            ("null", Literal::None),
            ("True", Literal::Bool(true)),
            ("true", Literal::Bool(true)),
            ("False", Literal::Bool(false)),
            ("false", Literal::Bool(false)),
        ];
        for (word, value) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("a Python literal"))
    }

    fn number(&mut self) -> Result<Literal, LiteralError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E' | '_'))
            .unwrap_or(rest.len());
        let digits = rest[..end].replace('_', "");
        let value = digits
            .parse()
            .map(Literal::Int)
            .or_else(|_| digits.parse().map(Literal::Float))
            .map_err(|_| self.error("a number"))?;
        self.at += end;
        Ok(value)
    }

    fn string(&mut self) -> Result<String, LiteralError> {
        let Some(quote) = self.peek() else { return Err(self.error("a string")) };
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(self.error("the closing quote")) };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(out),
                '\\' => out.push(self.escape()?),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, LiteralError> {
        let Some(c) = self.peek() else { return Err(self.error("an escape")) };
        self.at += c.len_utf8();
        match c {
            '\\' | '\'' | '"' | '/' => Ok(c),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'x' => self.hex(2),
            'u' => self.hex(4),
            'U' => self.hex(8),
            _ => Err(self.error("a known escape")),
        }
    }

    fn hex(&mut self, digits: usize) -> Result<char, LiteralError> {
        let code = self.rest().get(..digits).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let c = code.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
        let c = c.ok_or_else(|| self.error("hexadecimal digits of a character"))?;
        self.at += digits;
        Ok(c)
    }

    fn sequence(&mut self, open: char, close: char, depth: usize) -> Result<Literal, LiteralError> {
        self.eat(open);
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.value(depth + 1)?);
            if !self.eat(',') && !self.ahead(close) {
                return Err(self.error("`,` or the closing bracket"));
            }
        }
        Ok(Literal::List(items))
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        self.eat('{');
        let mut items = Vec::new();
        while !self.eat('}') {
            let key = self.value(depth + 1)?;
            if !self.eat(':') {
                return Err(self.error("`:`"));
            }
            items.push((key, self.value(depth + 1)?));
            if !self.eat(',') && !self.ahead('}') {
                return Err(self.error("`,` or `}`"));
            }
        }
        Ok(Literal::Dict(items))
    }

    fn ahead(&mut self, token: char) -> bool {
        self.space();
        self.rest().starts_with(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_ultralytics_writes() {
        let names = Literal::parse("{0: 'person', 1: \"driver's seat\", 2: 'caf\\xe9 \\u2615'}").unwrap();
        let Literal::Dict(names) = names else { panic!("a dictionary") };
        assert_eq!(names[1].1.as_str(), Some("driver's seat"));
        assert_eq!(names[2], (Literal::Int(2), Literal::Str("café ☕".into())));
        let size = Literal::parse(" [320, 416] ").unwrap();
        assert_eq!(size, Literal::List(vec![Literal::Int(320), Literal::Int(416)]));
        let args = Literal::parse("{'half': False, 'conf': -2.5e-1, 'extra': (None,), 'nms': []}").unwrap();
        let Literal::Dict(args) = args else { panic!("a dictionary") };
        assert_eq!(args[1].1, Literal::Float(-0.25));
        assert_eq!(args[2].1, Literal::List(vec![Literal::None]));
    }

    #[test]
    fn what_is_no_literal_says_where() {
        for (text, at) in [
            ("", 0),
            ("{0 'a'}", 3),
            ("['a'", 4),
            ("'a", 2),
            ("__import__('os')", 0),
            ("1 2", 2),
            ("'\\xg0'", 3),
        ] {
            assert_eq!(Literal::parse(text).unwrap_err().at, at, "{text}");
        }
        assert_eq!(Literal::parse(&"[".repeat(1_000_000)).unwrap_err().expected, "less nesting");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Literal::parse(&text);
        }

        #[test]
        fn brackets_and_quotes_do_not_panic(text in "[\\[\\]{}(),:'\"0-9a-zé\\\\ .+-]{0,64}") {
            let _ = Literal::parse(&text);
        }
    }
}
