//! The author of the comments that this program writes.

use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::auth::Auth;
use crate::comments::Comment;
use crate::inspect::TokenKind;
use crate::runners::GitHub;
use crate::transport;

/// The author of the comments that this program writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentAuthor {
    /// An App's bot; with the App's id where the App is this program's own.
    Bot(Option<u64>),
    /// A person, by login.
    Person(String),
    /// Not reported by GitHub.
    Unknown,
}

impl CommentAuthor {
    /// Returns whether this author wrote the comment, as far as GitHub reports it.
    #[must_use]
    pub fn wrote(&self, comment: &Comment) -> bool {
        match self {
            Self::Bot(app) => {
                comment.is_by_bot() && (app.is_none() || comment.app().is_none() || *app == comment.app())
            }
            Self::Person(login) => comment.is_by(login),
            Self::Unknown => false,
        }
    }

    /// Returns a person's login.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        if let Self::Person(login) = self { Some(login) } else { None }
    }
}

/// What is known without a request, and the login, requested once.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) kind: TokenKind,
    bot: Option<CommentAuthor>,
    login: OnceCell<Option<String>>,
}

impl Identity {
    pub(crate) fn of(auth: &Auth) -> Self {
        let bot = match auth {
            Auth::App { app_id, .. } => Some(CommentAuthor::Bot(Some(*app_id))),
            // An App's own token, such as a workflow's GITHUB_TOKEN, which may not query its own name.
            // https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
            Auth::Token(token) if token.expose_secret().starts_with("ghs_") => Some(CommentAuthor::Bot(None)),
            Auth::Token(_) => None,
        };
        Self { kind: TokenKind::of(auth), bot, login: OnceCell::new() }
    }
}

#[derive(Deserialize)]
struct User {
    login: String,
}

impl GitHub {
    /// Returns the author of this program's comments. GitHub is queried once, and only for the login of a person's
    /// token. <https://docs.github.com/en/rest/users/users#get-the-authenticated-user>
    pub async fn writer(&self) -> CommentAuthor {
        if let Some(bot) = &self.identity.bot {
            return bot.clone();
        }
        let login = self.identity.login.get_or_init(|| self.own_login()).await;
        login.clone().map_or(CommentAuthor::Unknown, CommentAuthor::Person)
    }

    async fn own_login(&self) -> Option<String> {
        let call = self.call("asking whose the token is, for");
        let answer = match self.client().await {
            Ok(client) => transport::get::<User>(client, "/user", &call).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(user) => Some(user.login),
            Err(error) => {
                tracing::debug!("{error}: our own comments are told by what GitHub says of their authors");
                None
            }
        }
    }
}
