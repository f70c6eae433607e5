//! All responses that this crate parses, for tests that try arbitrary bytes on them.

use serde::de::DeserializeOwned;

use crate::jobs::{JobPage, RunPage, RunRecord, RunWire};
use crate::models::{InstallationAnswer, JitAnswer, RunnerPage, TokenAnswer};
use crate::{Check, Comment, Pull, RunnerDownload};

/// Returns the number of GitHub's responses that these bytes parse as. No bytes make parsing fail in another way than
/// by an error.
#[must_use]
pub fn understood_as(body: &[u8]) -> usize {
    fn is<T: DeserializeOwned>(body: &[u8]) -> bool {
        serde_json::from_slice::<T>(body).is_ok()
    }
    let read = [
        is::<RunPage>(body),
        is::<JobPage>(body),
        is::<RunnerPage>(body),
        is::<JitAnswer>(body),
        is::<TokenAnswer>(body),
        is::<InstallationAnswer>(body),
        is::<Vec<RunnerDownload>>(body),
        is::<Vec<Comment>>(body),
        is::<Check>(body),
        is::<Vec<Pull>>(body),
        serde_json::from_slice::<RunWire>(body)
            .is_ok_and(|run| !RunRecord::of(run, "acme/vision").repository.is_empty()),
    ];
    read.into_iter().filter(|it| *it).count()
}
