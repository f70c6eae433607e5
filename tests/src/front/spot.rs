//! Interruptions of spot machines: first a notice, then the end. The emulator has neither.

use std::collections::BTreeSet;

use super::wire::Answer;
use super::{Front, Inner, boot};

/// Machines that are interrupted.
#[derive(Debug, Default)]
pub(super) struct Interruptions {
    noticed: BTreeSet<String>,
    taken: BTreeSet<String>,
}

impl Front {
    /// Announces the interruption of these machines.
    pub fn give_notice(&self, ids: &[String]) {
        self.inner.interruptions().noticed.extend(ids.iter().cloned());
    }

    /// Interrupts a machine: its power is cut.
    ///
    /// # Panics
    /// When the emulator does not end it.
    pub async fn take_back(&self, region: &str, id: &str) {
        let owned = id.to_owned();
        tokio::task::spawn_blocking(move || boot::power_off(&owned)).await.expect("powers off");
        let params = [("Action", "TerminateInstances"), ("Version", "2016-11-15"), ("InstanceId.1", id)];
        let answer = self.inner.own_call(region, &params).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut interruptions = self.inner.interruptions();
        interruptions.noticed.remove(id);
        interruptions.taken.insert(id.to_owned());
    }
}

impl Inner {
    /// Answers DescribeSpotInstanceRequests for machines that will be interrupted.
    pub(super) fn spot_requests(&self) -> Answer {
        let item = |id: &String| {
            format!(
                "<item><spotInstanceRequestId>sir-{}</spotInstanceRequestId><state>active</state><status>\
                 <code>marked-for-termination</code><message>Spot Instance is marked for termination.</message></status>\
                 <instanceId>{id}</instanceId></item>",
                id.get(2..10).unwrap_or_default()
            )
        };
        let items: String = self.interruptions().noticed.iter().map(item).collect();
        Answer::ec2(
            "DescribeSpotInstanceRequests",
            &format!("<spotInstanceRequestSet>{items}</spotInstanceRequestSet>"),
        )
    }

    /// Adds the reason to machines that were interrupted, in AWS's words.
    pub(super) fn with_reasons(&self, mut answer: Answer) -> Answer {
        let taken = self.interruptions().taken.clone();
        if taken.is_empty() {
            return answer;
        }
        let mut text = answer.text();
        for id in &taken {
            let Some(begin) = text.find(&format!("<instanceId>{id}</instanceId>")) else { continue };
            for (tag, words) in [
                ("reason", "Server.SpotInstanceTermination"),
                (
                    "stateReason",
                    "<code>Server.SpotInstanceTermination</code><message>Server.SpotInstanceTermination: Spot instance termination</message>",
                ),
            ] {
                let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
                let found = text[begin..].find(&open).map(|at| begin + at + open.len());
                if let Some(from) = found
                    && let Some(to) = text[from..].find(&close)
                {
                    text.replace_range(from..from + to, words);
                }
            }
        }
        answer.body = text.into_bytes();
        answer
    }
}
