//! Origin of the code that a run executes. One implementation for webhooks, polls, simulations and reports: an unknown
//! origin is foreign.

/// Origin of a run's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The repository's own: only accounts that may push have written it.
    Own,
    /// The repository's own workflow, triggered by something that anyone may do. The code that it checks out may be
    /// foreign. <https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/>
    Relayed,
    /// Another repository's, or unknown.
    Foreign,
}

/// Events that only accounts with write access to the repository can cause, and that carry nothing but a reference of
/// it. <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
const OWN: [&str; 12] = [
    "push",
    "schedule",
    "merge_group",
    "release",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "page_build",
    "registry_package",
    "branch_protection_rule",
    "public",
];

impl Origin {
    /// Returns the origin of a run with this event in this repository (`owner/name`). `head` is the repository that the
    /// code comes from: GitHub reports none once a fork is deleted. `has_inputs` matters for `workflow_dispatch` alone:
    /// without inputs it can only name a reference of the repository, with them it may contain text of a comment (a
    /// slash command).
    #[must_use]
    pub fn of(event: &str, repository: &str, head: Option<&str>, has_inputs: bool) -> Self {
        let is_same = |head: &str| !head.is_empty() && head.eq_ignore_ascii_case(repository);
        if !head.is_some_and(is_same) {
            return Self::Foreign;
        }
        let is_own = OWN.contains(&event)
            || event.starts_with("pull_request")
            || (event == "workflow_dispatch" && !has_inputs);
        if is_own { Self::Own } else { Self::Relayed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: &str = "acme/vision";

    #[test]
    fn a_head_that_is_absent_or_elsewhere_is_foreign_whatever_the_event() {
        for event in ["pull_request", "pull_request_target", "push", "workflow_run", "", "made_up"] {
            for head in [None, Some(""), Some("mallory/vision"), Some("acme/vision2"), Some("acme")] {
                assert_eq!(Origin::of(event, REPOSITORY, head, false), Origin::Foreign, "{event} {head:?}");
            }
        }
        assert_eq!(Origin::of("push", "", Some(""), false), Origin::Foreign, "nothing is known");
    }

    #[test]
    fn own_code_that_anybody_may_set_off_is_relayed() {
        let of = |event, has_inputs| Origin::of(event, REPOSITORY, Some("Acme/Vision"), has_inputs);
        for event in
            ["push", "schedule", "pull_request", "pull_request_target", "pull_request_review", "merge_group"]
        {
            assert_eq!(of(event, true), Origin::Own, "{event}");
        }
        for event in [
            "workflow_run",
            "issue_comment",
            "discussion_comment",
            "repository_dispatch",
            "issues",
            "fork",
            "made_up",
            "",
        ] {
            assert_eq!(of(event, false), Origin::Relayed, "{event}");
        }
        assert_eq!(of("workflow_dispatch", false), Origin::Own);
        assert_eq!(of("workflow_dispatch", true), Origin::Relayed, "a slash command may have filled them in");
    }
}
