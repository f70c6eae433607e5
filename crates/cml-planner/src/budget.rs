//! Budgets: money that is spent, and reservations.

use std::collections::BTreeMap;
use std::fmt;

use cml_cloud::{Disk, Usd, UsdPerHour};
use cml_spec::{Limits, Period, Spec, Whose};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::input::{Job, PlanningInput};

/// EC2 bills a minute at least.
const BILLED_AT_LEAST: SignedDuration = SignedDuration::from_secs(60);

/// What was spent on machines that ended on one day, of one spec, for one repository and actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// UTC.
    pub day: Date,
    /// The spec.
    pub spec: String,
    /// `owner/name`; none for machines that were kept ready and got no job.
    pub repository: Option<String>,
    /// A login; none as above.
    pub actor: Option<String>,
    /// How much.
    pub cost: Usd,
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// A spec's.
    Spec(String),
    /// A repository's, in lower case.
    Repository(String),
    /// A person's, in lower case.
    Actor(String),
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(name) => out.write_str(name),
            Self::Repository(name) => write!(out, "repository {name}"),
            Self::Actor(login) => write!(out, "{login}"),
        }
    }
}

/// The balance of one account in the current period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whose.
    pub account: Account,
    /// In which period.
    pub period: Period,
    /// The limit.
    pub most: Usd,
    /// Spent on machines that have ended.
    pub spent: Usd,
    /// Reservations of living machines, until their deadlines.
    pub promised: Usd,
    /// When the next period begins.
    pub renews_at: Timestamp,
}

impl Balance {
    /// Returns what is spent and reserved.
    #[must_use]
    pub fn committed(&self) -> Usd {
        Usd(self.spent.0 + self.promised.0)
    }

    fn left(&self) -> Decimal {
        self.most.0 - self.committed().0
    }
}

/// What is spent in each period, and reservations.
#[derive(Clone, Copy, Default)]
struct Sums {
    spent: [Decimal; 3],
    promised: Decimal,
}

/// What every account with a limit has spent, and its reservations.
pub(crate) struct BudgetLedger<'a> {
    observed: &'a PlanningInput,
    sums: BTreeMap<Account, Sums>,
    now: Timestamp,
}

impl<'a> BudgetLedger<'a> {
    /// Counts every launch that is not in the ledger yet in full, even if its machine has ended: money that counts nowhere would be
    /// spent twice.
    pub(crate) fn open(observed: &'a PlanningInput, now: Timestamp) -> Self {
        let mut books = Self { observed, sums: BTreeMap::new(), now };
        if observed.budgets.is_empty() && observed.specs.iter().all(|spec| spec.budget.is_none()) {
            return books;
        }
        let begins = Period::ALL.map(|period| first_day(period, now));
        for spending in &observed.spent {
            let (repository, actor) = (spending.repository.as_deref(), spending.actor.as_deref());
            for (account, _) in books.accounts(&spending.spec, repository, actor) {
                let sums = books.sums.entry(account).or_default();
                for (spent, begin) in sums.spent.iter_mut().zip(begins) {
                    if spending.day >= begin {
                        *spent += spending.cost.0;
                    }
                }
            }
        }
        for record in &observed.launches {
            let price = record.bought.as_ref().and_then(|offer| offer.price).unwrap_or(record.price);
            // From its beginning: what it has cost so far is not in the ledger.
            let promised = record.deadline.0.duration_since(record.intended_at);
            let lease = promised.max(now.duration_since(record.intended_at));
            let (repository, actor) = (record.repository.as_deref(), record.actor.as_deref());
            books.promise(&record.spec, repository, actor, cost(price, record.disk, lease));
        }
        books
    }

    /// Reserves the price, or refuses what an account cannot pay. Without a price it is not known whether the money suffices.
    pub(crate) fn pay(&mut self, spec: &Spec, job: Option<&Job>, price: Option<Usd>) -> Result<(), Balance> {
        let (repository, actor) = (job.map(|job| job.repository.as_str()), job.map(|job| job.actor.as_str()));
        for balance in self.balances(&spec.name, repository, actor) {
            if price.is_none_or(|price| price.0 > balance.left()) {
                return Err(balance);
            }
        }
        if let Some(price) = price {
            self.promise(&spec.name, repository, actor, price);
        }
        Ok(())
    }

    /// Returns whether a limit applies to the job's own repository or actor.
    pub(crate) fn limits_who_asks(&self, job: &Job) -> bool {
        !self.observed.budgets.is_empty() && !self.of_who_asks(job).is_empty()
    }

    /// Returns the account of the job's own repository or actor that has too little left.
    pub(crate) fn refuses_who_asks(
        &self,
        job: &Job,
        is_too_little: impl Fn(Decimal) -> bool,
    ) -> Option<Balance> {
        self.of_who_asks(job).into_iter().find(|balance| is_too_little(balance.left()))
    }

    fn of_who_asks(&self, job: &Job) -> Vec<Balance> {
        let all = self.balances("", Some(&job.repository), Some(&job.actor)).into_iter();
        all.filter(|balance| !matches!(balance.account, Account::Spec(_))).collect()
    }

    fn promise(&mut self, spec: &str, repository: Option<&str>, actor: Option<&str>, price: Usd) {
        for (account, _) in self.accounts(spec, repository, actor) {
            self.sums.entry(account).or_default().promised += price.0;
        }
    }

    /// Returns accounts near their limits, by the threshold of each limit.
    pub(crate) fn warnings(&self) -> Vec<Balance> {
        let is_near = |limits: Limits, balance: &Balance| {
            balance.committed().0 * Decimal::ONE_HUNDRED
                >= balance.most.0 * Decimal::from(limits.warn_at_percent)
        };
        let of_account = |(account, sums): (&Account, &Sums)| {
            let limits = self.limits(account).into_iter();
            let near = limits.flat_map(|limits| {
                let all = limits.each().map(|limit| self.balance(account, limit, *sums));
                all.filter(|balance| is_near(limits, balance)).collect::<Vec<_>>()
            });
            near.collect::<Vec<_>>()
        };
        self.sums.iter().flat_map(of_account).collect()
    }

    fn balances(&self, spec: &str, repository: Option<&str>, actor: Option<&str>) -> Vec<Balance> {
        let all = self.accounts(spec, repository, actor).into_iter();
        let of_account = |(account, limits): (Account, Vec<Limits>)| {
            let sums = self.sums.get(&account).copied().unwrap_or_default();
            let limits = limits.into_iter().flat_map(|limits| limits.each());
            limits.map(|limit| self.balance(&account, limit, sums)).collect::<Vec<_>>()
        };
        all.flat_map(of_account).collect()
    }

    fn balance(&self, account: &Account, (period, most): (Period, Usd), sums: Sums) -> Balance {
        let spent = Period::ALL.iter().zip(sums.spent).find(|(known, _)| **known == period);
        Balance {
            account: account.clone(),
            period,
            most,
            spent: Usd(spent.map_or(Decimal::ZERO, |(_, spent)| spent)),
            promised: Usd(sums.promised),
            renews_at: next_begin(period, self.now),
        }
    }

    /// Returns the accounts that pay, as far as they have limits.
    fn accounts(
        &self,
        spec: &str,
        repository: Option<&str>,
        actor: Option<&str>,
    ) -> Vec<(Account, Vec<Limits>)> {
        let all = [
            Some(Account::Spec(spec.to_owned())),
            repository.map(|name| Account::Repository(name.to_lowercase())),
            actor.map(|login| Account::Actor(login.to_lowercase())),
        ];
        let with_limits = all.into_iter().flatten().map(|account| (self.limits(&account), account));
        with_limits
            .filter(|(limits, _)| !limits.is_empty())
            .map(|(limits, account)| (account, limits))
            .collect()
    }

    fn limits(&self, account: &Account) -> Vec<Limits> {
        let is_for = |whose: &Whose| match (whose, account) {
            (Whose::Repository(one), Account::Repository(name))
            | (Whose::Actor(one), Account::Actor(name)) => {
                one.as_ref().is_none_or(|one| one.to_lowercase() == *name)
            }
            _ => false,
        };
        match account {
            Account::Spec(name) => {
                let spec = self.observed.specs.iter().find(|spec| spec.name == *name);
                spec.and_then(|spec| spec.budget).into_iter().collect()
            }
            _ => {
                let of_account = self.observed.budgets.iter().filter(|budget| is_for(&budget.whose));
                of_account.map(|budget| budget.limits).collect()
            }
        }
    }
}

/// Returns what a machine costs until the end of its lease.
pub(crate) fn cost(price: UsdPerHour, disk: Option<Disk>, lease: SignedDuration) -> Usd {
    let hourly = price.0 + disk.map_or(Decimal::ZERO, |disk| disk.hourly_at_most().0);
    UsdPerHour(hourly).for_seconds(u64::try_from(lease.max(BILLED_AT_LEAST).as_secs()).unwrap_or(0))
}

/// Returns the UTC day of a time.
#[must_use]
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

fn first_day(period: Period, now: Timestamp) -> Date {
    let today = day_of(now);
    match period {
        Period::Day => today,
        Period::Week if today.weekday() == Weekday::Monday => today,
        Period::Week => today.nth_weekday(-1, Weekday::Monday).unwrap_or(today),
        Period::Month => today.first_of_month(),
    }
}

fn next_begin(period: Period, now: Timestamp) -> Timestamp {
    let first = first_day(period, now);
    let next = match period {
        Period::Day => first.checked_add(1.day()),
        Period::Week => first.checked_add(1.week()),
        Period::Month => first.checked_add(1.month()),
    };
    let begin = next.and_then(|day| day.to_zoned_datetime(TimeZone::UTC));
    begin.map_or(Timestamp::MAX, |begin| begin.timestamp())
}
