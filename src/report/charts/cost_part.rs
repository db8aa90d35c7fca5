//! What costs are made of: each part has one name and one colour in every picture and table.

/// A part of a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum CostPartKind {
    /// What a mechanism is compared with, where the mechanism can be thought to contain it.
    Baseline,
    /// The baseline of a hop that reads and writes and never waits.
    InputAndOutput,
    /// What waiting for another task adds.
    Switch,
    /// What an event loop adds.
    Readiness,
    /// What a runtime adds to its event loop.
    Runtime,
    /// What a mechanism adds to its baseline, or all of it on one CPU.
    Own,
    /// What other CPUs add where they do not sleep.
    OtherCpus,
    /// What other CPUs add.
    OtherCpusAndIdle,
    /// What a CPU takes to leave an idle state.
    LeavingIdle,
    /// A call that finds no task to wake.
    Call,
    /// A handoff to a CPU that polls, less the call.
    WakingAndSwitchingIn,
    /// A handoff to a CPU that polls.
    CallAndSwitchingIn,
    /// An interrupt to a CPU that does not sleep, and back.
    Interrupt,
    /// Programming the CPU's timer.
    RestartingTick,
    /// What no part explains.
    Remainder,
}

impl CostPartKind {
    /// All.
    #[cfg(test)]
    const ALL: [Self; 15] = [
        Self::Baseline,
        Self::InputAndOutput,
        Self::Switch,
        Self::Readiness,
        Self::Runtime,
        Self::Own,
        Self::OtherCpus,
        Self::OtherCpusAndIdle,
        Self::LeavingIdle,
        Self::Call,
        Self::WakingAndSwitchingIn,
        Self::CallAndSwitchingIn,
        Self::Interrupt,
        Self::RestartingTick,
        Self::Remainder,
    ];

    /// Its name.
    pub(in crate::report) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::InputAndOutput => "input and output",
            Self::Switch => "switching tasks",
            Self::Readiness => "finding who is ready",
            Self::Runtime => "runtime",
            Self::Own => "the mechanism itself",
            Self::OtherCpus => "other CPUs and migration",
            Self::OtherCpusAndIdle => "other CPUs and leaving idle",
            Self::LeavingIdle => "leaving idle",
            Self::Call => "the call itself",
            Self::WakingAndSwitchingIn => "waking and switching in",
            Self::CallAndSwitchingIn => "the call, waking and switching in",
            Self::Interrupt => "the interrupt",
            Self::RestartingTick => "restarting the tick",
            Self::Remainder => "remainder",
        }
    }

    /// Its colour; `None`, which is grey, for what is left over.
    pub(super) fn series(self) -> Option<usize> {
        match self {
            Self::Baseline | Self::Call => Some(0),
            Self::Switch | Self::WakingAndSwitchingIn => Some(1),
            Self::Readiness | Self::Interrupt => Some(2),
            Self::Runtime | Self::CallAndSwitchingIn => Some(3),
            Self::Own | Self::RestartingTick => Some(4),
            // A step of both kinds of pictures.
            Self::LeavingIdle => Some(5),
            Self::InputAndOutput => Some(6),
            Self::OtherCpus => Some(7),
            Self::OtherCpusAndIdle => Some(8),
            Self::Remainder => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of steps from one benchmark to the next, and those that were measured apart from the whole.
    fn pictures() -> [Vec<CostPartKind>; 2] {
        use CostPartKind as Kind;
        let apart = [
            Kind::Call,
            Kind::WakingAndSwitchingIn,
            Kind::CallAndSwitchingIn,
            Kind::Interrupt,
            Kind::LeavingIdle,
            Kind::RestartingTick,
            Kind::Remainder,
        ];
        let steps = Kind::ALL.into_iter().filter(|kind| !apart.contains(kind) || *kind == Kind::LeavingIdle);
        [steps.collect(), apart.into()]
    }

    #[test]
    fn no_two_parts_have_one_name_and_no_two_of_a_picture_one_colour() {
        let mut names: Vec<&str> = CostPartKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CostPartKind::ALL.len());
        for picture in pictures() {
            let mut colours: Vec<Option<usize>> = picture.iter().map(|kind| kind.series()).collect();
            colours.sort_unstable();
            colours.dedup();
            assert_eq!(colours.len(), picture.len(), "{picture:?}");
        }
    }

    #[test]
    fn what_is_left_over_alone_is_grey() {
        let grey: Vec<CostPartKind> = CostPartKind::ALL.into_iter().filter(|kind| kind.series().is_none()).collect();
        assert_eq!(grey, [CostPartKind::Remainder]);
    }
}
