//! The demand: which jobs need a machine, in which order, and which specs may serve them.

use std::collections::BTreeMap;

use cml_cloud::Offer;
use cml_spec::{Allow, Forks, Spec};

use crate::input::{Job, JobState, PlanningInput};
use crate::labels::Demand;
use crate::wait_reason::{PolicyRule, WaitReason};

/// A queued job with the specs that may serve it, the most special first.
pub(crate) struct JobDemand<'a> {
    pub(crate) job: &'a Job,
    pub(crate) demand: Demand,
    pub(crate) specs: Vec<&'a Spec>,
    /// Why no spec serves it, when none does.
    pub(crate) refused: Option<WaitReason>,
}

/// Returns queued jobs, the oldest first: no job overtakes another that competes for the same machines.
pub(crate) fn job_demands(observed: &PlanningInput) -> Vec<JobDemand<'_>> {
    let mut jobs: Vec<&Job> =
        observed.jobs.iter().flatten().filter(|job| job.state == JobState::Queued).collect();
    jobs.sort_by_key(|job| (job.queued_at, job.id));
    jobs.dedup_by_key(|job| job.id);
    // Many jobs are alike: what serves a demand is looked up once.
    let mut known: BTreeMap<Demand, Result<Vec<&Spec>, WaitReason>> = BTreeMap::new();
    let mut wanted = Vec::with_capacity(jobs.len());
    for job in jobs {
        let demand = Demand::of(job);
        let fitting = known.entry(demand.clone()).or_insert_with(|| fitting(observed, &demand));
        wanted.push(job_demand(demand, fitting, job));
    }
    // Last: a spec may have such a label.
    wanted.retain(|wanted| {
        !matches!(wanted.refused, Some(WaitReason::NoSpec { .. })) || !is_hosted(wanted.job)
    });
    wanted
}

/// Returns true for a job for GitHub's own machines, which is ignored here. Their labels begin with the system's name:
/// <https://docs.github.com/en/actions/reference/runners/github-hosted-runners>
fn is_hosted(job: &Job) -> bool {
    let is_systems = |label: &String| {
        let label = label.to_lowercase();
        ["ubuntu-", "windows-", "macos-"].iter().any(|system| label.starts_with(system))
    };
    job.labels.len() == 1 && job.labels.iter().all(is_systems)
}

/// Returns specs whose runners may take such jobs, the fewest labels beyond what is asked for first: a big machine is kept for
/// jobs that ask for it.
fn fitting<'a>(observed: &'a PlanningInput, demand: &Demand) -> Result<Vec<&'a Spec>, WaitReason> {
    let specs = observed.specs.iter();
    let mut fitting: Vec<&Spec> = specs.filter(|spec| demand.fits(spec, &observed.offers)).collect();
    fitting.sort_by_key(|spec| (spec.labels.len(), &spec.name));
    if fitting.is_empty() { Err(no_pool(observed, demand)) } else { Ok(fitting) }
}

/// Returns why no spec serves it.
fn no_pool(observed: &PlanningInput, demand: &Demand) -> WaitReason {
    if demand.labels.is_empty() && demand.group.is_none() {
        return WaitReason::NoLabels;
    }
    let lacks = |spec: &Spec| (demand.missing(spec, &observed.offers), spec.name.clone());
    let nearest =
        observed.specs.iter().map(lacks).min_by_key(|(missing, name)| (missing.len(), name.clone()));
    match (nearest, &demand.group) {
        (Some((missing, _)), Some(group)) if missing.is_empty() => {
            WaitReason::NoGroup { group: group.clone() }
        }
        (Some((missing, spec)), _) => WaitReason::NoSpec { nearest: Some(spec), missing },
        (None, _) => WaitReason::NoSpec { nearest: None, missing: demand.labels.clone() },
    }
}

fn job_demand<'a>(
    demand: Demand,
    fitting: &Result<Vec<&'a Spec>, WaitReason>,
    job: &'a Job,
) -> JobDemand<'a> {
    let fitting = match fitting {
        Ok(fitting) => fitting,
        Err(why) => return JobDemand { job, demand, specs: Vec::new(), refused: Some(why.clone()) },
    };
    let first = fitting.first().map(|spec| spec.name.clone()).unwrap_or_default();
    let forbidden = fitting.iter().find_map(|spec| violated_rule(&spec.allow, job));
    let specs: Vec<&Spec> =
        fitting.iter().copied().filter(|spec| violated_rule(&spec.allow, job).is_none()).collect();
    let refused =
        if specs.is_empty() { forbidden.map(|rule| WaitReason::Policy { spec: first, rule }) } else { None };
    JobDemand { job, demand, specs, refused }
}

/// Returns whether every spec whose runners may take the job refuses it by its policy: it is a stranger's job, and may change
/// nothing (L8).
#[must_use]
pub fn is_refused(specs: &[Spec], offers: &BTreeMap<String, Vec<Offer>>, job: &Job) -> bool {
    let demand = Demand::of(job);
    let mut fitting = specs.iter().filter(|spec| demand.fits(spec, offers)).peekable();
    fitting.peek().is_some() && fitting.all(|spec| violated_rule(&spec.allow, job).is_some())
}

/// Returns the rule that a job violates, if there is one.
pub(crate) fn violated_rule(allow: &Allow, job: &Job) -> Option<PolicyRule> {
    if job.from_fork && allow.forks == Forks::Never {
        return Some(PolicyRule::Fork);
    }
    if !lists(&allow.events, &job.event) {
        return Some(PolicyRule::Event(job.event.clone()));
    }
    if !lists(&allow.actors, &job.actor) {
        return Some(PolicyRule::Actor(job.actor.clone()));
    }
    if !lists(&allow.repositories, &job.repository) {
        return Some(PolicyRule::Repository(job.repository.clone()));
    }
    None
}

/// Returns whether a list contains a name. GitHub's names have no case; an empty list contains every name.
fn lists(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|one| one.to_lowercase() == name.to_lowercase())
}
