//! The four words for what keeps a figure from being taken as it is, each with its meaning.
//!
//! Tables, reports, CSV and JSON take the words from here, and `docs/method/noise.md` explains them.

/// Why something is not what it seems: of a sample, of a round, of a figure, and of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doubt {
    /// Of a sample, or of an attempt under `--strict`: it is in the record and counts for nothing.
    Discarded,
    /// Of a round: it stays in the figure.
    Disturbed,
    /// Of a figure: it says nothing of the mechanism.
    Invalid,
    /// Of a comparison: nothing follows from it.
    Inconclusive,
}

impl Doubt {
    /// All four of them.
    pub const ALL: [Self; 4] = [Self::Discarded, Self::Disturbed, Self::Invalid, Self::Inconclusive];

    /// The word that tables, reports and data have.
    pub fn word(self) -> &'static str {
        match self {
            Self::Discarded => "discarded",
            Self::Disturbed => "disturbed",
            Self::Invalid => "invalid",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// What the word means, to follow "discarded: ".
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Discarded => "a sample beside which the CPU ran slower than at its best; it counts for nothing",
            Self::Disturbed => "a round during which other programs ran or the CPU was mostly slow; it counts",
            Self::Invalid => "a figure that says nothing of the mechanism: the generator of its requests was late",
            Self::Inconclusive => "a comparison that supports neither a difference nor equality",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are explained where people read, as they are said here.
    #[test]
    fn the_method_explains_each_word_as_the_program_does() {
        let page = include_str!("../../../docs/method/noise.md").split_whitespace().collect::<Vec<_>>().join(" ");
        for doubt in Doubt::ALL {
            let row = format!("| **{}** | {} |", doubt.word(), doubt.meaning());
            assert!(page.contains(&row), "{row}");
        }
    }
}
