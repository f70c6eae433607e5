//! Recent spending, for budgets.

use std::collections::BTreeMap;

use cml_cloud::Usd;
use cml_planner::{JobId, Spending, day_of};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::event::JobFacts;
use crate::ledger::LedgerEntry;

/// The longest budget period is a month, and a week may begin in the month before.
const DAYS: i64 = 38;
/// Number of days that are kept.
const KEPT: usize = 40;

/// Spec, repository, actor.
type Whose = (String, Option<String>, Option<String>);

/// Cost of machines that have ended, by the UTC day on which they ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spent(BTreeMap<Date, BTreeMap<Whose, Decimal>>);

impl Spent {
    /// Adds an entry. A job's time is charged to its repository and actor; all other time to those of the job that the
    /// machine was bought for.
    pub(crate) fn add(
        &mut self,
        entry: &LedgerEntry,
        meant: Option<&JobFacts>,
        jobs: &BTreeMap<JobId, JobFacts>,
    ) {
        let day = self.0.entry(day_of(entry.to)).or_default();
        for part in &entry.segments {
            let facts = part.category.job().and_then(|job| jobs.get(&job)).or(meant);
            let whose = (
                entry.spec.clone(),
                facts.map(|facts| facts.repository.clone()),
                facts.map(|facts| facts.actor.clone()),
            );
            *day.entry(whose).or_default() += part.cost().0;
        }
        // Limits the number of days rather than their age: a clock that was once ahead must not make every day an old
        // one.
        while self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    pub(crate) fn since_last_month(&self, now: Timestamp) -> Vec<Spending> {
        let today = day_of(now);
        let since = today.checked_sub(jiff::Span::new().days(DAYS)).unwrap_or(today);
        let all = self.0.range(since..).flat_map(|(day, of_day)| of_day.iter().map(move |it| (*day, it)));
        all.map(|(day, ((spec, repository, actor), cost))| Spending {
            day,
            spec: spec.clone(),
            repository: repository.clone(),
            actor: actor.clone(),
            cost: Usd(*cost),
        })
        .collect()
    }
}
