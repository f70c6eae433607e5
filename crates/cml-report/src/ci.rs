//! The workflow's knowledge about itself. Pure: the variables and the event are passed in.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>

use cml_github::Origin;
use serde_json::Value;

/// The current run, or what is known without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ci {
    /// The commit that the report is about: the head of the pull request, not GitHub's merge of it.
    pub head_sha: Option<String>,
    /// The pull request of the event.
    pub pull: Option<u64>,
    /// Whether the event comes from a fork, or from Dependabot: GitHub's token may then only read.
    pub is_fork: bool,
    /// Whether the checked-out code may be foreign, whatever rights the run has: a pull request from a fork, events
    /// that follow one, and events that a comment may have caused.
    pub may_be_strangers: bool,
    /// The workflow's name.
    pub workflow: Option<String>,
    /// The run's id.
    pub run_id: Option<u64>,
    /// The branch to which a change would be made; `None` where an outsider has named it. In a pull request from a
    /// fork, `GITHUB_HEAD_REF` is a branch of the fork, and even the base is chosen by the person who opened it.
    pub branch: Option<String>,
}

impl Ci {
    /// Reads it from GitHub Actions' environment; outside of Actions, from the checkout's own head.
    #[must_use]
    pub fn read(
        env: &dyn Fn(&str) -> Option<String>,
        event: Option<&Value>,
        git_head: impl FnOnce() -> Option<String>,
    ) -> Self {
        let name = env("GITHUB_EVENT_NAME").unwrap_or_default();
        let is_of_pull = name.starts_with("pull_request");
        let pull = event.map(|event| &event["pull_request"]).filter(|_| is_of_pull);
        let head_of_pull =
            pull.filter(|_| name == "pull_request").and_then(|pull| pull["head"]["sha"].as_str());
        let full_name = |side: &str| pull.and_then(|pull| pull[side]["repo"]["full_name"].as_str());
        let (base, head) = (full_name("base").unwrap_or_default(), full_name("head"));
        // Without the event its origin is unknown: it counts as a fork's.
        let is_of_fork = is_of_pull && Origin::of(&name, base, head, false) == Origin::Foreign;
        // Outside of Actions there is no event, only the user at the keyboard.
        let is_run = !name.is_empty() || env("GITHUB_ACTIONS").as_deref() == Some("true");
        let may_be_strangers = is_run && {
            // For a pull request the event has the origin; all other runs are the repository's own.
            let (repository, head) = if is_of_pull { (base, head) } else { ("its own", Some("its own")) };
            // Without the event the inputs are unknown.
            let inputs = event.map(|event| &event["inputs"]);
            let has_inputs =
                inputs.is_none_or(|all| !all.is_null() && all.as_object().is_none_or(|all| !all.is_empty()));
            Origin::of(&name, repository, head, has_inputs) != Origin::Own
        };
        Self {
            head_sha: head_of_pull.map(str::to_owned).or_else(|| env("GITHUB_SHA")).or_else(git_head),
            pull: pull.and_then(|pull| pull["number"].as_u64()),
            // A run of `pull_request_target` has the repository's own rights; one started by Dependabot has not.
            is_fork: name == "pull_request"
                && (is_of_fork || env("GITHUB_ACTOR").as_deref() == Some("dependabot[bot]")),
            may_be_strangers,
            workflow: env("GITHUB_WORKFLOW"),
            run_id: env("GITHUB_RUN_ID").and_then(|id| id.parse().ok()),
            branch: env("GITHUB_HEAD_REF").or_else(|| env("GITHUB_REF_NAME")).filter(|_| !is_of_fork),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(env: &[(&str, &str)], event: Option<&Value>) -> Ci {
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Ci::read(&env, event, || Some("checkout".to_owned()))
    }

    #[test]
    fn a_pull_requests_report_is_about_its_head_and_not_about_githubs_merge() {
        let repo = |name: &str| json!({"full_name": name});
        let event = json!({"pull_request": {
            "number": 7, "head": {"sha": "head", "repo": repo("acme/vision")}, "base": {"repo": repo("acme/vision")},
        }});
        let env =
            [("GITHUB_EVENT_NAME", "pull_request"), ("GITHUB_SHA", "merge"), ("GITHUB_HEAD_REF", "change")];
        let ci = read(&env, Some(&event));
        assert_eq!((ci.head_sha.as_deref(), ci.pull, ci.is_fork), (Some("head"), Some(7), false));
        assert_eq!(ci.branch.as_deref(), Some("change"));
        let of_target =
            read(&[("GITHUB_EVENT_NAME", "pull_request_target"), ("GITHUB_SHA", "base")], Some(&event));
        assert_eq!((of_target.head_sha.as_deref(), of_target.pull), (Some("base"), Some(7)));
    }

    #[test]
    fn a_fork_is_told_by_its_repository_even_when_that_is_gone() {
        let event = |head: Value| json!({"pull_request": {"number": 7, "head": {"repo": head}, "base": {"repo": {"full_name": "acme/vision"}}}});
        let is_fork = |head| read(&[("GITHUB_EVENT_NAME", "pull_request")], Some(&event(head))).is_fork;
        assert!(is_fork(json!({"full_name": "mallory/vision"})));
        assert!(is_fork(Value::Null));
        assert!(!is_fork(json!({"full_name": "acme/vision"})));
    }

    #[test]
    fn what_a_stranger_may_have_written_is_told_whatever_rights_the_run_has() {
        let event = |head: &str| json!({"pull_request": {"number": 7, "head": {"repo": {"full_name": head}}, "base": {"repo": {"full_name": "acme/vision"}}}});
        let is_strangers =
            |name: &str, event: &Value| read(&[("GITHUB_EVENT_NAME", name)], Some(event)).may_be_strangers;
        for name in ["pull_request", "pull_request_target", "pull_request_review"] {
            assert!(is_strangers(name, &event("mallory/vision")), "{name}");
            assert!(!is_strangers(name, &event("acme/vision")), "{name}");
        }
        for name in ["pull_request", "pull_request_target"] {
            let deleted = json!({"pull_request": {"number": 7, "head": {"repo": null}, "base": {"repo": {"full_name": "acme/vision"}}}});
            assert!(is_strangers(name, &deleted), "{name}: the fork is gone");
            assert!(is_strangers(name, &json!({})), "{name}: the event says nothing");
        }
        for name in ["workflow_run", "issue_comment", "discussion_comment", "repository_dispatch", "made_up"]
        {
            assert!(is_strangers(name, &json!({})), "{name}");
        }
        assert!(!is_strangers("push", &json!({})) && !is_strangers("schedule", &json!({})));
        // A slash command in a comment becomes inputs.
        assert!(is_strangers("workflow_dispatch", &json!({"inputs": {"pull": "7"}})));
        assert!(!is_strangers("workflow_dispatch", &json!({"inputs": null})));
        assert!(!is_strangers("workflow_dispatch", &json!({"inputs": {}})));
        assert!(!read(&[], None).may_be_strangers, "no run at all");
        assert!(
            read(&[("GITHUB_ACTIONS", "true")], None).may_be_strangers,
            "a run that says nothing of itself"
        );
    }

    #[test]
    fn a_fork_names_no_branch_of_this_repository() {
        let event = |head: Value| json!({"pull_request": {"number": 7, "head": {"repo": head}, "base": {"repo": {"full_name": "acme/vision"}}}});
        let of_event = |name: &str, event: Option<&Value>| {
            let env =
                [("GITHUB_EVENT_NAME", name), ("GITHUB_HEAD_REF", "main"), ("GITHUB_REF_NAME", "develop")];
            read(&env, event)
        };
        let branch = |name: &str, head: Value| of_event(name, Some(&event(head))).branch;
        for name in ["pull_request", "pull_request_target", "pull_request_review"] {
            assert_eq!(branch(name, json!({"full_name": "mallory/vision"})), None, "{name}");
            assert_eq!(branch(name, Value::Null), None, "{name}");
            assert_eq!(branch(name, json!({"full_name": "acme/vision"})).as_deref(), Some("main"), "{name}");
            for event in [None, Some(&json!({}))] {
                let ci = of_event(name, event);
                assert_eq!(ci.branch, None, "{name}: the event says nothing");
                assert!(ci.may_be_strangers, "{name}: the event says nothing");
                assert_eq!(ci.is_fork, name == "pull_request", "{name}: the event says nothing");
            }
        }
    }

    #[test]
    fn a_push_has_its_commit_and_a_checkout_its_head() {
        let push =
            read(&[("GITHUB_EVENT_NAME", "push"), ("GITHUB_SHA", "pushed"), ("GITHUB_RUN_ID", "9")], None);
        assert_eq!((push.head_sha.as_deref(), push.pull, push.run_id), (Some("pushed"), None, Some(9)));
        assert_eq!(read(&[], None).head_sha.as_deref(), Some("checkout"));
    }
}
