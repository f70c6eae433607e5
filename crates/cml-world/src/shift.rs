//! Lists that change while a client reads their pages.

use jiff::Timestamp;

use crate::actions::queue;
use crate::http::Request;
use crate::runner::configuration::{self, NewRunner};
use crate::server::api_path;
use crate::world::{Scope, World};

/// A change right after a page of a list was answered, before the next one is requested.
#[derive(Clone, Debug)]
pub struct Shift {
    /// The end of the list's path: `/actions/runners`.
    pub path_ends: String,
    /// A part of its query, such as `status=queued`; empty for any.
    pub query_contains: String,
    /// The page, from 1.
    pub page: usize,
    /// The change.
    pub change: ListChange,
    /// How many times.
    pub times: u32,
}

/// A change of a list.
#[derive(Clone, Debug)]
pub enum ListChange {
    /// The repository's oldest runner is removed: all others move up by one.
    OldestRunnerGoes,
    /// The same, and another one is added at once: there are as many as before.
    OldestRunnerIsReplaced,
    /// The newest run is cancelled: it leaves the lists of open runs.
    NewestRunIsCancelled,
    /// The oldest comment is deleted.
    OldestCommentGoes,
}

/// Makes the next change that follows on this request.
pub(crate) fn follow(world: &mut World, request: &Request) {
    let path = api_path(&request.path).to_owned();
    let page = request.query("page").and_then(|text| text.parse().ok()).unwrap_or(1);
    let meets = |shift: &Shift| {
        shift.times > 0
            && request.method == "GET"
            && shift.page == page
            && path.ends_with(&shift.path_ends)
            && request.raw_query.contains(&shift.query_contains)
    };
    let Some(at) = world.shifts.iter().position(meets) else { return };
    world.shifts[at].times -= 1;
    let change = world.shifts[at].change.clone();
    make(world, &change, request.at);
}

fn make(world: &mut World, change: &ListChange, now: Timestamp) {
    match change {
        ListChange::OldestRunnerGoes => drop(world.runners.pop_first()),
        ListChange::OldestRunnerIsReplaced => {
            drop(world.runners.pop_first());
            let name = format!("newcomer-{}", world.next_id());
            let new = NewRunner {
                name,
                scope: Scope::Repository,
                group: 1,
                labels: vec!["other".to_owned()],
                system_labels: 0,
                ephemeral: true,
            };
            configuration::register(world, new, now);
        }
        ListChange::NewestRunIsCancelled => {
            let open = world.jobs.values().filter(|job| job.conclusion().is_none());
            if let Some(run) = open.map(|job| job.run).max() {
                queue::cancel(world, run, true, now);
            }
        }
        ListChange::OldestCommentGoes => drop(world.comments.pop_first()),
    }
    world.changed();
}
