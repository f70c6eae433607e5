//! What a label set means: which labels a runner is registered with, and which job it may take. Only this module decides that.
//!
//! GitHub's rule: a runner takes a job when it has every label that the job asks for, compared without regard to case
//! (<https://docs.github.com/en/actions/reference/runners/self-hosted-runners>). It adds no label to a JIT runner:
//! `self-hosted`, the system and the architecture come from the runner's own configuration step, which a JIT runner never
//! runs (actions/runner, `src/Runner.Listener/Configuration/ConfigurationManager.cs` and `Runner.cs`). So every registration
//! names them itself.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::{Arch, Offer};
use cml_spec::Spec;

use crate::demand::violated_rule;
use crate::input::Job;

/// Labels that GitHub accepts in one JIT request.
/// <https://docs.github.com/en/rest/actions/self-hosted-runners>
const LABELS_MAX: usize = 100;
/// Labels that a runner's own configuration step would add, but for its architecture.
const DEFAULTS: [&str; 2] = ["self-hosted", "linux"];

/// Returns the labels of a runner on a machine of this architecture: its own, and with `default_labels` those that GitHub's
/// configuration step would add. With no architecture given, there is no label for it.
#[must_use]
pub fn registered(own: &[String], default_labels: bool, arch: Option<Arch>) -> Vec<String> {
    let defaults = DEFAULTS.into_iter().map(str::to_owned).chain(arch.map(|arch| arch.to_string()));
    let mut all: Vec<String> = Vec::new();
    for label in defaults.filter(|_| default_labels).chain(own.iter().cloned()) {
        if !all.iter().any(|known| known.to_lowercase() == label.to_lowercase()) {
            all.push(label);
        }
    }
    all.truncate(LABELS_MAX);
    all
}

/// Returns true when a runner with these labels may take a job that asks for those. No runner of ours takes a job without labels:
/// GitHub sends none for jobs of its own machines, and for jobs that ask for a runner group alone.
#[must_use]
pub fn serves(runner: &[String], job: &[String]) -> bool {
    contains(&key(runner), &key(job))
}

/// [`serves`], of keys.
pub(crate) fn contains(runner: &[String], job: &[String]) -> bool {
    !job.is_empty() && job.iter().all(|wanted| runner.contains(wanted))
}

/// Labels in one order and one case, without repeats: jobs with equal keys are one demand.
pub(crate) fn key(labels: &[String]) -> Vec<String> {
    let mut key: Vec<String> = labels.iter().map(|label| label.to_lowercase()).collect();
    key.sort_unstable();
    key.dedup();
    key
}

/// Returns the spec that a job belongs to: of those whose runners may take it, one whose policy allows it before one that refuses
/// it, then the one with the fewest labels. `offers` are the offers of each spec.
#[must_use]
pub fn spec_for<'a>(specs: &'a [Spec], offers: &BTreeMap<String, Vec<Offer>>, job: &Job) -> Option<&'a Spec> {
    let demand = Demand::of(job);
    let fitting = specs.iter().filter(|spec| demand.fits(spec, offers));
    fitting.min_by_key(|spec| (violated_rule(&spec.allow, job).is_some(), spec.labels.len(), &spec.name))
}

/// What a job asks of a runner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demand {
    pub(crate) labels: Vec<String>,
    pub(crate) group: Option<String>,
}

impl Demand {
    pub(crate) fn of(job: &Job) -> Self {
        Self { labels: key(&job.labels), group: job.group.clone() }
    }

    /// Whether a runner of this group with these labels, as a key, may take it.
    pub(crate) fn takes(&self, labels: &[String], group: Option<&str>) -> bool {
        match &self.group {
            Some(wanted) => {
                group == Some(wanted.as_str()) && self.labels.iter().all(|label| labels.contains(label))
            }
            None => contains(labels, &self.labels),
        }
    }

    /// Whether a runner of this spec on a machine of this architecture may take it.
    pub(crate) fn fits_on(&self, spec: &Spec, arch: Arch) -> bool {
        let labels = key(&registered(&spec.labels, spec.default_labels, Some(arch)));
        self.takes(&labels, spec.group.as_deref())
    }

    /// Whether a machine of the spec's offers may take it.
    pub(crate) fn fits(&self, spec: &Spec, offers: &BTreeMap<String, Vec<Offer>>) -> bool {
        archs(spec, offers).into_iter().any(|arch| self.fits_on(spec, arch))
    }

    /// Returns the labels that this spec's runners lack; of several architectures, those of the nearest.
    pub(crate) fn missing(&self, spec: &Spec, offers: &BTreeMap<String, Vec<Offer>>) -> Vec<String> {
        let lacks = |arch: Arch| {
            let labels = key(&registered(&spec.labels, spec.default_labels, Some(arch)));
            self.labels.iter().filter(|label| !labels.contains(label)).cloned().collect::<Vec<_>>()
        };
        archs(spec, offers).into_iter().map(lacks).min_by_key(Vec::len).unwrap_or_default()
    }
}

/// Returns the architectures of a spec's offers; any, while these are not known.
fn archs(spec: &Spec, offers: &BTreeMap<String, Vec<Offer>>) -> BTreeSet<Arch> {
    let sold = offers.get(&spec.name).into_iter().flatten();
    let known: BTreeSet<Arch> = sold.map(|offer| offer.resources.arch).collect();
    if known.is_empty() { BTreeSet::from([Arch::X64, Arch::Arm64]) } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_runner_with_more_labels_serves_and_one_with_fewer_does_not() {
        assert!(serves(&words("self-hosted cml GPU big"), &words("self-hosted gpu")));
        assert!(!serves(&words("self-hosted cml"), &words("cml gpu")));
        assert!(!serves(&words("cml"), &words("self-hosted cml")), "nobody adds self-hosted");
        assert!(!serves(&words("cml"), &[]), "a job without labels is nobody's");
    }

    #[test]
    fn a_registration_names_what_no_jit_runner_gets_by_itself_and_nothing_twice() {
        assert_eq!(
            registered(&words("cml GPU"), true, Some(Arch::X64)),
            words("self-hosted linux x64 cml GPU")
        );
        assert_eq!(registered(&words("cml"), true, Some(Arch::Arm64)), words("self-hosted linux arm64 cml"));
        assert_eq!(
            registered(&words("gpu Self-Hosted GPU X64"), true, Some(Arch::X64)),
            words("self-hosted linux x64 gpu")
        );
        assert_eq!(registered(&words("gpu"), false, Some(Arch::X64)), words("gpu"));
        let many: Vec<String> = (0..120).map(|number| format!("label-{number}")).collect();
        assert_eq!(registered(&many, true, Some(Arch::X64)).len(), 100);
    }

    #[test]
    fn order_case_and_repeats_do_not_make_another_demand() {
        assert_eq!(key(&words("GPU cml gpu")), key(&words("cml gpu")));
    }
}
