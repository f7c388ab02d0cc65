//! Reads expressions: `$verdict == "approve" and not ($score < 7 or exists($doubts))`.

use serde_json::Value;

use super::{Comparison, Expression, Operand, Reference};

/// The longest expression, in bytes: with it goes how deep it can be nested.
const LONGEST: usize = 1000;

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}, at {at:?}")]
pub struct NotAnExpression {
    /// What is wrong.
    pub why: &'static str,
    /// The text from there on, cut.
    pub at: String,
}

/// Whether a text that is no expression was meant as one.
pub(super) fn looks_like_one(text: &str) -> bool {
    ["==", "!=", "<=", ">=", "&&", "||"].iter().any(|sign| text.contains(sign))
}

/// Reads an expression.
pub(super) fn expression(text: &str) -> Result<Expression, NotAnExpression> {
    let mut parser = Parser { rest: text.trim() };
    if text.len() > LONGEST {
        return Err(parser.fault("an expression has at most 1000 bytes"));
    }
    let read = parser.any_of()?;
    if parser.rest.is_empty() { Ok(read) } else { Err(parser.fault("expected `and`, `or` or the end")) }
}

struct Parser<'a> {
    rest: &'a str,
}

type Read<T> = Result<T, NotAnExpression>;

impl Parser<'_> {
    fn fault(&self, why: &'static str) -> NotAnExpression {
        NotAnExpression { why, at: self.rest.chars().take(30).collect() }
    }

    /// Takes a sign, if it stands here.
    fn sign(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(after) => {
                self.rest = after.trim_start();
                true
            }
            None => false,
        }
    }

    /// Takes a word in any case, if it stands here and ends here.
    fn word(&mut self, word: &str) -> bool {
        let Some((head, after)) = self.rest.split_at_checked(word.len()) else { return false };
        let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if head.eq_ignore_ascii_case(word) && ends {
            self.rest = after.trim_start();
            return true;
        }
        false
    }

    fn any_of(&mut self) -> Read<Expression> {
        let mut left = self.all_of()?;
        while self.sign("||") || self.word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.all_of()?));
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Read<Expression> {
        let mut left = self.one()?;
        while self.sign("&&") || self.word("and") {
            left = Expression::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Read<Expression> {
        if self.word("not") || (!self.rest.starts_with("!=") && self.sign("!")) {
            return Ok(Expression::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inner = self.any_of()?;
            return if self.sign(")") { Ok(inner) } else { Err(self.fault("expected `)`")) };
        }
        if self.word("exists") {
            let bracket = self.sign("(");
            let Operand::Reference(reference) = self.operand()? else {
                return Err(self.fault("`exists` wants a `$name`"));
            };
            return match !bracket || self.sign(")") {
                true => Ok(Expression::Exists(reference)),
                false => Err(self.fault("expected `)`")),
            };
        }
        let left = self.operand()?;
        match self.comparison() {
            Some(comparison) => Ok(Expression::Compare(left, comparison, self.operand()?)),
            None => Ok(Expression::Truth(left)),
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        const SIGNS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Different),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let sign = SIGNS.into_iter().find(|(sign, _)| self.sign(sign)).map(|(_, comparison)| comparison);
        sign.or_else(|| self.word("contains").then_some(Comparison::Contains))
    }

    fn operand(&mut self) -> Read<Operand> {
        if let Some((reference, after)) = Reference::at_start(self.rest) {
            self.rest = after.trim_start();
            return Ok(Operand::Reference(reference));
        }
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if self.word(word) {
                return Ok(Operand::Value(value));
            }
        }
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let Some((text, after)) = self.rest[1..].split_once(quote) else {
                return Err(self.fault("a text has no end"));
            };
            self.rest = after.trim_start();
            return Ok(Operand::Value(Value::from(text)));
        }
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '-')).unwrap_or(self.rest.len());
        match self.rest[..end].parse::<f64>().ok().map(Value::from) {
            Some(number) if end > 0 => {
                self.rest = self.rest[end..].trim_start();
                Ok(Operand::Value(number))
            }
            _ => Err(self.fault("expected a `$name`, a number, a text in quotes, true, false or null")),
        }
    }
}
