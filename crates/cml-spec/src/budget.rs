//! Budgets.

use std::collections::BTreeSet;
use std::fmt;

use cml_cloud::Usd;
use serde::{Deserialize, Serialize};

use crate::fields::{Fields, join, name, open, pairs};
use crate::problem::Problems;
use crate::runners::usd;

/// A calendar period over which money is counted, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        })
    }
}

/// Maximum spending in a day, a week, a month; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// US dollars in a day.
    pub day: Option<Usd>,
    /// US dollars in a week.
    pub week: Option<Usd>,
    /// US dollars in a month.
    pub month: Option<Usd>,
    /// Percentage of a limit from which on a warning is given.
    pub warn_at_percent: u8,
}

impl Limits {
    /// Default: 80 percent.
    pub const WARN_AT_PERCENT: u8 = 80;

    /// Creates a daily limit only.
    #[must_use]
    pub fn of_day(most: Usd) -> Self {
        Self { day: Some(most), week: None, month: None, warn_at_percent: Self::WARN_AT_PERCENT }
    }

    /// Returns each limit with its period.
    pub fn each(&self) -> impl Iterator<Item = (Period, Usd)> + use<> {
        let Self { day, week, month, .. } = *self;
        Period::ALL.into_iter().zip([day, week, month]).filter_map(|(period, most)| Some((period, most?)))
    }

    /// Returns the smallest of them.
    #[must_use]
    pub fn smallest(&self) -> Option<(Period, Usd)> {
        self.each().min_by_key(|(_, most)| *most)
    }
}

/// Maximum spending for the jobs of a repository or a person, over all pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The account.
    pub whose: Whose,
    /// The limits.
    pub limits: Limits,
}

/// Account that a budget is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// This repository, `owner/name`; `None`: each repository has its own limit.
    Repository(Option<String>),
    /// This login; `None`: each person has their own limit.
    Actor(Option<String>),
}

pub(crate) const LIMITS_KEYS: &[&str] = &["day", "week", "month", "warn_at"];
pub(crate) const BUDGETS_KEYS: &[&str] = &["repositories", "actors"];
/// Name that stands for each repository or person.
const EACH: &str = "*";

/// Reads `budget` of a pool.
pub(crate) fn of_spec(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Limits> {
    let budget = fields.open("budget", LIMITS_KEYS, problems)?;
    limits(&budget, problems)
}

/// Reads `budgets` of the file.
pub(crate) fn of_file(file: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<Budget> {
    let Some(fields) = file.open("budgets", BUDGETS_KEYS, problems) else { return Vec::new() };
    let mut budgets = Vec::new();
    for key in BUDGETS_KEYS {
        let Some(node) = fields.node(key) else { continue };
        let path = fields.path(key);
        let mut seen = BTreeSet::new();
        for (name_node, value) in pairs(node, &path, problems).unwrap_or_default() {
            let Some(who) = name(name_node, &path, problems) else { continue };
            let path = join(&path, who);
            if !seen.insert(who.to_lowercase()) {
                problems.wrong(name_node.place, &path, "the budget is there twice", "keep one of them");
            }
            let one = (who != EACH).then(|| who.to_owned());
            let whose = if *key == "actors" { Whose::Actor(one) } else { Whose::Repository(one) };
            if matches!(&whose, Whose::Repository(Some(name)) if name.split('/').count() != 2) {
                let what = format!("`{who}` is no repository");
                problems.wrong(
                    name_node.place,
                    &path,
                    what,
                    "owner/name, such as acme/vision, or \"*\" for each",
                );
            }
            if let Some(fields) = open(value, name_node.place, &path, LIMITS_KEYS, problems)
                && let Some(limits) = limits(&fields, problems)
            {
                budgets.push(Budget { whose, limits });
            }
        }
    }
    budgets
}

fn limits(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Limits> {
    let mut most = |key| fields.value(key, "60 USD", problems, |text| Ok(Usd(usd(text)?)));
    let (day, week, month) = (most("day"), most("week"), most("month"));
    if ["day", "week", "month"].iter().all(|key| fields.node(key).is_none()) {
        fields.missing("day", "such as `day: 60 USD`; week and month are possible too", problems);
        return None;
    }
    let warn_at = fields.value("warn_at", "80%", problems, percent);
    let warn_at_percent = warn_at.unwrap_or(Limits::WARN_AT_PERCENT);
    Some(Limits { day, week, month, warn_at_percent })
}

/// Parses `80%`.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
    number
        .filter(|number| (1..=100).contains(number))
        .ok_or_else(|| format!("`{text}` is no share from 1% to 100%"))
}
