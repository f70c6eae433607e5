//! Permissions of the workflow's own token in a job: those that its commands need, and none that were not there.

use super::changes::Changes;
use super::edits::{Edits, indent};
use super::job::Job;
use super::setup::is_flow;
use super::words::Kind;
use crate::yaml::Node;

type Scopes = Vec<(&'static str, &'static str)>;

/// Grants a job the permissions that its commands need.
pub(crate) fn grant(
    job: &Job<'_>,
    root: &Node,
    becomes_role: bool,
    edits: &mut Edits,
    changes: &mut Changes,
) {
    let needed = needed(job, becomes_role);
    if needed.is_empty() {
        return;
    }
    let names = |scopes: &[(&str, &str)]| {
        scopes.iter().map(|(scope, access)| format!("{scope}: {access}")).collect::<Vec<_>>().join(", ")
    };
    let why = why(&needed);
    if let Some((key, own)) = job.body.entry("permissions") {
        let missing = missing(&needed, own);
        if missing.is_empty() {
            return;
        }
        if own.pairs().is_empty()
            || is_flow(own, key)
            || missing.iter().any(|(scope, _)| own.get(scope).is_some())
        {
            changes.left(
                key.line,
                format!("job {}: permissions were left", job.name),
                format!("it needs {}", names(&missing)),
            );
            return;
        }
        let blanks = " ".repeat(indent(edits.line(own.line)));
        let lines: Vec<String> =
            missing.iter().map(|(scope, access)| format!("{blanks}{scope}: {access}")).collect();
        edits.insert_above(own.line, &lines);
        changes.done(key.line, format!("job {}: permissions: {}", job.name, names(&missing)), why);
        return;
    }
    let all = root.get("permissions");
    if all.is_some_and(|all| missing(&needed, all).is_empty()) {
        return;
    }
    // A job's own permissions replace the workflow's: those are copied.
    let mut lines = vec!["permissions:".to_owned()];
    for (scope, access) in all.map(Node::pairs).unwrap_or_default() {
        if let (Some(scope), Some(access)) = (scope.text(), access.text())
            && !needed.iter().any(|(name, _)| *name == scope)
        {
            lines.push(format!("  {scope}: {access}"));
        }
    }
    lines.extend(needed.iter().map(|(scope, access)| format!("  {scope}: {access}")));
    if job.add(&lines, edits) {
        let rest = if all.is_some() {
            ""
        } else {
            "; scopes that are not named are none: add what other steps of the job need"
        };
        changes.done(
            job.line,
            format!("job {}: permissions: {}", job.name, names(&needed)),
            format!("{why}{rest}"),
        );
    }
}

/// Returns the purpose of each permission.
fn why(needed: &Scopes) -> String {
    let reasons = needed.iter().map(|scope| match *scope {
        ("contents", "write") => "contents for images of reports and comments on commits",
        ("contents", _) => "contents for the checkout",
        ("pull-requests", _) => "pull-requests for comments",
        ("checks", _) => "checks for check runs",
        ("actions", _) => "actions for running again",
        _ => "id-token to become a role at AWS",
    });
    reasons.collect::<Vec<_>>().join(", ")
}

fn needed(job: &Job<'_>, becomes_role: bool) -> Scopes {
    let has = |kinds: &[Kind]| job.commands().any(|kind| kinds.contains(&kind));
    let mut scopes = Vec::new();
    if has(&[Kind::Publish, Kind::Comment, Kind::Pr]) {
        scopes.extend([("contents", "write"), ("pull-requests", "write")]);
    } else if becomes_role {
        scopes.push(("contents", "read"));
    }
    if has(&[Kind::Check]) {
        scopes.push(("checks", "write"));
    }
    if has(&[Kind::Rerun]) {
        scopes.push(("actions", "write"));
    }
    if becomes_role {
        scopes.push(("id-token", "write"));
    }
    scopes
}

/// Returns the permissions that are missing.
fn missing(needed: &Scopes, there: &Node) -> Scopes {
    if there.text() == Some("write-all") {
        return Vec::new();
    }
    let has = |scope: &str, access: &str| {
        there.get(scope).and_then(Node::text).is_some_and(|own| own == "write" || own == access)
    };
    needed.iter().filter(|(scope, access)| !has(scope, access)).copied().collect()
}
