//! Why a job gets no machine now, in words for its owner.

use std::fmt;

use cml_cloud::Usd;
use jiff::Timestamp;

use crate::budget::Balance;

/// Why a job gets no machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No spec has all the labels that the job asks for.
    NoSpec {
        /// What it asks for.
        labels: Vec<String>,
    },
    /// The spec does not take such jobs.
    Policy {
        /// The spec.
        spec: String,
        /// Which rule.
        rule: Rule,
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
    },
    /// GitHub does not answer: no runner can be registered.
    GitHubSilent,
    /// Nothing is for sale for the spec.
    NothingForSale {
        /// The spec.
        spec: String,
    },
}

/// A rule of a spec's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Its code comes from a fork.
    Fork,
    /// Its event is not among those allowed.
    Event(String),
    /// Who started it is not among those allowed.
    Actor(String),
    /// Its repository is not among those allowed.
    Repository(String),
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpec { labels } => write!(out, "no spec has the labels {}", labels.join(", ")),
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
            Self::Refused { spec, said, again_at } => {
                write!(out, "{spec}: {said}")?;
                match again_at {
                    Some(at) => write!(out, "; tried again at {}", at.strftime("%H:%M:%S UTC")),
                    None => Ok(()),
                }
            }
            Self::GitHubSilent => out.write_str(
                "GitHub does not answer, so no runner can be registered; tried again with every look",
            ),
            Self::NothingForSale { spec } => write!(out, "nothing is for sale that {spec} could buy"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork => out.write_str("code from forks"),
            Self::Event(event) => write!(out, "jobs of the event {event}"),
            Self::Actor(actor) => write!(out, "jobs started by {actor}"),
            Self::Repository(repository) => write!(out, "jobs of {repository}"),
        }
    }
}
