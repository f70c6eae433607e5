//! Webhooks for jobs: their addresses and recent deliveries. <https://docs.github.com/en/rest/repos/webhooks>

use jiff::Timestamp;
use serde::Deserialize;

use crate::auth::ApiClient;
use crate::error::{GitHubError, GitHubErrorKind};
use crate::location::Scope;
use crate::runners::GitHub;
use crate::transport;

/// Maximum number of recent deliveries that are read.
const DELIVERIES: usize = 30;

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DeliveryFacts {
    /// Time of delivery.
    pub delivered_at: Timestamp,
    /// `workflow_job`.
    #[serde(default)]
    pub event: String,
    /// GitHub's status: `OK`, `Invalid HTTP Response: 503`, `timed out`.
    #[serde(default)]
    pub status: String,
    /// The receiver's HTTP status; 0 without an answer.
    #[serde(default)]
    pub status_code: u16,
}

/// One webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFacts {
    /// Its address.
    pub url: String,
    /// Whether it is active.
    pub is_active: bool,
    /// Whether it is subscribed to job events.
    pub tells_of_jobs: bool,
    /// Whether the daemon can parse the body: it is JSON, or a form with JSON in it.
    pub is_readable: bool,
    /// Whether a secret is set.
    pub has_secret: bool,
    /// Its recent deliveries, the latest first.
    pub deliveries: Vec<DeliveryFacts>,
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    secret: Option<String>,
}

impl HookFacts {
    fn new(config: &Config, is_active: bool, events: &[String], deliveries: Vec<DeliveryFacts>) -> Self {
        Self {
            url: config.url.clone().unwrap_or_default(),
            is_active,
            tells_of_jobs: events.iter().any(|event| event == "workflow_job" || event == "*"),
            // GitHub's default is `form`.
            is_readable: config.content_type.as_deref().is_none_or(|kind| ["json", "form"].contains(&kind)),
            has_secret: config.secret.is_some(),
            deliveries,
        }
    }
}

impl GitHub {
    /// Returns the webhooks of the scope, including that of this program's App. `None` where the credentials may not
    /// read them: fine-grained tokens need *Webhooks: read*, classic ones `admin:repo_hook` or `admin:org_hook`.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn hooks(&self) -> Result<Option<Vec<HookFacts>>, GitHubError> {
        if let ApiClient::App(app) = self.speaker() {
            let call = self.call("looking at the webhook of the App of");
            let config: Option<Config> = transport::find(app.itself(), "/app/hook/config", &call).await?;
            let Some(config) = config.filter(|config| config.url.is_some()) else {
                return Ok(Some(Vec::new()));
            };
            let events = self.app().await?.unwrap_or_default().events;
            let path = format!("/app/hook/deliveries?per_page={DELIVERIES}");
            let deliveries = transport::get(app.itself(), &path, &call).await?;
            return Ok(Some(vec![HookFacts::new(&config, true, &events, deliveries)]));
        }
        let base = match &self.location().scope {
            Scope::Enterprise(_) => return Ok(None),
            scope => format!("{}/hooks", scope.api_path()),
        };
        let call = self.call("looking at the webhooks of");
        let client = self.client().await?;
        let asked: Result<Vec<Hook>, GitHubError> =
            transport::get(client, &format!("{base}?per_page=100"), &call).await;
        let hooks = match asked {
            Err(error) if matches!(error.kind, GitHubErrorKind::Forbidden | GitHubErrorKind::NotFound) => {
                return Ok(None);
            }
            asked => asked?,
        };
        let mut all = Vec::new();
        for hook in hooks {
            let path = format!("{base}/{}/deliveries?per_page={DELIVERIES}", hook.id);
            let deliveries = transport::get(client, &path, &call).await?;
            all.push(HookFacts::new(&hook.config, hook.active, &hook.events, deliveries));
        }
        Ok(Some(all))
    }
}
