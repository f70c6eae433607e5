//! Mutants: deliberate bugs at the boundary between the controller and its world. A law must catch each of them, or the
//! laws are worth nothing.
//!
//! They are part of the simulated world, so that the product carries no switch that could be left on.

/// One deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// The intent of a launch is never written.
    ForgetTheIntent,
    /// Every launch uses the token of the first one.
    ReuseTheToken,
    /// A machine on its way out counts as gone.
    TerminatingIsFree,
    /// Machines live far beyond the deadline of their spec.
    IgnoreTheDeadline,
    /// Busy runners count as idle, and a refused removal as done.
    UnknownIsIdle,
    /// Jobs are never polled: a lost webhook is a lost job.
    TrustWebhooks,
    /// Only the first page of every list is read.
    SkipPagination,
    /// A machine that was interrupted in its first hour is billed.
    BillTheFirstHour,
    /// Interrupted jobs run again without end.
    NoRerunCap,
    /// Interrupted jobs never run again.
    NeverRerun,
    /// The registration's secret is put into a tag.
    LeakTheSecret,
    /// Registrations without a machine stay.
    KeepOrphans,
    /// Money is not counted.
    NoBudget,
    /// A process continues after a conflict.
    GoOnOvertaken,
    /// A machine that is not listed at once counts as never bought.
    NoGrace,
    /// Code from forks gets machines.
    ServeForks,
    /// Refused jobs reserve machines.
    ReserveForStrangers,
    /// A wrong clock is believed.
    TrustTheClock,
    /// The end of a machine is when it was seen, not when it was.
    EndWhenSeen,
    /// Hung machines are never terminated.
    NeverTerminate,
    /// A runner that one list lacks is gone.
    TrustOneList,
    /// Machines of other controllers count as ours.
    EverythingIsOurs,
    /// A region that does not answer has no machines.
    SilenceIsEmpty,
    /// Runners are registered without the labels that GitHub does not add.
    NoDefaultLabels,
    /// A job without labels counts as one for a pool.
    GuessLabels,
    /// Only the root disk is known.
    OneDisk,
}

impl Mutant {
    /// All mutants.
    pub const ALL: &[Self] = &[
        Self::ForgetTheIntent,
        Self::ReuseTheToken,
        Self::TerminatingIsFree,
        Self::IgnoreTheDeadline,
        Self::UnknownIsIdle,
        Self::TrustWebhooks,
        Self::SkipPagination,
        Self::BillTheFirstHour,
        Self::NoRerunCap,
        Self::NeverRerun,
        Self::LeakTheSecret,
        Self::KeepOrphans,
        Self::NoBudget,
        Self::GoOnOvertaken,
        Self::NoGrace,
        Self::ServeForks,
        Self::ReserveForStrangers,
        Self::TrustTheClock,
        Self::EndWhenSeen,
        Self::NeverTerminate,
        Self::TrustOneList,
        Self::EverythingIsOurs,
        Self::SilenceIsEmpty,
        Self::NoDefaultLabels,
        Self::GuessLabels,
        Self::OneDisk,
    ];
}
