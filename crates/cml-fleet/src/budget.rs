//! Money that is spent and promised.

use std::collections::BTreeMap;

use cml_cloud::{Usd, UsdPerHour};
use cml_spec::Spec;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::observed::Observed;

/// EC2 bills a minute at least.
const BILLED_AT_LEAST: SignedDuration = SignedDuration::from_secs(60);

/// What each spec has spent today and has promised: every machine until its deadline.
pub(crate) struct Books {
    committed: BTreeMap<String, Usd>,
}

impl Books {
    /// Every launch that is not in the ledger yet counts in full, its machine may be gone or not: money that is in neither book
    /// would be spent twice.
    pub(crate) fn open(observed: &Observed, now: Timestamp) -> Self {
        let mut books = Self { committed: observed.spent_today.clone() };
        for record in &observed.launches {
            let price = record.bought.as_ref().and_then(|offer| offer.price).unwrap_or(record.price);
            // From its beginning: what it has cost so far is not among what is spent.
            let promised = record.deadline.0.duration_since(record.intended_at);
            books.add(&record.spec, cost(price, promised.max(now.duration_since(record.intended_at))));
        }
        books
    }

    pub(crate) fn committed(&self, spec: &str) -> Usd {
        self.committed.get(spec).copied().unwrap_or(Usd(Decimal::ZERO))
    }

    /// What the spec may still promise; none without a limit.
    pub(crate) fn left(&self, spec: &Spec) -> Option<Usd> {
        spec.budget.map(|budget| Usd(budget.per_day.0 - self.committed(&spec.name).0))
    }

    pub(crate) fn add(&mut self, spec: &str, more: Usd) {
        let sum = self.committed(spec).0 + more.0;
        self.committed.insert(spec.to_owned(), Usd(sum));
    }
}

/// What a machine costs until the end of its lease.
pub(crate) fn cost(price: UsdPerHour, lease: SignedDuration) -> Usd {
    price.for_seconds(u64::try_from(lease.max(BILLED_AT_LEAST).as_secs()).unwrap_or(0))
}
