//! When a step is wanted.

use serde_json::Value;

use super::{Reference, parse};

/// When a step is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// It can be computed from what is known.
    Expression(Expression),
    /// A model has to judge it.
    Prose(String),
}

/// An expression over names. It always comes to yes or no: what leads to nothing is null, and things that cannot be compared are
/// not equal and in no order.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One or both.
    Or(Box<Self>, Box<Self>),
    /// Not.
    Not(Box<Self>),
    /// Two things compared.
    Compare(Operand, Comparison, Operand),
    /// Whether something is true, or a number other than 0, or not empty.
    Truth(Operand),
    /// Whether there is something under a name.
    Exists(Reference),
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A number, a text in quotes, `true`, `false` or `null`.
    Value(Value),
    /// What a name leads to.
    Reference(Reference),
}

/// How two things are compared. Texts are compared without the blanks round them and whatever their case, because models write
/// them; a text that is a number counts as one beside a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Different,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `contains`: a text has another in it, a list an element, an object a field.
    Contains,
}

impl Condition {
    /// Reads a condition. What is no expression is a sentence for a model to judge; [`super::check`] says where one looks like an
    /// expression that went wrong.
    pub fn of(text: &str) -> Self {
        parse::expression(text).map_or_else(|_| Self::Prose(text.trim().to_owned()), Self::Expression)
    }
}
