//! What a reader must know of a row: a letter in the row, and what the letter stands for, once below.

use serde::{Serialize, Serializer};

use crate::terms::Doubt;

/// What kind of note it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoteKind {
    /// The figure of a side is invalid.
    Invalid,
    /// Every round of a side was disturbed.
    NeverQuiet,
    /// The samples that count were taken at another speed of the CPU on either side.
    OtherSpeed,
    /// No round is quiet on both sides of a pair.
    NeverBothQuiet,
    /// A side rests on one round.
    OneRound,
    /// The audit of a side differs.
    AuditDiffers,
    /// The rounds of a side gather around several values.
    Modes,
    /// Some rounds of a side were disturbed.
    Disturbed,
    /// The ratio is not the quotient of the two figures.
    NotTheQuotient,
}

impl NoteKind {
    /// All of them: first those that keep a row from being judged.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::NeverQuiet,
        Self::OtherSpeed,
        Self::NeverBothQuiet,
        Self::OneRound,
        Self::AuditDiffers,
        Self::Modes,
        Self::Disturbed,
        Self::NotTheQuotient,
    ];

    /// The letter in the row.
    pub fn letter(self) -> char {
        match self {
            Self::Invalid => 'i',
            Self::NeverQuiet => 'n',
            Self::OtherSpeed => 's',
            Self::NeverBothQuiet => 'b',
            Self::OneRound => 'o',
            Self::AuditDiffers => 'a',
            Self::Modes => 'm',
            Self::Disturbed => 'd',
            Self::NotTheQuotient => 'q',
        }
    }

    /// Whether a row with such a note is inconclusive, whatever its interval says.
    pub fn withholds(self) -> bool {
        matches!(self, Self::Invalid | Self::NeverQuiet | Self::OtherSpeed | Self::NeverBothQuiet | Self::OneRound)
    }

    /// What the letter stands for.
    pub fn meaning(self) -> String {
        match self {
            Self::Invalid => format!("a side is {}: the generator of its requests was late", Doubt::Invalid.word()),
            Self::NeverQuiet => format!("every round of a side was {}", Doubt::Disturbed.word()),
            Self::OtherSpeed => "the samples that count were taken at another speed of the CPU on either side".into(),
            Self::NeverBothQuiet => "in no round was the CPU of both sides at its best".into(),
            Self::OneRound => "a side rests on one round, and the next process might reverse it".into(),
            Self::AuditDiffers => "the audit of a side differs from what the mechanism states".into(),
            Self::Modes => "the rounds of a side gather around several values; the ratio is of the commoner".into(),
            Self::Disturbed => format!("some rounds of a side were {}", Doubt::Disturbed.word()),
            Self::NotTheQuotient => "the median of the rounds' ratios, which is not the quotient of the figures".into(),
        }
    }
}

/// One note on one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What kind it is.
    pub kind: NoteKind,
    /// The whole of it, with the numbers of the row.
    pub text: String,
}

impl Note {
    pub(super) fn new(kind: NoteKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// The text alone: programs read the letters from the row.
impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// The letters of `notes`, in the order of the kinds.
pub(super) fn letters(notes: &[Note]) -> String {
    NoteKind::ALL.iter().filter(|kind| notes.iter().any(|note| note.kind == **kind)).map(|kind| kind.letter()).collect()
}
