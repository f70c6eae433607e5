//! A report as a reader of GitHub sees it.

use reqwest::Client;
use serde_json::Value;

use crate::secrets::TOKEN;
use crate::sim::Sim;

/// The text of a comment.
pub struct Report {
    /// Markdown.
    pub body: String,
}

impl Report {
    /// The reports on a commit, oldest first.
    pub async fn on_commit(sim: &Sim, sha: &str) -> Vec<Self> {
        Self::listed(sim, &format!("commits/{sha}/comments")).await
    }

    /// The reports on a pull request, oldest first.
    pub async fn on_pull(sim: &Sim, number: u64) -> Vec<Self> {
        Self::listed(sim, &format!("issues/{number}/comments")).await
    }

    async fn listed(sim: &Sim, path: &str) -> Vec<Self> {
        let url = format!("{}/repos/acme/vision/{path}", sim.api_url());
        let list: Vec<Value> = serde_json::from_slice(&get(&url).await).expect("a list");
        let body = |comment: &Value| comment["body"].as_str().expect("a body").to_owned();
        list.iter().map(|comment| Self { body: body(comment) }).collect()
    }

    /// The cells of the metrics table's row: `[path, metric, old, new, change]`, without those that are not there.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, metric: &str) -> Vec<String> {
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut rows = self.body.lines().filter(|line| line.starts_with('|')).map(cells);
        rows.find(|row| row.iter().any(|cell| cell == metric))
            .unwrap_or_else(|| panic!("no {metric} in {}", self.body))
    }

    /// Returns the images below this heading.
    pub async fn images(&self, heading: &str) -> Vec<Vec<u8>> {
        let below =
            self.body.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading} in {}", self.body));
        let section = below.split("\n#").next().unwrap_or_default();
        let mut images = Vec::new();
        for link in section.split("![").skip(1) {
            let url = link.split_once("](").and_then(|(_, rest)| rest.split([')', ' ']).next());
            images.push(get(url.unwrap_or_else(|| panic!("no address in {section}"))).await);
        }
        images
    }
}

/// Fetches an address as a signed-in reader.
async fn get(url: &str) -> Vec<u8> {
    let client = Client::builder().no_proxy().user_agent("a reader").build().expect("a client");
    let answer = client.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{url} answers {}", answer.status());
    answer.bytes().await.expect("a body").to_vec()
}
