//! One machine's money, and whose it is.

use cml_cloud::{LaunchId, Usd};
use cml_fleet::JobId;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

/// What a part of a machine's life was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// From the purchase to the runner being online.
    Boot,
    /// A job; none when it is not known which.
    Work(Option<JobId>),
    /// Online, without a job.
    Idle,
    /// The whole life of a machine that never did anything, or what the bill adds to its life.
    Waste,
}

/// A machine that is gone, with its bill divided.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The launch.
    pub launch: LaunchId,
    /// Its spec.
    pub spec: String,
    /// When it was bought.
    pub from: Timestamp,
    /// When it was gone.
    pub to: Timestamp,
    /// The bill.
    pub cost: Usd,
    /// The cloud did not say when it began or ended: the times are when we saw it.
    pub estimated: bool,
    /// The bill, divided; the parts add up to it exactly.
    pub shares: Vec<(Share, Usd)>,
}

/// Divides a bill over the stretches of a life, in proportion to their length. The last stretch gets what rounding leaves.
pub(crate) fn divide(cost: Usd, stretches: &[(Share, SignedDuration)]) -> Vec<(Share, Usd)> {
    let total: i64 = stretches.iter().map(|(_, length)| length.as_secs()).sum();
    if total <= 0 {
        return vec![(Share::Waste, cost)];
    }
    let mut left = cost.0;
    let mut shares: Vec<(Share, Usd)> = Vec::new();
    for (number, (share, length)) in stretches.iter().enumerate() {
        let part = if number + 1 == stretches.len() {
            left
        } else {
            (cost.0 * Decimal::from(length.as_secs()) / Decimal::from(total)).round_dp(6)
        };
        left -= part;
        match shares.iter_mut().find(|(known, _)| known == share) {
            Some((_, sum)) => sum.0 += part,
            None => shares.push((*share, Usd(part))),
        }
    }
    shares
}
