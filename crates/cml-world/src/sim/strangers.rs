//! The handle's methods for strangers: pull requests from forks, forks that are deleted, attempts that others start.

use jiff::Timestamp;

use super::SimGitHub;
use crate::actions::origin::{HeadRepository, Origin};
use crate::actions::queue::{self, Again};
use crate::actions::workflow::{Workflow, WorkflowError};
use crate::api::pulls::Pull;
use crate::clock;
use crate::views::RunId;
use crate::world::World;

impl SimGitHub {
    /// Opens a pull request from a fork (`owner/name`) as this login, and starts a run of a workflow file for it.
    ///
    /// # Errors
    /// As [`SimGitHub::queue_workflow`].
    pub fn queue_from_fork(&self, yaml: &str, fork: &str, actor: &str) -> Result<RunId, WorkflowError> {
        let workflow = Workflow { event: "pull_request".to_owned(), ..Workflow::read(yaml)? };
        let now = clock::now();
        let mut world = self.shared.lock();
        let origin = open_pull(&mut world, fork, actor, now);
        Ok(RunId(queue::queue_run_of(&mut world, workflow, origin, now)))
    }

    /// Deletes the fork of a run. Runs and pull requests from it stay, and GitHub no longer names their repository. Has
    /// no effect on a run of the repository's own code.
    pub fn forget_fork(&self, run: RunId) {
        let mut world = self.shared.lock();
        let head = world.runs.get(&run.0).map(|run| run.origin.head_repository.clone());
        let Some(HeadRepository::Fork(fork)) = head else { return };
        world.runs.values_mut().for_each(|run| run.origin.head_repository.forget(&fork));
        world.pulls.values_mut().for_each(|pull| pull.head_repository.forget(&fork));
        world.changed();
    }

    /// Cancels a run; jobs without a runner are completed at once.
    pub fn cancel_run(&self, run: RunId) {
        queue::cancel(&mut self.shared.lock(), run.0, false, clock::now());
    }

    /// Re-runs all jobs of a run as this login; false as long as the latest attempt is not completed.
    #[must_use]
    pub fn rerun_by(&self, run: RunId, login: &str) -> bool {
        queue::rerun(&mut self.shared.lock(), run.0, &Again::All, login, clock::now())
    }
}

/// Opens a pull request with one commit of the fork, and returns the origin of its run.
fn open_pull(world: &mut World, fork: &str, actor: &str, now: Timestamp) -> Origin {
    let number = world.next_number();
    let main = world.git.head();
    let tree = world.git.add_tree(world.git.tree_of(&main).cloned().unwrap_or_default());
    let head_sha = world.git.add_commit(tree.clone(), vec![main.clone()], format!("Change {number}"), now);
    let merge = world.git.add_commit(tree, vec![main, head_sha.clone()], format!("Merge {number}"), now);
    let branch = format!("change-{number}");
    let head_repository = HeadRepository::Fork(fork.to_owned());
    let title = format!("Pull request {number}");
    let mut pull = Pull::new(number, (branch.clone(), head_sha.clone()), "main", title, now);
    pull.head_repository = head_repository.clone();
    world.pulls.insert(number, pull);
    Origin {
        sha: merge,
        reference: format!("refs/pull/{number}/merge"),
        head_sha,
        head_branch: branch,
        head_repository,
        actor: actor.to_owned(),
    }
}
