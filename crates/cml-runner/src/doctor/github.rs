//! Checks of GitHub: permission to register runners, webhooks of jobs, and who may run code on the runners.

use cml_github::inspect::{CredentialFacts, Exposure, GroupFacts, HookFacts, PrivateForks, TokenKind};
use cml_github::{GitHub, GitHubError, RunnerDownload, Scope};
use jiff::{SignedDuration, Timestamp};

use super::checks::Checks;
use super::words;
use crate::exit::SET_THE_CLOCK;

/// Tokens that expire sooner cause a warning.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A larger clock skew causes a warning, and a still larger one makes AWS refuse requests.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(30);
const CLOCK_WRONG: SignedDuration = SignedDuration::from_mins(5);
/// Older runners may not register at github.com. <https://github.com/actions/runner/releases/tag/v2.329.0>
const RUNNER_MIN: [u32; 3] = [2, 329, 0];

/// Checks everything at GitHub that a launch, or a daemon, needs.
pub(super) async fn look(github: &GitHub, is_daemon: bool, now: Timestamp) -> Checks {
    let mut checks = Checks::default();
    let scope = &github.location().scope;
    match github.credentials().await {
        Ok(facts) => credentials(&mut checks, &facts, now),
        Err(error) => {
            failed(&mut checks, "github credentials", &error);
            checks.skip("github", format!("nothing else of {scope} can be looked at"), None);
            return checks;
        }
    }
    app(&mut checks, github, is_daemon).await;
    match github.registration_token().await {
        Ok(_) => checks.ok("github runners", format!("runners may be registered for {scope}")),
        Err(error) => failed(&mut checks, "github runners", &error),
    }
    match github.runner_packages().await {
        Ok(packages) => runner(&mut checks, github, &packages),
        Err(error) => failed(&mut checks, "runner version", &error),
    }
    if is_daemon {
        match github.may_list_jobs().await {
            Ok(Some(())) => checks.ok("github jobs", format!("jobs of {scope} may be listed")),
            Ok(None) => {}
            Err(error) => checks.fail(
                "github jobs",
                error.to_string(),
                "give the token, or the App, \"Actions: read and write\" as well: the daemon finds jobs by it, and runs interrupted ones again",
            ),
        }
        match github.hooks().await {
            Ok(hooks) => webhooks(&mut checks, hooks.as_deref()),
            Err(error) => failed(&mut checks, "webhook", &error),
        }
    }
    match github.openness().await {
        Ok(openness) => open_to(&mut checks, &openness),
        Err(error) => failed(&mut checks, "who may run code", &error),
    }
    checks
}

fn failed(checks: &mut Checks, name: &str, error: &GitHubError) {
    let fix = error.hint.clone().unwrap_or_else(|| "run it again".to_owned());
    checks.fail(name, error.to_string(), fix);
}

fn credentials(checks: &mut Checks, facts: &CredentialFacts, now: Timestamp) {
    let name = "github credentials";
    let kind = match facts.kind {
        TokenKind::App => "a GitHub App",
        TokenKind::Installation => "an App's installation token",
        TokenKind::FineGrained => "a fine-grained token",
        TokenKind::Classic => "a classic token",
        TokenKind::User => "a person's token of an App",
        TokenKind::Unknown => "a token",
    };
    let left = facts.expires_at.map(|at| at.duration_since(now));
    let until = left.map(|left| format!(", for {} more", words::time(left))).unwrap_or_default();
    let scopes = facts.scopes.as_deref().unwrap_or_default().join(", ");
    let scopes = if scopes.is_empty() { String::new() } else { format!(" with {scopes}") };
    let found = format!("{kind}{scopes}{until}");
    if left.is_some_and(|left| left < SOON) {
        checks.warn(
            name,
            found,
            "make a new token and store it as the secret REPO_TOKEN, or use a GitHub App, whose tokens are renewed",
        );
    } else if facts.scopes.is_some() && facts.kind == TokenKind::Classic {
        checks.warn(
            name,
            format!("{found}: it may do far more than register runners"),
            "take a fine-grained token with the permission \"Administration: read and write\" of this one repository (organization: \
             \"Self-hosted runners: read and write\"), or a GitHub App",
        );
    } else {
        checks.ok(name, found);
    }
    if let (Some(left), Some(all)) = (facts.requests_left, facts.requests_an_hour) {
        let found = format!("{left} of {all} requests are left in this hour");
        if left < all / 10 {
            checks.warn("github rate limit", found, "wait, or find out what else uses these credentials");
        } else {
            checks.ok("github rate limit", found);
        }
    }
    clock(checks, facts.github_time, now);
}

fn clock(checks: &mut Checks, github: Option<Timestamp>, now: Timestamp) {
    let Some(github) = github else { return };
    let off = now.duration_since(github);
    let side = if off.is_negative() { "behind" } else { "ahead of" };
    let found = format!("{} {side} GitHub's", words::time(off.abs()));
    let fix = SET_THE_CLOCK;
    if off.abs() > CLOCK_WRONG {
        checks.fail("clock", format!("{found}: AWS refuses what is signed by it"), fix);
    } else if off.abs() > CLOCK_OFF {
        checks.warn("clock", found, fix);
    } else {
        checks.ok("clock", "in sync with GitHub");
    }
}

/// Checks the App. Its permissions are known without a trial.
async fn app(checks: &mut Checks, github: &GitHub, is_daemon: bool) {
    let facts = match github.app().await {
        Ok(None) => return,
        Ok(Some(facts)) => facts,
        Err(error) => return failed(checks, "github app", &error),
    };
    let scope = &github.location().scope;
    let runners = match scope {
        Scope::Repository { .. } => "administration",
        Scope::Organization(_) => "organization_self_hosted_runners",
        Scope::Enterprise(_) => "enterprise_self_hosted_runners",
    };
    if facts.is_suspended() {
        return checks.fail(
            "github app",
            "its installation is suspended",
            "unsuspend it in the settings of its installation",
        );
    }
    let mut missing = Vec::new();
    if !facts.may_write(runners) {
        missing.push(format!("{runners}: write"));
    }
    // Without it jobs can be neither listed nor re-run after an interruption.
    if is_daemon && !facts.may_write("actions") {
        missing.push("actions: write".to_owned());
    }
    if missing.is_empty() {
        checks.ok("github app", format!("installed on {scope}, with all permissions"));
    } else {
        checks.fail(
            "github app",
            format!("it lacks {}", missing.join(" and ")),
            "add them in the App's settings (Permissions & events), then accept them in its installation",
        );
    }
}

/// `actions-runner-linux-x64-2.336.0.tar.gz`
fn version(package: &RunnerDownload) -> Option<[u32; 3]> {
    let name = package.filename.strip_suffix(".tar.gz")?;
    let mut parts = name.rsplit('-').next()?.split('.').map(str::parse);
    Some([parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?])
}

fn runner(checks: &mut Checks, github: &GitHub, packages: &[RunnerDownload]) {
    let name = "runner version";
    let Some(newest) = packages.iter().filter(|it| it.os == "linux").filter_map(version).max() else {
        let fix = "give the runner's package with --package-url and --package-sha256";
        return checks.fail(name, "GitHub offers no runner for Linux", fix);
    };
    let said = newest.map(|part| part.to_string()).join(".");
    let is_shared = github.location().web.host_str() == Some("github.com");
    if is_shared && newest < RUNNER_MIN {
        let min = RUNNER_MIN.map(|part| part.to_string()).join(".");
        let fix = "what stands between here and GitHub answers for it? Take it out of the way";
        checks.fail(name, format!("{said} is offered; GitHub lets none before {min} register"), fix);
    } else {
        checks.ok(name, format!("{said}, the one that GitHub offers"));
    }
}

fn webhooks(checks: &mut Checks, hooks: Option<&[HookFacts]>) {
    let name = "webhook";
    let fix_new = "make one: events \"Workflow jobs\", content type application/json, the secret of CML_RUNNER_WEBHOOK_SECRET, to \
                   https://your-proxy/webhook";
    let Some(hooks) = hooks else {
        let fix = "allow \"Webhooks: read\" to have it looked at (the daemon does not need it)";
        return checks.skip(name, "these credentials may not look", Some(fix.to_owned()));
    };
    // There may be webhooks of other services, such as monitoring.
    let of_ours: Vec<&HookFacts> =
        hooks.iter().filter(|hook| hook.tells_of_jobs && is_ours(&hook.url)).collect();
    if of_ours.is_empty() {
        let found = "none tells a daemon (…/webhook) of jobs: they are found by polling, a minute later";
        return checks.warn(name, found, fix_new);
    }
    for hook in of_ours {
        let at = address(&hook.url);
        if !hook.is_active {
            checks.warn(name, format!("{at}: switched off"), "switch it on in the settings, Webhooks");
        } else if !hook.has_secret {
            checks.fail(
                name,
                format!("{at}: it has no secret, so the daemon refuses what it brings"),
                fix_new,
            );
        } else if !hook.is_readable {
            checks.fail(
                name,
                format!("{at}: it sends neither JSON nor a form, so the daemon cannot read it"),
                "set its content type to application/json",
            );
        } else {
            delivered(checks, name, hook);
        }
    }
}

/// Returns whether a webhook is the daemon's. It accepts webhooks at one path, which a proxy may prefix.
fn is_ours(url: &str) -> bool {
    url.split(['?', '#']).next().is_some_and(|path| path.trim_end_matches('/').ends_with("/webhook"))
}

/// Returns scheme and host: the rest may be secret.
fn address(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/").rsplit('@').next().unwrap_or_default().to_owned()
}

fn delivered(checks: &mut Checks, name: &str, hook: &HookFacts) {
    let at = address(&hook.url);
    let of_jobs: Vec<_> = hook.deliveries.iter().filter(|one| one.event == "workflow_job").collect();
    let was_taken = |code: u16| (200..300).contains(&code);
    let Some(last) = of_jobs.first() else {
        return match hook.deliveries.len() {
            0 => checks.ok(name, format!("{at}: nothing was sent yet")),
            others => {
                checks.skip(name, format!("{at}: none of the last {others} deliveries is of a job"), None);
            }
        };
    };
    let taken = of_jobs.iter().filter(|one| was_taken(one.status_code)).count();
    let found = format!("{at}: {taken} of the last {} deliveries were taken", of_jobs.len());
    if was_taken(last.status_code) {
        return checks.ok(name, found);
    }
    let fix = match last.status_code {
        401 => {
            "the daemon's secret is another one than the webhook's: set both to the same (CML_RUNNER_WEBHOOK_SECRET)"
        }
        404 => {
            "the daemon must have a secret (CML_RUNNER_WEBHOOK_SECRET), and the proxy pass /webhook on to it"
        }
        502..=504 => {
            "the proxy answers, but not the daemon behind it: does it run, and does the proxy know its address?"
        }
        0 => "nobody answered: can GitHub reach this address from the internet, and is its certificate good?",
        _ => "look at the daemon's log of that moment",
    };
    checks.fail(name, format!("{found}; the last one: {} {}", last.status_code, last.status), fix);
}

fn open_to(checks: &mut Checks, openness: &Exposure) {
    let name = "who may run code";
    match openness {
        Exposure::Groups(groups) => of_groups(checks, name, groups),
        Exposure::Repository { is_archived: true, .. } => {
            checks.fail(name, "the repository is archived: no workflow runs there", "unarchive it, or name another one with --repo");
        }
        Exposure::Repository { is_public: true, fork_approval, .. } => match fork_approval.as_deref() {
            Some("all_external_contributors") => {
                checks.ok(name, "public; workflows of strangers wait for somebody's approval");
            }
            Some(policy) => checks.warn(
                name,
                format!("public, and workflows of strangers run without approval ({policy}): a pull request could ask for the labels \
                         of your runners"),
                "Settings, Actions, General, Approval for running fork pull request workflows: Require approval for all external \
                 contributors. And read about pull requests of strangers in the book, Security",
            ),
            None => checks.skip(
                name,
                "public; these credentials may not see whether workflows of strangers wait for an approval",
                Some("look at Settings, Actions, General, Approval for running fork pull request workflows".to_owned()),
            ),
        },
        Exposure::Repository { private_forks, .. } => of_private(checks, name, *private_forks),
    }
}

fn of_private(checks: &mut Checks, name: &str, forks: Option<PrivateForks>) {
    match forks {
        Some(forks) if forks.run && (forks.get_write_tokens || forks.get_secrets) => checks.warn(
            name,
            "private, and workflows of its forks get write tokens or secrets: whoever may fork it could launch machines",
            "Settings, Actions, General, Fork pull request workflows: take both away",
        ),
        _ => checks.ok(name, "private: anyone with read access"),
    }
}

fn of_groups(checks: &mut Checks, name: &str, groups: &[GroupFacts]) {
    let public: Vec<&str> =
        groups.iter().filter(|group| group.allows_public).map(|group| group.name.as_str()).collect();
    if public.is_empty() {
        checks.ok(name, format!("{} runner groups, none open to public repositories", groups.len()));
    } else {
        checks.warn(
            name,
            format!(
                "runners of {} serve public repositories too, so pull requests of strangers",
                public.join(", ")
            ),
            "Settings, Actions, Runner groups: do not allow public repositories",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhooks_address_is_told_without_what_may_be_secret() {
        assert_eq!(address("https://hooks.example.com/webhook?api_key=s3cret"), "https://hooks.example.com");
        assert!(!address("https://user:s3cret@example.com/webhook").contains("s3cret"));
        assert!(is_ours("https://ci.example.com/cml/webhook") && is_ours("http://127.0.0.1:8090/webhook/"));
        assert!(
            !is_ours("https://api.example.com/v1/input/0123abcd")
                && !is_ours("https://webhook.example.com/x")
        );
    }

    #[test]
    fn a_package_tells_its_version() {
        let package = |name: &str| RunnerDownload {
            os: "linux".to_owned(),
            architecture: "x64".to_owned(),
            download_url: String::new(),
            filename: name.to_owned(),
            sha256_checksum: None,
            temp_download_token: None,
        };
        assert_eq!(version(&package("actions-runner-linux-x64-2.336.0.tar.gz")), Some([2, 336, 0]));
        assert_eq!(version(&package("actions-runner-linux-x64-new.tar.gz")), None);
        assert!(version(&package("actions-runner-linux-arm64-2.9.1.tar.gz")) < Some(RUNNER_MIN));
    }
}
