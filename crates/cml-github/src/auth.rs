//! Authentication at GitHub.

use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::error::GitHubError;
use crate::location::Location;
use crate::models::InstallationAnswer;
use crate::transport::{self, RequestContext};

/// Credentials. Their `Debug` output contains no secret.
#[derive(Clone, Debug)]
pub enum Auth {
    /// A personal access token, fine-grained or classic.
    Token(SecretString),
    /// A GitHub App; its one-hour installation tokens are created and renewed as needed.
    App {
        /// The App's id.
        app_id: u64,
        /// Its private key in PEM form.
        private_key_pem: SecretString,
        /// Its installation; `None`: GitHub is queried for the one that serves the scope.
        installation_id: Option<u64>,
    },
}

/// A client authorized for the scope, created when it is first needed.
#[derive(Debug)]
pub(crate) enum ApiClient {
    Token { client: Octocrab, token: SecretString },
    App(Box<App>),
}

/// An App, which acts through its installation.
#[derive(Debug)]
pub(crate) struct App {
    itself: Octocrab,
    installation_id: Option<u64>,
    installed: OnceCell<Octocrab>,
}

impl App {
    /// Returns the client that acts as the App itself, not as an installation.
    pub(crate) fn itself(&self) -> &Octocrab {
        &self.itself
    }
}

impl ApiClient {
    pub(crate) fn new(location: &Location, auth: Auth) -> Result<Self, GitHubError> {
        let builder = transport::builder(location)?;
        Ok(match auth {
            Auth::Token(token) => {
                Self::Token { client: transport::build(builder.personal_token(token.clone()))?, token }
            }
            Auth::App { app_id, private_key_pem, installation_id } => {
                let builder = builder
                    .app_from_rsa_pem(AppId(app_id), private_key_pem.expose_secret())
                    .map_err(|error| GitHubError::bad_app_key(&error))?;
                let itself = transport::build(builder)?;
                Self::App(Box::new(App { itself, installation_id, installed: OnceCell::new() }))
            }
        })
    }

    /// Returns the client for the scope.
    pub(crate) async fn client(
        &self,
        location: &Location,
        stop: &CancellationToken,
    ) -> Result<&Octocrab, GitHubError> {
        match self {
            Self::Token { client, .. } => Ok(client),
            Self::App(app) => {
                let install = || install(&app.itself, app.installation_id, location, stop);
                app.installed.get_or_try_init(install).await
            }
        }
    }
}

impl ApiClient {
    /// Returns a client for GraphQL. Octocrab prepends the base of its REST API to every path, also to a full URL, so
    /// that on an Enterprise Server GraphQL needs a client of its own.
    pub(crate) async fn graphql(
        &self,
        location: &Location,
        stop: &CancellationToken,
    ) -> Result<Octocrab, GitHubError> {
        let base = location.graphql_base();
        let client = self.client(location, stop).await?;
        if base == location.api {
            return Ok(client.clone());
        }
        let token = match self {
            Self::Token { token, .. } => token.clone(),
            Self::App(_) => {
                let call = RequestContext::new("getting the App's token".to_owned(), location, stop);
                client.installation_token().await.map_err(|error| GitHubError::transport(&call, &error))?
            }
        };
        let there = Location { api: base, ..location.clone() };
        transport::build(transport::builder(&there)?.personal_token(token))
    }
}

async fn install(
    app: &Octocrab,
    known: Option<u64>,
    location: &Location,
    stop: &CancellationToken,
) -> Result<Octocrab, GitHubError> {
    let id = match known {
        Some(id) => id,
        None => {
            let scope = &location.scope;
            let call = RequestContext {
                hint: Some(format!("install the App on {scope}, or give its id with --app-installation-id")),
                ..RequestContext::new(format!("finding the App's installation on {scope}"), location, stop)
            };
            let path = format!("{}/installation", scope.api_path());
            transport::get::<InstallationAnswer>(app, &path, &call).await?.id
        }
    };
    app.installation(InstallationId(id)).map_err(|error| GitHubError::bad_app_key(&error))
}
