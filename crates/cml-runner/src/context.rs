//! The clouds of this binary as one type, and its GitHub client. The edge: environment and processes are read here.

use std::path::{Path, PathBuf};

use cml_cloud::local::{LocalCloud, LocalSettings};
use cml_cloud::{
    ByRegion, Cloud, CloudError, Instance, InstanceFilter, InstanceId, LaunchId, LaunchRequest, Launched,
    MayBuy, Offer, OfferQuery, SpotPrice,
};
use cml_github::{Auth, GitHub, Location};
use cml_journal::SqliteJournal;
use cml_prices::{Book, Store};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::args::{CloudName, Global};
use crate::aws::{AwsCloud, AwsSettings};
use crate::exit::{CliError, ExitCode};

/// Hint for a missing token where only past jobs are read.
pub(crate) const READS_ACTIONS: &str = "set REPO_TOKEN to a token with \"Actions: read\"";

/// The selected cloud.
pub(crate) enum OneCloud {
    Aws(Box<AwsCloud>),
    Local(LocalCloud),
}

impl OneCloud {
    /// Connects to the cloud; the default region of EC2 is the first of `regions`.
    pub(crate) async fn open(
        name: CloudName,
        regions: &[String],
        state_dir: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        let prices = prices_file(state_dir.as_deref());
        let state_dir = state_dir.unwrap_or_else(default_state_dir);
        check_state_dir(&state_dir)?;
        match name {
            CloudName::Aws => {
                let settings = AwsSettings {
                    default_region: regions.first().cloned(),
                    cache_dir: cache_dir(),
                    prices: list_prices(prices.as_deref()),
                };
                Ok(Self::Aws(Box::new(AwsCloud::connect(settings).await)))
            }
            CloudName::Local => Ok(Self::Local(local(state_dir)?)),
        }
    }
}

/// Returns the file of fetched prices that decide what is bought, in the given state directory or the default one. On a
/// machine that runs many jobs an earlier one could have written into the default one: there none are trusted.
pub(crate) fn prices_file(state_dir: Option<&Path>) -> Option<PathBuf> {
    prices_file_of(&env, state_dir)
}

fn prices_file_of(env: &dyn Fn(&str) -> Option<String>, given: Option<&Path>) -> Option<PathBuf> {
    let dir = match given {
        Some(dir) => dir.to_owned(),
        None if serves_many_jobs(env) => return None,
        None => xdg(env, "XDG_STATE_HOME", ".local/state"),
    };
    Some(dir.join(crate::cost::PRICES))
}

/// Returns the list prices, as far as they were fetched; else the embedded ones.
pub(crate) fn list_prices(file: Option<&Path>) -> Book {
    let Some(file) = file else { return Book::shipped() };
    Store::book(file, Some(crate::actions::now())).unwrap_or_else(|error| {
        tracing::warn!(%error, "the prices that ship are used");
        Book::shipped()
    })
}

/// Opens the local provider in one directory; its supervisor is this program.
pub(crate) fn local(root: PathBuf) -> Result<LocalCloud, CliError> {
    let supervisor = std::env::current_exe().map_err(|error| {
        CliError::new(ExitCode::Failed, format!("cannot find this program's own file: {error}"))
    })?;
    Ok(LocalCloud::new(LocalSettings::new(root, supervisor)))
}

/// Returns the path of a launch's journal.
pub(crate) fn journal_file(state_dir: &Path, launch: LaunchId) -> PathBuf {
    state_dir.join("journals").join(format!("{launch}.db"))
}

/// Opens the journal of one launch in the state directory, with its decisions and purchases, for `cml-runner cost`.
pub(crate) fn journal(state_dir: &Path, launch: LaunchId) -> Result<SqliteJournal, CliError> {
    let file = journal_file(state_dir, launch);
    check_journal(&file)?;
    SqliteJournal::open(&file).map_err(|error| {
        CliError::new(ExitCode::Failed, format!("the launch's journal cannot be written: {error}"))
            .hint("name a directory that can be written with --state-dir")
    })
}

impl Cloud for OneCloud {
    fn name(&self) -> &'static str {
        match self {
            Self::Aws(cloud) => cloud.name(),
            Self::Local(cloud) => cloud.name(),
        }
    }

    async fn offers(&self, query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.offers(query).await,
            Self::Local(cloud) => cloud.offers(query).await,
        }
    }

    async fn launch(&self, request: &LaunchRequest, may_buy: MayBuy<'_>) -> Result<Launched, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.launch(request, may_buy).await,
            Self::Local(cloud) => cloud.launch(request, may_buy).await,
        }
    }

    fn shows_within(&self, region: &str) -> SignedDuration {
        match self {
            Self::Aws(cloud) => cloud.shows_within(region),
            Self::Local(cloud) => cloud.shows_within(region),
        }
    }

    async fn clean_up(&self, request: &LaunchRequest) -> Result<(), CloudError> {
        match self {
            Self::Aws(cloud) => cloud.clean_up(request).await,
            Self::Local(cloud) => cloud.clean_up(request).await,
        }
    }

    async fn collect_garbage(
        &self,
        filter: &InstanceFilter,
        older_than: Timestamp,
        dry_run: bool,
    ) -> Result<ByRegion<String>, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.collect_garbage(filter, older_than, dry_run).await,
            Self::Local(cloud) => cloud.collect_garbage(filter, older_than, dry_run).await,
        }
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.instances(filter).await,
            Self::Local(cloud) => cloud.instances(filter).await,
        }
    }

    async fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.spot_prices(region, types, since).await,
            Self::Local(cloud) => cloud.spot_prices(region, types, since).await,
        }
    }

    async fn interrupted_instances(&self, region: &str) -> Result<Vec<InstanceId>, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.interrupted_instances(region).await,
            Self::Local(cloud) => cloud.interrupted_instances(region).await,
        }
    }

    async fn terminate(&self, region: &str, id: &InstanceId) -> Result<(), CloudError> {
        match self {
            Self::Aws(cloud) => cloud.terminate(region, id).await,
            Self::Local(cloud) => cloud.terminate(region, id).await,
        }
    }

    async fn console(&self, region: &str, id: &InstanceId) -> Result<String, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.console(region, id).await,
            Self::Local(cloud) => cloud.console(region, id).await,
        }
    }
}

/// Returns an environment variable; empty counts as not set, as Actions sets unset secrets to the empty string.
pub(crate) fn env(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "the edge of the program: here the environment is read")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the names of all environment variables.
pub(crate) fn env_names() -> impl Iterator<Item = String> {
    #[allow(clippy::disallowed_methods, reason = "the edge of the program: here the environment is read")]
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// Returns the default region, chosen as AWS's own tools do; else the oldest region.
pub(crate) fn default_region() -> String {
    let named = env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION"));
    named.unwrap_or_else(|| "us-east-1".to_owned())
}

/// Returns the directory of caches: none of them is required, all of them save calls. On a machine that runs many jobs
/// an earlier one could have written into the home directory what a later one would buy and boot: there they are in the
/// job's own directory, which GitHub's runner empties before each, or disabled.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    caches(&env)
}

fn caches(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if serves_many_jobs(env) {
        return env("RUNNER_TEMP").map(|dir| PathBuf::from(dir).join("cml-runner"));
    }
    Some(xdg(env, "XDG_CACHE_HOME", ".cache"))
}

/// Returns whether this is a step of a workflow on a machine that is not GitHub's: an earlier job of the same user may
/// have run there.
fn serves_many_jobs(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let is_hosted = env("RUNNER_ENVIRONMENT").is_some_and(|environment| environment == "github-hosted");
    env("GITHUB_ACTIONS").is_some() && !is_hosted
}

/// Refuses a state directory into which other users could put a journal. A missing one is created with access for this
/// user only.
pub(crate) fn check_state_dir(dir: &Path) -> Result<(), CliError> {
    not_foreign(dir).map_err(|error| {
        CliError::new(ExitCode::Failed, format!("the state directory is not yours alone: {error}")).hint(
            "what lies there decides which machines are bought and ended; or name another with --state-dir",
        )
    })
}

/// Refuses a journal that other users can write or replace, in any directory; also the files next to it with its name:
/// SQLite's own files, and the inbox of webhooks.
pub(crate) fn check_journal(file: &Path) -> Result<(), CliError> {
    let inbox = file.with_extension("inbox.db");
    let files = [file, inbox.as_path()]
        .into_iter()
        .flat_map(|file| ["", "-wal", "-shm"].map(|side| beside(file, side)));
    // A link is in one directory, and the file in another.
    let real = file.canonicalize().unwrap_or_default();
    let dirs = [file, real.as_path()].into_iter().filter_map(Path::parent).map(directory);
    for path in dirs.chain(files) {
        not_foreign(&path).map_err(|error| {
            CliError::new(ExitCode::Failed, format!("the journal is not yours alone: {error}")).hint(
                "what stands in it decides which machines are bought and ended; or name another with --journal, or another \
                 directory with --state-dir",
            )
        })?;
    }
    Ok(())
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Returns the parent directory. The parent of a bare name is the empty path.
fn directory(parent: &Path) -> PathBuf {
    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
}

/// Refuses a path of another user. Only an existing one can be another user's; an unreadable one is reported when it is
/// used.
fn not_foreign(path: &Path) -> Result<(), std::io::Error> {
    match cml_cloud::private::refuse_foreign(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Returns the directory of the local provider's machines.
pub(crate) fn default_state_dir() -> PathBuf {
    xdg(&env, "XDG_STATE_HOME", ".local/state")
}

fn xdg(env: &dyn Fn(&str) -> Option<String>, variable: &str, below_home: &str) -> PathBuf {
    let base = env(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env("HOME").map_or_else(std::env::temp_dir, PathBuf::from).join(below_home);
    base.unwrap_or_else(home).join("cml-runner")
}

/// Creates the GitHub client from the flags and the environment.
pub(crate) fn github(global: &Global) -> Result<GitHub, CliError> {
    github_of_remote(global, "origin")
}

/// Creates the client for a command that registers no runner: the hint for a missing token differs.
pub(crate) fn github_with(global: &Global, hint: &str) -> Result<GitHub, CliError> {
    github(global).map_err(|trouble| match trouble.code {
        ExitCode::Denied => trouble.hint(hint),
        _ => trouble,
    })
}

/// Creates the client; a location that neither flags nor environment name is taken from this git remote.
pub(crate) fn github_of_remote(global: &Global, remote: &str) -> Result<GitHub, CliError> {
    if let Some(driver) = &global.driver
        && driver != "github"
    {
        return Err(CliError::new(ExitCode::Usage, format!("--driver {driver}: only github is served")));
    }
    let needs_remote = global.repo.is_none() && env("GITHUB_REPOSITORY").is_none();
    let remote = if needs_remote { git_remote(remote) } else { None };
    let location = Location::find(global.repo.as_deref(), &env, remote.as_deref())
        .map_err(|error| CliError::new(ExitCode::Usage, error.to_string()))?;
    Ok(GitHub::new(location, auth(global)?)?)
}

fn auth(global: &Global) -> Result<Auth, CliError> {
    if let (Some(app_id), Some(file)) = (global.app_id, &global.app_key_file) {
        let pem = std::fs::read_to_string(file).map_err(|error| {
            CliError::new(ExitCode::Usage, format!("--app-key-file: cannot read {}: {error}", file.display()))
        })?;
        return Ok(Auth::App {
            app_id,
            private_key_pem: SecretString::from(pem),
            installation_id: global.app_installation_id,
        });
    }
    // CML's own order of names, the lower-case one included.
    let names = ["CML_RUNNER_TOKEN", "CML_DRIVER_TOKEN", "REPO_TOKEN", "repo_token", "GITHUB_TOKEN"];
    global
        .token
        .clone()
        .filter(|token| !token.is_empty())
        .or_else(|| names.iter().find_map(|name| env(name)))
        .map(|token| Auth::Token(SecretString::from(token)))
        .ok_or_else(|| {
            let empty = names.iter().find(|name| env_names().any(|it| it == **name)).copied();
            CliError::new(ExitCode::Denied, no_token(empty)).hint(
                "set REPO_TOKEN to a fine-grained token with the repository permission \"Administration: read and \
                 write\" (organization: \"Self-hosted runners: read and write\"), or use --app-id and --app-key-file; \
                 the GITHUB_TOKEN of a workflow can never register runners",
            )
        })
}

/// Returns the message for a missing token; `empty` is a variable that is set to the empty string, as Actions sets a
/// secret that does not exist.
fn no_token(empty: Option<&str>) -> String {
    match empty {
        Some(name) => format!(
            "no GitHub token: {name} is empty: is the secret set, and is this a pull request from a fork (those get none)?"
        ),
        None => "no GitHub token: none of REPO_TOKEN, repo_token and GITHUB_TOKEN is set".to_owned(),
    }
}

fn git_remote(name: &str) -> Option<String> {
    let output = crate::secrets::git().args(["remote", "get-url", name]).output().ok()?;
    let remote = String::from_utf8(output.stdout).ok()?;
    Some(remote.trim().to_owned()).filter(|remote| output.status.success() && !remote.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_many_jobs_keeps_its_caches_with_the_job() {
        let dir = |known: &[(&str, &str)]| {
            caches(&|name| known.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        let home = ("HOME", "/home/ada");
        let in_home = Some(PathBuf::from("/home/ada/.cache/cml-runner"));
        assert_eq!(dir(&[home]), in_home);
        let actions = ("GITHUB_ACTIONS", "true");
        assert_eq!(dir(&[home, actions, ("RUNNER_ENVIRONMENT", "github-hosted")]), in_home);
        let temp = ("RUNNER_TEMP", "/work/_temp");
        assert_eq!(dir(&[home, actions, temp]), Some(PathBuf::from("/work/_temp/cml-runner")));
        let own = ("RUNNER_ENVIRONMENT", "self-hosted");
        assert_eq!(dir(&[home, actions, own, temp]), Some(PathBuf::from("/work/_temp/cml-runner")));
        assert_eq!(dir(&[home, actions, own, ("XDG_CACHE_HOME", "/home/ada/cache")]), None);
    }

    #[test]
    fn a_machine_of_many_jobs_believes_fetched_prices_of_a_directory_that_is_given_only() {
        let on = |known: &'static [(&str, &str)], dir: Option<&str>| {
            let env = move |name: &str| {
                known.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            prices_file_of(&env, dir.map(Path::new))
        };
        let at_home = Some(PathBuf::from("/home/ada/.local/state/cml-runner/prices.db"));
        let given = Some(PathBuf::from("/srv/state/prices.db"));
        const HOME: (&str, &str) = ("HOME", "/home/ada");
        const ACTIONS: (&str, &str) = ("GITHUB_ACTIONS", "true");
        assert_eq!(on(&[HOME], None), at_home);
        assert_eq!(on(&[HOME, ACTIONS, ("RUNNER_ENVIRONMENT", "github-hosted")], None), at_home);
        for own in [&[HOME, ACTIONS][..], &[HOME, ACTIONS, ("RUNNER_ENVIRONMENT", "self-hosted")]] {
            assert_eq!(on(own, None), None);
            assert_eq!(on(own, Some("/srv/state")), given);
        }
        assert_eq!(list_prices(None), Book::shipped());
    }

    #[test]
    fn a_state_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(check_state_dir(&dir.path().join("not-there")).is_ok());
        assert!(check_state_dir(dir.path()).is_ok());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(dir.path(), open).expect("is changed");
        let trouble = check_state_dir(dir.path()).expect_err("is refused");
        assert!(trouble.message.contains("chmod go-w"), "{}", trouble.message);
    }

    #[test]
    fn a_journal_that_others_can_write_or_replace_is_refused() {
        let made = tempfile::tempdir().expect("a directory");
        let dir = made.path().join("journals");
        std::fs::create_dir(&dir).expect("is made");
        let set = |path: &Path, mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("is changed");
        };
        set(&dir, 0o700);
        let journal = dir.join("daemon.db");
        assert!(check_journal(&journal).is_ok(), "not there yet");
        assert!(check_journal(Path::new("/not-there/daemon.db")).is_ok(), "told of when it is opened");
        for name in ["daemon.db", "daemon.db-wal", "daemon.inbox.db"] {
            let file = dir.join(name);
            std::fs::write(&file, "").expect("is written");
            set(&file, 0o600);
            assert!(check_journal(&journal).is_ok(), "{name}");
            set(&file, 0o666);
            let trouble = check_journal(&journal).expect_err(name);
            assert!(trouble.message.contains("the journal is not yours alone"), "{}", trouble.message);
            assert!(trouble.message.contains(&format!("{name}: chmod go-w")), "{}", trouble.message);
            std::fs::remove_file(&file).expect("is removed");
        }
        let link = made.path().join("link.db");
        std::fs::write(&journal, "").expect("is written");
        set(&journal, 0o600);
        std::os::unix::fs::symlink(&journal, &link).expect("a link");
        assert!(check_journal(&link).is_ok());
        set(&dir, 0o1777);
        for through in [&journal, &link] {
            let trouble = check_journal(through).expect_err("is refused");
            assert!(trouble.message.contains("journals: chmod go-w"), "{}", trouble.message);
        }
        std::fs::remove_file(&journal).expect("is removed");
        assert!(check_journal(&journal).is_err(), "another user may make it first");
    }

    #[test]
    fn an_empty_token_is_told_from_one_that_is_not_set() {
        assert!(no_token(Some("REPO_TOKEN")).contains("REPO_TOKEN is empty"));
        assert!(no_token(None).contains("none of REPO_TOKEN"));
    }
}
