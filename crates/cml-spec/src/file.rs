//! `cml.yaml`: text in, checked pools out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cml_cloud::{InstanceRequirements, UsdPerHour};
use jiff::SignedDuration;

use crate::budget::{self, Budget};
use crate::fields::{Fields, join, name, open, pairs};
use crate::problem::{BadFile, Problem, Problems};
use crate::reports::{REPORTS_KEYS, ReportsConfig, reports};
use crate::runners::{self, KEYS as RUNNERS_KEYS};
use crate::setup::Setup;
use crate::spec::Spec;
use crate::tree::{self, Kind, Node};

/// Contents of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// GitHub's location and the credentials; `None` leaves them to flags and environment.
    pub github: Option<GitHubConfig>,
    /// Destination of the files of reports; `None` leaves it to flags and environment.
    pub reports: Option<ReportsConfig>,
    /// Its pools, in the order of their names; empty only in a file that is about reports.
    pub runners: Vec<Runners>,
    /// Budgets of repositories and persons, over all pools.
    pub budgets: Vec<Budget>,
    /// Warnings: valid settings that are probably unintended.
    pub warnings: Vec<Problem>,
    /// Number of further warnings.
    pub more_warnings: usize,
}

/// GitHub's location and the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubConfig {
    /// `https://github.com`, or a GitHub Enterprise Server.
    pub url: String,
    /// `owner/name`, an organization, or `enterprises/NAME`.
    pub scope: String,
    /// The credentials; `None` leaves them to flags and environment.
    pub auth: Option<AuthConfig>,
}

/// Source of the credentials for GitHub. A token itself is never part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthConfig {
    /// A GitHub App.
    App {
        /// Its id.
        id: u64,
        /// File with its private key (PEM).
        key_file: PathBuf,
        /// Its installation; determined automatically when not given.
        installation_id: Option<u64>,
    },
    /// The environment variable that holds a token.
    TokenEnv(String),
}

/// A pool with its machine template.
#[derive(Clone, Debug, PartialEq)]
pub struct Runners {
    /// The pool's rules and limits.
    pub spec: Spec,
    /// The cloud of its machines.
    pub cloud: CloudName,
    /// Regions in order of preference.
    pub regions: Vec<String>,
    /// Instance types, or CML's sizes.
    pub instance_types: Vec<String>,
    /// Requirements for its machines, instead of types.
    pub needs: Option<InstanceRequirements>,
    /// Highest spot price accepted.
    pub spot_price_max: Option<UsdPerHour>,
    /// Image alias or id.
    pub image: Option<String>,
    /// Root disk, GiB; `None`: the provider's default, or what the image needs where that is more.
    pub disk_gib: Option<u32>,
    /// Subnets; empty: the default VPC's.
    pub subnets: Vec<String>,
    /// Security group id or name; `None`: this program's.
    pub security_group: Option<String>,
    /// Instance profile of the job.
    pub instance_profile: Option<String>,
    /// The user's own tags.
    pub tags: BTreeMap<String, String>,
    /// Setup of each machine.
    pub setup: Setup,
}

/// A cloud by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudName {
    /// Amazon EC2.
    Aws,
    /// The machine that runs the daemon.
    Local,
}

pub(crate) const FILE_KEYS: &[&str] = &["github", "runners", "budgets", "reports"];
pub(crate) const GITHUB_KEYS: &[&str] = &["url", "scope", "auth"];
pub(crate) const AUTH_KEYS: &[&str] = &["app", "token_env"];
pub(crate) const APP_KEYS: &[&str] = &["id", "key_file", "installation_id"];

/// Lookup of what a pool may buy, as the provider knows it without a call: the hourly on-demand price of each type. An
/// error contains what is wrong with the request, and how to correct it.
pub type Market<'a> = dyn Fn(&Runners) -> Result<Vec<Option<UsdPerHour>>, (String, String)> + 'a;

/// Parses a file's text; `name` is its name in errors.
///
/// # Errors
/// [`BadFile`] with all problems.
pub fn read(name: &str, text: &str, market: &Market<'_>) -> Result<Config, BadFile> {
    let mut problems = Problems::of(text);
    let config = config(text, market, &mut problems);
    match config {
        Some(config) if problems.wrong.is_empty() => {
            let doubtful = problems.doubtful.sorted();
            Ok(Config { warnings: doubtful.told, more_warnings: doubtful.more, ..config })
        }
        _ => Err(bad(name, problems)),
    }
}

/// Parses only the part about reports: an error in a pool does not prevent a report.
///
/// # Errors
/// [`BadFile`] when that part is wrong, or the file is not YAML.
pub fn read_reports(name: &str, text: &str) -> Result<ReportsConfig, BadFile> {
    let mut problems = Problems::of(text);
    let said = tree::parse(text, &mut problems).map(|root| {
        let all = if let Kind::Map(pairs) = &root.kind { pairs.as_slice() } else { &[] };
        let is_reports = |key: &Node| matches!(&key.kind, Kind::Text { text, .. } if text == "reports");
        let found = all.iter().find(|(key, _)| is_reports(key));
        let fields =
            found.and_then(|(key, value)| open(value, key.place, "reports", REPORTS_KEYS, &mut problems));
        fields.map(|fields| reports(&fields, &mut problems)).unwrap_or_default()
    });
    match said {
        Some(said) if problems.wrong.is_empty() => Ok(said),
        _ => Err(bad(name, problems)),
    }
}

fn bad(name: &str, problems: Problems<'_>) -> BadFile {
    let wrong = problems.wrong.sorted();
    BadFile { file: name.to_owned(), problems: wrong.told, more: wrong.more }
}

fn config(text: &str, market: &Market<'_>, problems: &mut Problems<'_>) -> Option<Config> {
    let root = tree::parse(text, problems)?;
    let file = open(&root, root.place, "", FILE_KEYS, problems)?;
    let github = file.open("github", GITHUB_KEYS, problems).and_then(|fields| github(&fields, problems));
    let budgets = budget::of_file(&file, problems);
    let reports = file.open("reports", REPORTS_KEYS, problems).map(|fields| reports(&fields, problems));
    let Some(node) = file.node("runners") else {
        if file.node("reports").is_some() {
            return Some(unwarned(github, reports, Vec::new(), budgets));
        }
        file.missing("runners", "name at least one spec below it, such as `gpu:`", problems);
        return None;
    };
    let mut all: BTreeMap<&str, (Runners, Fields<'_>)> = BTreeMap::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (key, value) in pairs(node, "runners", problems)? {
        let Some(spec) = name(key, "runners", problems) else { continue };
        let path = join("runners", spec);
        if !is_name(spec) {
            let what = format!("`{spec}` is no name for a spec");
            problems.wrong(key.place, &path, what, "1 to 64 letters, digits, - and _");
        } else if !seen.insert(spec) {
            problems.wrong(key.place, &path, "the spec is there twice", "give one of them another name");
        }
        if let Some(fields) = open(value, key.place, &path, RUNNERS_KEYS, problems)
            && let Some(read) = runners::read(spec, &fields, problems)
        {
            bought(&read, &fields, market, problems);
            all.insert(spec, (read, fields));
        }
    }
    if seen.is_empty() {
        problems.wrong(
            file.place("runners"),
            "runners",
            "names no spec",
            "name at least one below it, such as `gpu:`",
        );
    }
    alike(&all, problems);
    grouped(github.as_ref(), &all, problems);
    let runners = all.into_values().map(|(runners, _)| runners).collect();
    Some(unwarned(github, reports, runners, budgets))
}

/// Parses without warnings.
fn unwarned(
    github: Option<GitHubConfig>,
    reports: Option<ReportsConfig>,
    runners: Vec<Runners>,
    budgets: Vec<Budget>,
) -> Config {
    Config { github, reports, runners, budgets, warnings: Vec::new(), more_warnings: 0 }
}

/// Checks that the requested machines exist, and that the pool's budget buys any of them: a launch is refused unless
/// the money for a whole lifetime is left.
fn bought(runners: &Runners, fields: &Fields<'_>, market: &Market<'_>, problems: &mut Problems<'_>) {
    let key = if runners.needs.is_some() { "needs" } else { "instance_types" };
    let prices = match market(runners) {
        Ok(prices) => prices,
        Err((what, help)) => {
            problems.wrong(fields.place(key), &fields.path(key), what, help);
            return;
        }
    };
    let cheapest = prices.into_iter().flatten().min();
    let (Some(price), Some(budget)) = (cheapest, runners.spec.budget) else { return };
    let seconds = |time: SignedDuration| u64::try_from(time.as_secs()).unwrap_or(0);
    let boot = price.for_seconds(seconds(runners.spec.boot_timeout));
    let lifetime = price.for_seconds(seconds(runners.spec.max_lifetime));
    let (place, path) = (fields.place("budget"), fields.path("budget"));
    let Some((period, most)) = budget.smallest() else { return };
    if most < boot {
        let what = format!("{most} a {period} does not pay for the boot of one machine at {price}");
        problems.wrong(place, &path, what, "a larger budget, or cheaper types");
    } else if most < lifetime {
        let what = format!(
            "one machine at {price} may cost {lifetime} in its max_lifetime, more than the {most} of a {period}"
        );
        problems.doubtful(
            place,
            &path,
            what,
            "only cheaper spot would be bought; a shorter max_lifetime or a larger budget ends that",
        );
    }
}

/// Returns whether a pool may have this name: names are tags, labels of metrics and words of messages.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Warns about pools with the same labels: a job is assigned to the first of them by name; the others only get what it
/// cannot take.
fn alike(all: &BTreeMap<&str, (Runners, Fields<'_>)>, problems: &mut Problems<'_>) {
    let key = |runners: &Runners| {
        let labels: BTreeSet<String> = runners.spec.labels.iter().map(|label| label.to_lowercase()).collect();
        (labels, runners.spec.group.clone())
    };
    let mut first: BTreeMap<_, &str> = BTreeMap::new();
    for (name, (runners, fields)) in all {
        if let Some(other) = first.get(&key(runners)) {
            problems.doubtful(
                fields.place("labels"),
                &fields.path("labels"),
                format!("runners.{other} has the same labels and comes first: this one only gets jobs that it cannot take"),
                "right for a fallback (other regions, on-demand); else give one of them a label of its own",
            );
        } else {
            first.insert(key(runners), name);
        }
    }
}

/// Checks runner groups, which only organizations and enterprises have.
/// <https://docs.github.com/en/actions/concepts/runners/runner-groups>
fn grouped(
    github: Option<&GitHubConfig>,
    all: &BTreeMap<&str, (Runners, Fields<'_>)>,
    problems: &mut Problems<'_>,
) {
    let owner = match github.map(|github| github.scope.split('/').collect::<Vec<_>>()).as_deref() {
        Some([owner, _]) if !owner.eq_ignore_ascii_case("enterprises") => (*owner).to_owned(),
        _ => return,
    };
    for (_, fields) in all.values().filter(|(runners, _)| runners.spec.group.is_some()) {
        problems.wrong(
            fields.place("group"),
            &fields.path("group"),
            "a repository has no runner groups, and github.scope is one",
            format!("leave `group` out, or write `scope: {owner}`"),
        );
    }
}

fn github(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<GitHubConfig> {
    let url = fields.value("url", "https://github.com", problems, |text| {
        github_address(text).map_err(|why| format!("`{text}` {why}"))
    });
    let scope = fields.value("scope", "acme/vision", problems, |text| {
        let parts: Vec<&str> = text.split('/').collect();
        let allowed = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
        };
        if parts.len() <= 2 && parts.iter().all(allowed) {
            return Ok(text.to_owned());
        }
        Err(format!(
            "`{text}` is no repository (owner/name), organization (name) or enterprise (enterprises/name)"
        ))
    });
    if fields.node("scope").is_none() {
        fields.missing("scope", "such as `scope: acme/vision`", problems);
    }
    let auth = fields.open("auth", AUTH_KEYS, problems).and_then(|auth| who(&auth, problems));
    Some(GitHubConfig { url: url.unwrap_or_else(|| "https://github.com".to_owned()), scope: scope?, auth })
}

/// Checks an address as the daemon does: the token is sent there, so that it is parsed as a connecting program parses
/// it.
fn github_address(text: &str) -> Result<String, &'static str> {
    let no_address = "is no https:// address";
    let url = url::Url::parse(text).map_err(|_| no_address)?;
    let is_this_machine = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(no_address),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_this_machine => {}
        "http" => return Err("would get the token unencrypted: use https://"),
        _ => return Err(no_address),
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("is more than an address: give the scheme and the host only, such as https://github.com");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn who(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<AuthConfig> {
    let token = fields.value("token_env", "REPO_TOKEN", problems, |text| {
        let is_variable = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_variable && text.len() <= 40 && !text.starts_with("ghp_") && !text.starts_with("github_pat_") {
            return Ok(AuthConfig::TokenEnv(text.to_owned()));
        }
        // Whatever it is, it may be a secret: it is not repeated.
        Err("this is no name of an environment variable; a token itself never stands in this file".to_owned())
    });
    let app = fields.open("app", APP_KEYS, problems).and_then(|app| {
        let id = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        for key in ["id", "key_file"] {
            if app.node(key).is_none() {
                app.missing(key, "an App needs `id` and `key_file`", problems);
            }
        }
        let number = app.value("id", "12345", problems, id);
        let installation_id = app.value("installation_id", "678", problems, id);
        let key_file = app.text("key_file", "/etc/cml-runner/app.pem", problems).map(PathBuf::from);
        Some(AuthConfig::App { id: number?, key_file: key_file?, installation_id })
    });
    if fields.node("app").is_some() == fields.node("token_env").is_some() {
        let what = "names one of `app` and `token_env`, not both and not neither";
        problems.wrong(fields.place, &fields.path, what, "such as `auth: { token_env: REPO_TOKEN }`");
    }
    app.or(token)
}
