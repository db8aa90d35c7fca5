//! Parameters: what of a mechanism can be varied, within which bounds.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing of a mechanism that can be varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// As on the command line and in records: `tasks`.
    pub name: &'static str,
    /// What it is, with its unit.
    pub meaning: &'static str,
    /// Which values there are.
    pub domain: Domain,
}

/// The values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A whole number from `min` to `max`.
    Number {
        /// The value when the command line gives none.
        default: u64,
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// One of some words.
    Word {
        /// All of them; the first is the default.
        words: &'static [&'static str],
    },
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A word.
    Word(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// The error for a value that a parameter does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not a number, or one out of bounds.
    #[error("{name}={given}: {name} is a whole number from {min} to {max}")]
    Number {
        /// The parameter.
        name: &'static str,
        /// What was given.
        given: String,
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Not one of the words.
    #[error("{name}={given}: {name} is one of {words}")]
    Word {
        /// The parameter.
        name: &'static str,
        /// What was given.
        given: String,
        /// What there is.
        words: String,
    },
}

impl Domain {
    /// The value when the command line gives none.
    pub fn default(self) -> Value {
        match self {
            Self::Number { default, .. } => Value::Number(default),
            Self::Word { words } => Value::Word(words[0].into()),
        }
    }
}

impl Parameter {
    /// Reads a value of this parameter; numbers may have underscores between their digits.
    ///
    /// # Errors
    /// When the parameter does not take it. The error lists the values that there are.
    pub fn parse(&self, given: &str) -> Result<Value, ParameterError> {
        match self.domain {
            Domain::Number { min, max, .. } => match given.replace('_', "").parse() {
                Ok(number) if (min..=max).contains(&number) => Ok(Value::Number(number)),
                _ => Err(ParameterError::Number { name: self.name, given: given.into(), min, max }),
            },
            Domain::Word { words } => match words.iter().find(|&&word| word == given) {
                Some(word) => Ok(Value::Word((*word).into())),
                None => Err(ParameterError::Word { name: self.name, given: given.into(), words: words.join(", ") }),
            },
        }
    }
}

/// A value for each parameter that a descriptor declares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters {
    values: BTreeMap<String, Value>,
}

impl Parameters {
    /// The defaults of the parameters that a mechanism declares.
    pub fn defaults(declared: &[Parameter]) -> Self {
        let values = declared.iter().map(|p| (p.name.into(), p.domain.default())).collect();
        Self { values }
    }

    /// The same values but for that of `parameter`, which becomes `value`.
    #[must_use]
    pub fn with(mut self, parameter: &Parameter, value: Value) -> Self {
        self.values.insert(parameter.name.into(), value);
        self
    }

    /// The number called `name`.
    ///
    /// # Panics
    /// When the descriptor declares no such number: a mistake in the mechanism's file, which the conformance test
    /// finds.
    pub fn number(&self, name: &str) -> u64 {
        match self.values.get(name) {
            Some(Value::Number(number)) => *number,
            other => panic!("the descriptor declares no number called {name}: {other:?}"),
        }
    }

    /// The number called `name`, as a size in memory.
    ///
    /// # Panics
    /// As [`Parameters::number`].
    pub fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).expect("bounds of parameters fit the address space")
    }

    /// The word called `name`.
    ///
    /// # Panics
    /// When the descriptor declares no such word.
    pub fn word(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(Value::Word(word)) => word,
            other => panic!("the descriptor declares no word called {name}: {other:?}"),
        }
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// What differs from the defaults of the parameters that are `declared`, as it stands in a benchmark's id:
    /// `tasks=64,transport=socketpair`.
    pub fn differing_from_defaults(&self, declared: &[Parameter]) -> String {
        let defaults = Self::defaults(declared);
        let differing = self.iter().filter(|(name, value)| defaults.values.get(*name) != Some(value));
        differing.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
    }
}
