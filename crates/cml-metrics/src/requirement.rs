//! Requirements of metrics: `accuracy >= 0.9`.

use std::fmt;
use std::str::FromStr;

use crate::number::Number;

/// Comparison of a metric with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `<`
    Below,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Operator {
    /// The longer ones first, so that none is mistaken for a prefix of another.
    const ALL: [Self; 6] =
        [Self::AtLeast, Self::AtMost, Self::Equal, Self::NotEqual, Self::Above, Self::Below];

    /// Returns whether a value satisfies it; NaN satisfies none, not even `!=`.
    #[must_use]
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::Below => value < limit,
            Self::Equal => value == limit,
            Self::NotEqual => value != limit && !value.is_nan(),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::Below => "<",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

/// One requirement: a metric, by name and perhaps by file, and a limit.
///
/// Written as `NAME OP NUMBER` or `PATH:NAME OP NUMBER`. A path or name with spaces, quotes, a colon or one of `<>=!`
/// is put into double or single quotes, in which a backslash escapes a quote or backslash.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// The path of the file; `None`: any file that has the metric.
    pub path: Option<String>,
    /// The dotted name.
    pub name: String,
    /// The comparison.
    pub operator: Operator,
    /// The limit; not NaN.
    pub limit: Number,
}

/// It can be parsed again.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", quoted(path))?;
        }
        write!(f, "{} {} {}", quoted(&self.name), self.operator, self.limit.as_written())
    }
}

fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '=' | '!' | '"' | '\'' | ':')
}

/// A requirement that cannot be parsed, with a caret under the position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read a requirement: expected {expected}\n  {}\n  {}^",
    .text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>(),
    " ".repeat(*.column)
)]
pub struct ParseError {
    /// The requirement as it was given.
    pub text: String,
    /// Characters before the position.
    pub column: usize,
    /// What was expected there.
    pub expected: String,
}

impl FromStr for Requirement {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader { text, at: 0 };
        let mut name = reader.name("the name of a metric, as in `accuracy >= 0.9`")?;
        let mut path = None;
        if reader.rest().starts_with(':') {
            reader.at += 1;
            path = Some(name);
            name = reader.name("the name of a metric after the path and `:`")?;
        }
        let operator = reader.operator()?;
        let limit = reader.number()?;
        Ok(Self { path, name, operator, limit })
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn fail<T>(&self, expected: impl Into<String>) -> Result<T, ParseError> {
        let column = self.text.get(..self.at).unwrap_or_default().chars().count();
        Err(ParseError { text: self.text.to_owned(), column, expected: expected.into() })
    }

    fn name(&mut self, expected: &str) -> Result<String, ParseError> {
        self.skip_space();
        if let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) {
            return self.quoted(quote);
        }
        let rest = self.rest();
        let end = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
        if end == 0 {
            return self.fail(expected);
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let mut name = String::new();
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\\' if !escaped => escaped = true,
                c if c == quote && !escaped => {
                    self.at += at + 1;
                    return Ok(name);
                }
                c => {
                    escaped = false;
                    name.push(c);
                }
            }
        }
        self.fail(format!("a second {quote} that ends the name"))
    }

    fn operator(&mut self) -> Result<Operator, ParseError> {
        self.skip_space();
        let rest = self.rest();
        // These begin like an operator, but are not one.
        for (wrong, right) in [("=>", ">="), ("=<", "<="), ("≥", ">="), ("≤", "<="), ("≠", "!=")] {
            if rest.starts_with(wrong) {
                return self.fail(format!("`{right}` rather than `{wrong}`"));
            }
        }
        match Operator::ALL.into_iter().find(|operator| rest.starts_with(operator.sign())) {
            Some(operator) => {
                self.at += operator.sign().len();
                Ok(operator)
            }
            None if rest.starts_with('=') => self.fail("`==` rather than `=`"),
            None => self.fail("one of >=, <=, >, <, ==, !="),
        }
    }

    fn number(&mut self) -> Result<Number, ParseError> {
        const EXPECTED: &str = "a number, as in 0.9 or 1e-3";
        self.skip_space();
        let rest = self.rest();
        let word = rest.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
        let number = match Number::parse(word) {
            Some(number) if number.value().is_nan() => {
                return self.fail(format!("{EXPECTED}: nothing compares with NaN"));
            }
            Some(number) => number,
            None => {
                let percent = word.strip_suffix('%').and_then(Number::parse).filter(|n| !n.value().is_nan());
                return self.fail(match percent {
                    Some(_) => format!("{EXPECTED}, without `%`"),
                    None => EXPECTED.to_owned(),
                });
            }
        };
        self.at += word.len();
        self.skip_space();
        if self.rest().is_empty() {
            return Ok(number);
        }
        self.fail("the end: every requirement goes into a `--require` of its own")
    }
}
