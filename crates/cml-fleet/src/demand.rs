//! Which jobs want a machine, in which order, and which specs may serve them.

use std::collections::BTreeMap;

use cml_spec::{Allow, Forks, Spec};

use crate::labels;
use crate::observed::{Job, JobState, Observed};
use crate::refuse::{Rule, Why};

/// A queued job with the specs that may serve it, the most special first.
pub(crate) struct Wanted<'a> {
    pub(crate) job: &'a Job,
    /// Its labels as a class.
    pub(crate) key: Vec<String>,
    pub(crate) specs: Vec<&'a Spec>,
    /// Why no spec serves it, when none does.
    pub(crate) refused: Option<Why>,
}

/// Queued jobs, the oldest first: nobody overtakes within what they compete for.
pub(crate) fn wanted(observed: &Observed) -> Vec<Wanted<'_>> {
    let mut jobs: Vec<&Job> =
        observed.jobs.iter().flatten().filter(|job| job.state == JobState::Queued).collect();
    jobs.sort_by_key(|job| (job.queued_at, job.id));
    jobs.dedup_by_key(|job| job.id);
    let specs: Vec<(Vec<String>, &Spec)> =
        observed.specs.iter().map(|spec| (labels::lower(&spec.labels), spec)).collect();
    // Many jobs are alike: what serves a class is looked up once.
    let mut known: BTreeMap<(Vec<String>, Option<&str>), Vec<&Spec>> = BTreeMap::new();
    let mut wanted = Vec::with_capacity(jobs.len());
    for job in jobs {
        let class = (labels::key(&job.labels), job.group.as_deref());
        if let Some(fitting) = known.get(&class) {
            wanted.push(want(class.0, fitting, job));
        } else {
            let fitting = fitting(&specs, &class.0, class.1);
            wanted.push(want(class.0.clone(), &fitting, job));
            known.insert(class, fitting);
        }
    }
    // Last of all: a spec may well have such a label.
    wanted.retain(|wanted| !matches!(wanted.refused, Some(Why::NoSpec { .. })) || !is_hosted(wanted.job));
    wanted
}

/// A job for GitHub's own machines is nobody's concern here. Their labels begin with the system's name:
/// <https://docs.github.com/en/actions/reference/runners/github-hosted-runners>
fn is_hosted(job: &Job) -> bool {
    let is_systems = |label: &String| {
        let label = label.to_lowercase();
        ["ubuntu-", "windows-", "macos-"].iter().any(|system| label.starts_with(system))
    };
    job.labels.len() == 1 && job.labels.iter().all(is_systems)
}

/// Specs whose runners may take such jobs, the fewest labels beyond what is asked for first: a big machine is kept for
/// jobs that ask for it.
fn fitting<'a>(specs: &[(Vec<String>, &'a Spec)], key: &[String], group: Option<&str>) -> Vec<&'a Spec> {
    let group_fits = |spec: &&Spec| group.is_none_or(|group| spec.group.as_deref() == Some(group));
    let of_labels = specs.iter().filter(|(labels, _)| labels::serves(labels, key));
    let mut fitting: Vec<&Spec> = of_labels.map(|(_, spec)| *spec).filter(group_fits).collect();
    fitting.sort_by_key(|spec| (spec.labels.len(), &spec.name));
    fitting
}

fn want<'a>(key: Vec<String>, fitting: &[&'a Spec], job: &'a Job) -> Wanted<'a> {
    if fitting.is_empty() {
        let refused = Some(Why::NoSpec { labels: job.labels.clone() });
        return Wanted { job, key, specs: Vec::new(), refused };
    }
    let first = fitting.first().map(|spec| spec.name.clone()).unwrap_or_default();
    let forbidden = fitting.iter().find_map(|spec| forbids(&spec.allow, job));
    let specs: Vec<&Spec> =
        fitting.iter().copied().filter(|spec| forbids(&spec.allow, job).is_none()).collect();
    let refused =
        if specs.is_empty() { forbidden.map(|rule| Why::Policy { spec: first, rule }) } else { None };
    Wanted { job, key, specs, refused }
}

/// The rule that a job breaks, if it breaks one.
fn forbids(allow: &Allow, job: &Job) -> Option<Rule> {
    if job.from_fork && allow.forks == Forks::Never {
        return Some(Rule::Fork);
    }
    if !lists(&allow.events, &job.event) {
        return Some(Rule::Event(job.event.clone()));
    }
    if !lists(&allow.actors, &job.actor) {
        return Some(Rule::Actor(job.actor.clone()));
    }
    if !lists(&allow.repositories, &job.repository) {
        return Some(Rule::Repository(job.repository.clone()));
    }
    None
}

/// GitHub's names have no case; an empty list names everybody.
fn lists(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|one| one.to_lowercase() == name.to_lowercase())
}
