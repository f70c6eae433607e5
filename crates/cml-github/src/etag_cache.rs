//! Cache of list pages that are polled. An unchanged page is not sent again, and does not count against the rate limit.
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use octocrab::Octocrab;
use serde::de::DeserializeOwned;

use crate::error::GitHubError;
use crate::transport::{self, ApiResponse, RequestContext};

/// Polling calls in a minute: half of what GitHub accepts from one caller.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
const CALLS_PER_MINUTE: u32 = 450;

/// Latest answers for pages of one kind.
#[derive(Debug)]
pub(crate) struct EtagCache<T> {
    known: Mutex<HashMap<String, Known<T>>>,
}

#[derive(Debug)]
struct Known<T> {
    tag: String,
    page: Arc<T>,
    is_used: bool,
}

impl<T> Default for EtagCache<T> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<T: DeserializeOwned> EtagCache<T> {
    pub(crate) async fn get(
        &self,
        client: &Octocrab,
        path: &str,
        call: &RequestContext<'_>,
        cost: &RateBudget,
    ) -> Result<Arc<T>, GitHubError> {
        let known = self.lock().get(path).map(|known| (known.tag.clone(), known.page.clone()));
        let tag = known.as_ref().map(|(tag, _)| tag.as_str());
        let answer = transport::get_if_none_match(client, path, tag, call).await?;
        cost.note(&answer);
        if answer.status == 304
            && let Some((_, page)) = known
        {
            if let Some(known) = self.lock().get_mut(path) {
                known.is_used = true;
            }
            return Ok(page);
        }
        let page: Arc<T> = Arc::new(answer.read(call)?);
        if let Some(tag) = answer.header("etag") {
            let known = Known { tag: tag.to_owned(), page: page.clone(), is_used: true };
            self.lock().insert(path.to_owned(), known);
        }
        Ok(page)
    }

    /// Removes pages that were not requested since the last call: runs end.
    pub(crate) fn forget_unused(&self) {
        self.lock().retain(|_, known| std::mem::take(&mut known.is_used));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known<T>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cost of a poll.
#[derive(Debug, Default)]
pub(crate) struct RateBudget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    calls: u32,
    /// Number of calls that count against the rate limit.
    counted: u32,
    left: Option<Left>,
}

/// The remaining rate limit.
#[derive(Clone, Copy, Debug)]
struct Left {
    calls: u32,
    resets_in: Duration,
}

impl RateBudget {
    fn note(&self, answer: &ApiResponse) {
        let number = |name| answer.header(name).and_then(|text| text.parse::<i64>().ok());
        let left = || {
            let calls = u32::try_from(number("x-ratelimit-remaining")?).ok()?;
            let seconds = number("x-ratelimit-reset")? - answer.date()?.as_second();
            Some(Left { calls, resets_in: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) })
        };
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.calls += 1;
        spent.counted += u32::from(answer.status != 304);
        spent.left = left().or(spent.left);
    }

    /// Returns how long the next poll should wait, if it costs the same, to use no more than half of the limit.
    pub(crate) fn rest(&self) -> Duration {
        let spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_minute = Duration::from_secs(60) * spent.calls / CALLS_PER_MINUTE;
        let by_limit = spent.left.map_or(Duration::ZERO, |left| match left.calls / 2 {
            0 => left.resets_in,
            half => (left.resets_in * spent.counted / half).min(left.resets_in),
        });
        by_minute.max(by_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(calls: u32, counted: u32, left: u32) -> u64 {
        let left = Some(Left { calls: left, resets_in: Duration::from_secs(3600) });
        RateBudget(Mutex::new(Spent { calls, counted, left })).rest().as_secs()
    }

    #[test]
    fn a_poll_leaves_half_of_the_minute_and_half_of_the_hour_to_others() {
        assert_eq!(rest(5, 0, 5000), 0);
        assert_eq!(rest(900, 0, 5000), 120);
        assert_eq!(rest(50, 50, 5000), 72, "50 polls of 50 are half of 5,000");
        assert_eq!(rest(5, 5, 1), 3600, "nothing is left: not before there is more");
    }
}
