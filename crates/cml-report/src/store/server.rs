//! A server with CML's upload protocol: bytes in, an address out.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{Artifact, ArtifactError, ArtifactStore, check_count};

/// Time limit of one upload.
const LIMIT: Duration = Duration::from_secs(300);
/// Maximum length of an answer that is an address.
const ANSWER_LIMIT: usize = 4096;

/// The server.
#[derive(Clone, Debug)]
pub struct AssetServer {
    url: Url,
    client: reqwest::Client,
    is_marked: bool,
}

impl AssetServer {
    /// Creates a store for this address.
    ///
    /// # Errors
    /// When it is not an HTTP address.
    pub fn new(url: &str) -> Result<Self, ArtifactError> {
        let bad = |why: String| ArtifactError::BadAddress(url.to_owned(), why);
        let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad("it begins neither with https:// nor with http://".to_owned()));
        }
        let client =
            reqwest::Client::builder().timeout(LIMIT).connect_timeout(Duration::from_secs(10)).build();
        let client = client.map_err(|error| bad(error.to_string()))?;
        Ok(Self { url: parsed, client, is_marked: true })
    }

    /// Returns addresses as the server returns them, without CML's `?cml=png`.
    #[must_use]
    pub fn unmarked(self) -> Self {
        Self { is_marked: false, ..self }
    }

    async fn upload(&self, asset: &Artifact) -> Result<String, String> {
        let name = utf8_percent_encode(&asset.name, NON_ALPHANUMERIC);
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", &asset.media.mime)
            .header("content-disposition", format!("inline; filename=\"{name}\""))
            .body(asset.bytes.clone());
        let mut answer = request.send().await.map_err(|error| chain(&error))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| chain(&error))? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_LIMIT {
                break;
            }
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_LIMIT)]).trim().to_owned();
        if !status.is_success() {
            let first = text.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
            return Err(format!("it answered {status} {first}").trim_end().to_owned());
        }
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && !text.contains(char::is_whitespace) => {
                if !self.is_marked {
                    return Ok(text);
                }
                let separator = if text.contains('?') { '&' } else { '?' };
                let kind = utf8_percent_encode(asset.media.subtype(), NON_ALPHANUMERIC);
                // As in CML: programs that read comments detect the type by it.
                Ok(format!("{text}{separator}cml={kind}"))
            }
            _ => Err("it answered no address: is it an asset server as CML has it?".to_owned()),
        }
    }
}

impl ArtifactStore for AssetServer {
    async fn upload(&self, assets: &[Artifact]) -> Result<Vec<String>, ArtifactError> {
        check_count(assets)?;
        let mut all: Vec<String> = Vec::new();
        for (index, asset) in assets.iter().enumerate() {
            let same = assets[..index].iter().position(|other| other.path() == asset.path());
            let url = match same {
                Some(same) => all[same].clone(),
                None => self.upload(asset).await.map_err(|cause| {
                    let mut shown = self.url.clone();
                    let _ = shown.set_password(None);
                    let _ = shown.set_username("");
                    shown.set_query(None);
                    ArtifactError::Server { url: shown.to_string(), cause }
                })?,
            };
            all.push(url);
        }
        Ok(all)
    }
}

/// Formats an error and its causes, without the address, which may hold credentials.
fn chain(error: &reqwest::Error) -> String {
    let mut words = vec!["it cannot be reached".to_owned()];
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    words.dedup();
    words.join(": ")
}
