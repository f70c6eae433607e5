//! Wait reasons: why a job has no machine, as a message for its owner.

use std::fmt;

use cml_cloud::Usd;
use jiff::Timestamp;

use crate::budget::Balance;

/// Why a queued job has no machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// No spec has all the labels that the job asks for.
    NoSpec {
        /// The spec that lacks fewest of them; none when there is no spec.
        nearest: Option<String>,
        /// What that one lacks.
        missing: Vec<String>,
    },
    /// The job asks for no label: it is for GitHub's own machines, or for a runner group that GitHub does not name.
    NoLabels,
    /// Specs have its labels, and none is in the runner group that it asks for.
    NoGroup {
        /// The group.
        group: String,
    },
    /// The spec's policy refuses the job.
    Policy {
        /// The spec.
        spec: String,
        /// Which rule.
        rule: PolicyRule,
    },
    /// The spec has as many machines as it may.
    Full {
        /// The spec.
        spec: String,
        /// Its limit.
        max: u32,
    },
    /// The budget of a day, a week or a month is spent or reserved.
    Budget {
        /// The account, and how much it has left.
        balance: Box<Balance>,
        /// What the machine may cost by its deadline; none when its price is not known.
        asked: Option<Usd>,
    },
    /// Every offer has a cooldown.
    Refused {
        /// The spec.
        spec: String,
        /// The cooldown that ends first.
        said: &'static str,
        /// When that cooldown ends; none when there is none.
        again_at: Option<Timestamp>,
        /// The cloud's own messages, each with its region.
        causes: Vec<String>,
        /// Why some regions did not list their offers.
        unanswered: Vec<String>,
    },
    /// GitHub does not answer: no runner can be registered.
    GitHubSilent,
    /// The clock of the daemon's machine is wrong: no deadline by it can be trusted.
    WrongClock {
        /// How far it is ahead of GitHub's, seconds; negative where it is behind.
        ahead_seconds: i64,
    },
    /// There is no offer for the spec.
    NothingForSale {
        /// The spec.
        spec: String,
        /// Why its regions did not list their offers, where that is so.
        unanswered: Vec<String>,
    },
}

/// A rule of a spec's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRule {
    /// Its code comes from a fork.
    Fork,
    /// Its event is not among those allowed.
    Event(String),
    /// Who started it is not among those allowed.
    Actor(String),
    /// Its repository is not among those allowed.
    Repository(String),
}

impl fmt::Display for WaitReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpec { nearest: Some(spec), missing } => {
                write!(out, "no pool has all of its labels: {spec} lacks {}", missing.join(", "))
            }
            Self::NoSpec { nearest: None, .. } => out.write_str("no pool is configured"),
            Self::NoLabels => out.write_str(
                "it has no labels: it is for GitHub-hosted runners or for a runner group; runs-on needs the labels of a pool",
            ),
            Self::NoGroup { group } => {
                write!(out, "no pool with its labels is in the runner group {group}")
            }
            Self::Policy { spec, rule } => write!(out, "pool {spec} does not run {rule}"),
            Self::Full { spec, max } => {
                write!(out, "pool {spec} is at its limit ({max}); the job starts when a machine is free")
            }
            Self::Budget { balance: it, asked } => {
                let renews = it.renews_at.strftime("%Y-%m-%d %H:%M UTC");
                write!(out, "over budget: {} allows {} a {}", it.account, it.most, it.period)?;
                write!(out, " ({} spent, counted until {renews}; {} reserved by machines", it.spent, it.promised)?;
                out.write_str(" until each ends)")?;
                match asked {
                    Some(asked) if *asked > it.most => write!(
                        out,
                        "; one machine can cost {asked} by its deadline, more than the whole budget: lower max_lifetime, choose \
                         cheaper types or raise the budget"
                    ),
                    Some(asked) => write!(out, "; one machine can cost {asked} by its deadline"),
                    None => out.write_str(
                        "; the price of a machine is unknown, so it cannot be checked against the budget",
                    ),
                }
            }
            Self::Refused { spec, said, again_at, causes, unanswered } => {
                write!(out, "{spec}: {said}")?;
                if let Some(at) = again_at {
                    write!(out, "; tried again at {}", at.strftime("%H:%M:%S UTC"))?;
                }
                causes.iter().chain(unanswered).try_for_each(|why| write!(out, "; {why}"))
            }
            Self::GitHubSilent => out.write_str(
                "GitHub does not answer, so no runner can be registered; retried with every observation",
            ),
            Self::WrongClock { ahead_seconds: ahead } => {
                let side = if *ahead < 0 { "behind" } else { "ahead of" };
                write!(out, "the clock of the daemon's machine is {} s {side} GitHub's: nothing is launched until it is right", ahead.abs())
            }
            Self::NothingForSale { spec, unanswered } if unanswered.is_empty() => {
                write!(out, "no instance type, zone or subnet matches pool {spec}")
            }
            Self::NothingForSale { spec, unanswered } => write!(out, "{spec}: {}", unanswered.join("; ")),
        }
    }
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork => out.write_str("code from forks"),
            Self::Event(event) => write!(out, "jobs of the event {event}"),
            Self::Actor(actor) => write!(out, "jobs started by {actor}"),
            Self::Repository(repository) => write!(out, "jobs of {repository}"),
        }
    }
}
