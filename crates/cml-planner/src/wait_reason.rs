//! Why a job gets no machine now, in words for its owner.

use std::fmt;

use cml_cloud::Usd;
use jiff::Timestamp;

use crate::budget::Balance;

/// Why a job gets no machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// No spec has all the labels that the job asks for.
    NoSpec {
        /// The spec that lacks fewest of them; none when there is no spec.
        nearest: Option<String>,
        /// What that one lacks.
        missing: Vec<String>,
    },
    /// The job asks for no label: it is for GitHub's own machines, or for a runner group that GitHub does not tell.
    NoLabels,
    /// Specs have its labels, and none is in the runner group that it asks for.
    NoGroup {
        /// The group.
        group: String,
    },
    /// The spec does not take such jobs.
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
    /// The money of a day, a week or a month is spent or promised.
    Budget {
        /// Whose money, and how much of it is left.
        balance: Box<Balance>,
        /// What the machine may cost by its deadline; none when its price is not known.
        asked: Option<Usd>,
    },
    /// Everything that could be bought was refused not long ago.
    Refused {
        /// The spec.
        spec: String,
        /// What the cloud said, most frequent first.
        said: &'static str,
        /// When the first of it is tried again; none when it is not by itself.
        again_at: Option<Timestamp>,
        /// The cloud's own words, each with its region.
        causes: Vec<String>,
        /// Why some regions could not say what they sell.
        unanswered: Vec<String>,
    },
    /// GitHub does not answer: no runner can be registered.
    GitHubSilent,
    /// The clock of the daemon's machine is wrong: no deadline by it can be trusted.
    WrongClock {
        /// How far it is ahead of GitHub's, seconds; negative where it is behind.
        ahead_seconds: i64,
    },
    /// Nothing is for sale for the spec.
    NothingForSale {
        /// The spec.
        spec: String,
        /// Why its regions could not say what they sell, where that is so.
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
                write!(out, "no spec has all of its labels: {spec} lacks {}", missing.join(", "))
            }
            Self::NoSpec { nearest: None, .. } => out.write_str("there is no spec"),
            Self::NoLabels => out.write_str(
                "it asks for no label: it is for GitHub's own machines or for a runner group; runs-on needs the labels of a spec",
            ),
            Self::NoGroup { group } => {
                write!(out, "no spec with its labels is in the runner group {group}")
            }
            Self::Policy { spec, rule } => write!(out, "{spec} takes no {rule}"),
            Self::Full { spec, max } => {
                write!(out, "{spec} has its {max} machines; the next one that ends makes room")
            }
            Self::Budget { balance: it, asked } => {
                let renews = it.renews_at.strftime("%Y-%m-%d %H:%M UTC");
                write!(out, "{} may spend {} a {}: {} spent", it.account, it.most, it.period, it.spent)?;
                write!(out, " (counts until {renews}), {} promised to machines", it.promised)?;
                out.write_str(" that live (counts until each ends)")?;
                match asked {
                    Some(asked) if *asked > it.most => write!(
                        out,
                        "; a machine may cost {asked} by its deadline, which never fits: a shorter max_lifetime, cheaper types \
                         or a larger budget"
                    ),
                    Some(asked) => write!(out, "; a machine may cost {asked} by its deadline"),
                    None => out.write_str(
                        "; what a machine costs is not known, so nobody can say that there is money for it",
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
                "GitHub does not answer, so no runner can be registered; tried again with every look",
            ),
            Self::WrongClock { ahead_seconds: ahead } => {
                let side = if *ahead < 0 { "behind" } else { "ahead of" };
                write!(out, "the clock of the daemon's machine is {} s {side} GitHub's: nothing is bought by it", ahead.abs())
            }
            Self::NothingForSale { spec, unanswered } if unanswered.is_empty() => {
                write!(out, "nothing is for sale that {spec} could buy")
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
