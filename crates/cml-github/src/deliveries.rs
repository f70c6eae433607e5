//! Redelivery of an App's webhooks that failed: GitHub never redelivers by itself, only on request.
//! <https://docs.github.com/en/rest/apps/webhooks>

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::auth::ApiClient;
use crate::error::GitHubError;
use crate::runners::GitHub;
use crate::transport;

/// A delivery that failed this often is left to the poll.
const TRIES_MAX: usize = 3;
/// How far back lost deliveries are searched for.
const LOST_SINCE: SignedDuration = SignedDuration::from_hours(2);
/// Maximum number of pages of 100 that are read, the latest first.
const PAGES_MAX: usize = 10;

#[derive(Deserialize)]
struct Delivery {
    id: u64,
    #[serde(default)]
    guid: String,
    delivered_at: Timestamp,
    #[serde(default)]
    status_code: u16,
    #[serde(default)]
    event: String,
}

impl GitHub {
    /// Returns whether GitHub can be asked to redeliver: only an App may do so.
    #[must_use]
    pub fn may_redeliver(&self) -> bool {
        matches!(self.speaker(), ApiClient::App(_))
    }

    /// Requests redelivery of what was sent in the last two hours and failed; returns the number of deliveries. By then
    /// the poll has found what still matters of anything older.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn redeliver_failed(&self, now: Timestamp) -> Result<usize, GitHubError> {
        let ApiClient::App(app) = self.speaker() else { return Ok(0) };
        let since = now - LOST_SINCE;
        let client = app.itself();
        let call = self.call("looking for lost webhooks of");
        // All attempts of one delivery share its guid.
        let mut tries: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        let mut path = Some("/app/hook/deliveries?per_page=100".to_owned());
        for _ in 0..PAGES_MAX {
            let Some(this) = path.take() else { break };
            let answer = transport::get_if_none_match(client, &this, None, &call).await?;
            let page: Vec<Delivery> = answer.read(&call)?;
            let is_recent = |one: &Delivery| one.delivered_at > since;
            if page.iter().all(is_recent) {
                path = answer.header("link").and_then(next);
            }
            for one in page.into_iter().filter(is_recent).filter(|one| one.event == "workflow_job") {
                tries.entry(one.guid.clone()).or_default().push(one);
            }
        }
        let was_taken = |one: &Delivery| (200..300).contains(&one.status_code);
        // It may still be in progress: GitHub allows the endpoint 30 seconds at most.
        let is_open =
            |one: &Delivery| one.status_code == 0 && one.delivered_at > now - SignedDuration::from_mins(1);
        let call = self.call("asking for a lost webhook of");
        let mut asked = 0;
        for tries in tries.values() {
            if tries.len() >= TRIES_MAX || tries.iter().any(|one| was_taken(one) || is_open(one)) {
                continue;
            }
            if let Some(one) = tries.first() {
                let path = format!("/app/hook/deliveries/{}/attempts", one.id);
                let _: serde_json::Value = transport::post(client, &path, None::<&()>, &call).await?;
                asked += 1;
            }
        }
        Ok(asked)
    }
}

/// Returns the query of the next page: GitHub pages this list by a cursor.
fn next(links: &str) -> Option<String> {
    let link = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let address = link.split(['<', '>']).nth(1)?;
    let (_, query) = address.split_once('?')?;
    Some(format!("/app/hook/deliveries?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_by_its_cursor() {
        let links =
            "<https://api.github.com/app/hook/deliveries?per_page=100&cursor=v1_17323292984>; rel=\"next\"";
        assert_eq!(next(links).as_deref(), Some("/app/hook/deliveries?per_page=100&cursor=v1_17323292984"));
        assert_eq!(next("<https://api.github.com/x?page=1>; rel=\"first\""), None);
    }
}
