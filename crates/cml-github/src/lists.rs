//! Lists that come in pages and change while they are read. An entry removed from an earlier page moves the rest up by
//! one, so that one entry is on no page that is read: a list with a hole looks like a complete one, and an absence from
//! it is no evidence.

use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use crate::error::GitHubError;
use crate::transport::RequestContext;

/// Entries of a page; GitHub's maximum.
pub(crate) const PER_PAGE: usize = 100;
/// Number of attempts before a list counts as unreadable.
const READINGS_MAX: usize = 4;

/// One page of a list.
pub(crate) trait Page {
    /// An entry.
    type Item: Clone;
    /// The key that identifies an entry.
    type Key: Hash + Eq + Clone;

    /// Returns how many entries the list has, where GitHub reports it.
    fn total(&self) -> Option<u64>;
    fn items(&self) -> &[Self::Item];
    fn key(item: &Self::Item) -> Self::Key;
}

/// How a list changes while it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Entries are added and removed.
    Any,
    /// Entries are added, and none is removed: it is complete once it has as many as there were at first.
    Grows,
}

/// A list as it was read.
pub(crate) struct Reading<T> {
    pub(crate) items: Vec<T>,
    /// False: entries may be missing.
    pub(crate) is_whole: bool,
}

/// How a list is read.
pub(crate) struct Reader {
    pub(crate) change: Change,
    /// Maximum number of entries that GitHub returns of one list, or that are wanted of it.
    pub(crate) most: usize,
}

impl Reader {
    /// A list without a limit whose entries are added and removed.
    pub(crate) const ANY: Self = Self { change: Change::Any, most: usize::MAX };

    /// Returns the complete list, or an error: never a part of it.
    pub(crate) async fn whole<P, F>(
        &self,
        call: &RequestContext<'_>,
        page: impl Fn(usize) -> F,
    ) -> Result<Vec<P::Item>, GitHubError>
    where
        P: Page,
        F: Future<Output = Result<Arc<P>, GitHubError>>,
    {
        let reading = self.read(page).await?;
        if reading.is_whole { Ok(reading.items) } else { Err(GitHubError::list_changed(call)) }
    }

    /// Returns the list, and whether it is complete; an incomplete one is read again some times.
    pub(crate) async fn read<P, F>(&self, page: impl Fn(usize) -> F) -> Result<Reading<P::Item>, GitHubError>
    where
        P: Page,
        F: Future<Output = Result<Arc<P>, GitHubError>>,
    {
        let mut reading = self.once(&page).await?;
        for _ in 1..READINGS_MAX {
            if reading.is_whole {
                break;
            }
            tracing::debug!(
                entries = reading.items.len(),
                "a list changed while it was read: reading it again"
            );
            reading = self.once(&page).await?;
        }
        Ok(reading)
    }

    async fn once<P, F>(&self, page: &impl Fn(usize) -> F) -> Result<Reading<P::Item>, GitHubError>
    where
        P: Page,
        F: Future<Output = Result<Arc<P>, GitHubError>>,
    {
        let mut pages: Vec<Arc<P>> = Vec::new();
        for number in 1.. {
            let answer = page(number).await?;
            let length = answer.items().len();
            let total = answer.total();
            pages.push(answer);
            let so_far = number.saturating_mul(PER_PAGE);
            let is_last = match total {
                Some(total) => length == 0 || u64::try_from(so_far).is_ok_and(|read| read >= total),
                None => length < PER_PAGE,
            };
            if is_last || so_far >= self.most {
                break;
            }
        }
        let mut known = HashSet::new();
        let all = pages.iter().flat_map(|page| page.items());
        let items: Vec<P::Item> = all.filter(|item| known.insert(P::key(item))).cloned().collect();
        let is_whole = self.agrees(&pages, items.len()) && self.stands(&pages, page).await?;
        Ok(Reading { items, is_whole })
    }

    /// Returns whether there are as many different entries as GitHub reports.
    fn agrees<P: Page>(&self, pages: &[Arc<P>], different: usize) -> bool {
        let mut totals = pages.iter().map(|page| page.total());
        let Some(Some(first)) = totals.next() else { return true };
        let wanted = usize::try_from(first).unwrap_or(usize::MAX).min(self.most);
        match self.change {
            Change::Any => totals.all(|total| total == Some(first)) && different == wanted,
            Change::Grows => different >= wanted,
        }
    }

    /// Returns whether every page but the last is still the same. Then no entry before another was removed while that
    /// one moved up, not even where another was added at the same time, which leaves the number as it was.
    async fn stands<P, F>(&self, pages: &[Arc<P>], page: &impl Fn(usize) -> F) -> Result<bool, GitHubError>
    where
        P: Page,
        F: Future<Output = Result<Arc<P>, GitHubError>>,
    {
        let keys = |page: &P| page.items().iter().map(P::key).collect::<Vec<_>>();
        let Some((_, earlier)) = pages.split_last().filter(|_| self.change == Change::Any) else {
            return Ok(true);
        };
        for (number, before) in (1..).zip(earlier) {
            if keys(page(number).await?.as_ref()) != keys(before) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
