//! Ingest of webhooks: one writer stores all pending deliveries in one commit, and then acknowledges them.

use std::path::{Path, PathBuf};
use std::thread;

use cml_github::Scope;
use cml_journal::{Delivery, Inbox, JournalError};
use cml_planner::{Job, JobState};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of deliveries in one commit.
const BATCH_MAX: usize = 512;
/// Maximum number of deliveries that wait for the writer; more are refused, and GitHub receives an error.
const WAITING_MAX: usize = 4096;
/// Interval between two deletions of old deliveries.
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A job from a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookJob {
    /// The job. Its event is empty and its origin counts as foreign until GitHub was queried.
    pub job: Job,
}

/// Error: a delivery could not be stored and must not be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// More deliveries arrive than can be written.
    #[error("{WAITING_MAX} deliveries wait to be written already")]
    TooMany,
    /// The write failed, for example because the disk is full.
    #[error("{0}")]
    NotWritten(String),
}

struct PendingDelivery {
    letter: Delivery,
    heard: WebhookJob,
    answer: oneshot::Sender<Result<bool, String>>,
}

/// Entry point of webhooks.
#[derive(Clone, Debug)]
pub struct WebhookIngest {
    parcels: mpsc::Sender<PendingDelivery>,
    kept_for: SignedDuration,
}

impl WebhookIngest {
    /// Opens the inbox. `tell` is called with each new job right after it is durable, on the writer's own thread.
    /// Deliveries that arrived within `again` before `now` are reported at once, where they belong to the current
    /// scope: an earlier process may have died after storing and before reporting them, and may have served another
    /// scope. For `kept_for`, GitHub can redeliver; for that time repeats are recognized, and older deliveries are not
    /// accepted any more.
    ///
    /// A damaged file is renamed and a new one is created: the poll finds whatever it contained.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        path: &Path,
        now: Timestamp,
        again: SignedDuration,
        kept_for: SignedDuration,
        serves: &Scope,
        tell: impl Fn(WebhookJob, Timestamp) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let read = |path: &Path| {
            let mut inbox = Inbox::open(path)?;
            inbox.prune(now.checked_sub(kept_for).unwrap_or(now))?;
            let letters = inbox.received_since(now.checked_sub(again).unwrap_or(now))?;
            Ok((inbox, letters))
        };
        let (inbox, letters) = match read(path) {
            Err(error) if may_begin_anew(&error) && set_aside(path, &error, now) => read(path)?,
            done => done?,
        };
        for letter in letters {
            match serde_json::from_str::<WebhookJob>(&letter.text) {
                Ok(heard) if serves.holds(&heard.job.repository) => tell(heard, letter.at),
                Ok(heard) => {
                    let repository = heard.job.repository;
                    tracing::info!(repository, delivery = letter.id, "an old delivery is not of this scope");
                }
                Err(error) => {
                    tracing::warn!(%error, delivery = letter.id, "an old delivery is not understood");
                }
            }
        }
        let (parcels, waiting) = mpsc::channel(WAITING_MAX);
        let writer = Writer { path: path.to_owned(), inbox, kept_for, forgot_at: now };
        thread::spawn(move || writer.write_all(waiting, &tell));
        Ok(Self { parcels, kept_for })
    }

    /// Returns false for a queued job that GitHub would not deliver any more: such a delivery can only be a replay.
    #[must_use]
    pub fn is_recent(&self, job: &Job, now: Timestamp) -> bool {
        job.state != JobState::Queued
            || job.queued_at == Timestamp::UNIX_EPOCH
            || now.duration_since(job.queued_at) <= self.kept_for
    }

    /// Stores a delivery: `digest` is of the signed bytes. Returns true when it is new, false when its id or its bytes
    /// are already known.
    ///
    /// # Errors
    /// [`IngestError`]; GitHub must then receive an error.
    pub async fn keep(
        &self,
        delivery: String,
        digest: String,
        heard: WebhookJob,
        at: Timestamp,
    ) -> Result<bool, IngestError> {
        let text =
            serde_json::to_string(&heard).map_err(|error| IngestError::NotWritten(error.to_string()))?;
        let (answer, answered) = oneshot::channel();
        let parcel = PendingDelivery { letter: Delivery { id: delivery, digest, at, text }, heard, answer };
        self.parcels.try_send(parcel).map_err(|_| IngestError::TooMany)?;
        let lost = || IngestError::NotWritten("the writer has ended".to_owned());
        answered.await.map_err(|_| lost())?.map_err(IngestError::NotWritten)
    }
}

/// The writer, on a thread of its own.
struct Writer {
    path: PathBuf,
    inbox: Inbox,
    kept_for: SignedDuration,
    forgot_at: Timestamp,
}

impl Writer {
    /// Writes until all senders are dropped.
    fn write_all(
        mut self,
        mut waiting: mpsc::Receiver<PendingDelivery>,
        tell: &impl Fn(WebhookJob, Timestamp),
    ) {
        while let Some(first) = waiting.blocking_recv() {
            let mut parcels = vec![first];
            while parcels.len() < BATCH_MAX
                && let Ok(next) = waiting.try_recv()
            {
                parcels.push(next);
            }
            let letters: Vec<Delivery> = parcels.iter().map(|parcel| parcel.letter.clone()).collect();
            match self.keep(&letters) {
                Ok(new) => {
                    for (PendingDelivery { letter, heard, answer }, is_new) in parcels.into_iter().zip(new) {
                        if is_new {
                            tell(heard, letter.at);
                        }
                        // The requester may have disconnected; the delivery is stored all the same.
                        drop(answer.send(Ok(is_new)));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "webhooks cannot be kept and are refused; the poll will find their jobs");
                    for parcel in parcels {
                        drop(parcel.answer.send(Err(error.to_string())));
                    }
                }
            }
            if let Some(latest) = letters.last().map(|letter| letter.at)
                && latest.duration_since(self.forgot_at) >= FORGET_EVERY
            {
                self.forgot_at = latest;
                if let Err(error) = self.inbox.prune(latest.checked_sub(self.kept_for).unwrap_or(latest)) {
                    tracing::warn!(%error, "old deliveries could not be forgotten");
                }
            }
        }
    }

    /// Stores deliveries; in a new file where this one was damaged or removed since.
    fn keep(&mut self, letters: &[Delivery]) -> Result<Vec<bool>, JournalError> {
        let Some(now) = letters.last().map(|letter| letter.at) else { return Ok(Vec::new()) };
        match self.inbox.insert(letters) {
            Err(error @ JournalError::Replaced { .. }) => {
                tracing::error!(%error, "webhooks go into the file that has the name now");
            }
            Err(error) if may_begin_anew(&error) && set_aside(&self.path, &error, now) => {}
            done => return done,
        }
        self.inbox = Inbox::open(&self.path)?;
        self.inbox.insert(letters)
    }
}

/// Returns whether a new file may be created: the poll finds the inbox's jobs a minute later, so a bad file must not
/// prevent a start.
fn may_begin_anew(error: &JournalError) -> bool {
    error.is_of_content()
}

fn set_aside(path: &Path, error: &JournalError, now: Timestamp) -> bool {
    match Inbox::set_aside(path, now) {
        Ok(aside) => {
            tracing::error!(
                %error, aside = %aside.display(),
                "the inbox of webhooks cannot be read: it is set aside and begun anew, and the poll finds the jobs"
            );
            true
        }
        Err(why) => {
            tracing::error!(%error, %why, "the inbox of webhooks cannot be read, nor be set aside");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_planner::JobId;

    const KEPT_FOR: SignedDuration = SignedDuration::from_hours(72);

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("in range")
    }

    fn job(id: u64) -> Job {
        Job {
            id: JobId(id),
            run_id: id,
            attempt: 1,
            name: "train".to_owned(),
            repository: "acme/vision".to_owned(),
            labels: vec!["gpu".to_owned()],
            group: None,
            event: String::new(),
            from_fork: true,
            actor: "mona".to_owned(),
            workflow: String::new(),
            branch: String::new(),
            queued_at: now(),
            state: JobState::Queued,
            runner: None,
            interruptions: 0,
        }
    }

    fn repository(name: &str) -> Scope {
        Scope::Repository { owner: "acme".to_owned(), name: name.to_owned() }
    }

    fn open(path: &Path) -> WebhookIngest {
        WebhookIngest::open(path, now(), SignedDuration::ZERO, KEPT_FOR, &repository("vision"), |_, _| {})
            .expect("opens")
    }

    async fn keep(intake: &WebhookIngest, id: &str, digest: &str) -> bool {
        let heard = WebhookJob { job: job(1) };
        intake.keep(id.to_owned(), digest.to_owned(), heard, now()).await.expect("is kept")
    }

    #[tokio::test]
    async fn a_delivery_counts_once_whatever_id_it_is_sent_under() {
        let dir = tempfile::tempdir().expect("a directory");
        let intake = open(&dir.path().join("inbox.db"));
        assert!(keep(&intake, "one", "digest 1").await);
        assert!(!keep(&intake, "one", "digest 2").await, "its id came before");
        assert!(!keep(&intake, "two", "digest 1").await, "its bytes came before");
        assert!(keep(&intake, "three", "digest 3").await);
    }

    #[tokio::test]
    async fn what_came_before_a_restart_is_told_only_where_it_is_of_what_is_served_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inbox.db");
        assert!(keep(&open(&path), "one", "digest").await);
        for (served, expected) in [("vision", vec![JobId(1)]), ("speech", vec![])] {
            let (tell, told) = std::sync::mpsc::channel();
            let hour = SignedDuration::from_hours(1);
            let serves = repository(served);
            let intake = WebhookIngest::open(&path, now(), hour, KEPT_FOR, &serves, move |heard, _| {
                tell.send(heard.job.id).ok();
            });
            drop(intake.expect("opens"));
            assert_eq!(told.iter().collect::<Vec<JobId>>(), expected, "{served}");
        }
    }

    #[tokio::test]
    async fn a_damaged_inbox_is_set_aside_at_the_start() {
        let damaged: [&[u8]; 3] = [&[0x5a; 8192], b"SQLite format 3\0 and no more", b"not a database at all"];
        for bytes in damaged {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("inbox.db");
            std::fs::write(&path, bytes).expect("is written");
            let intake = open(&path);
            assert!(keep(&intake, "one", "digest").await);
            let aside = dir.path().join("inbox.db.corrupt-20270115T080000Z");
            assert_eq!(std::fs::read(&aside).expect("it is set aside"), bytes);
        }
    }

    #[tokio::test]
    async fn an_inbox_that_is_taken_away_is_begun_anew_and_loses_no_delivery() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inbox.db");
        let intake = open(&path);
        assert!(keep(&intake, "one", "digest 1").await);
        for side in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(dir.path().join(format!("inbox.db{side}"))));
        }
        assert!(keep(&intake, "two", "digest 2").await);
        drop(intake);
        let inbox = Inbox::open(&path).expect("is there again");
        let kept = inbox.received_since(Timestamp::UNIX_EPOCH).expect("reads");
        assert_eq!(kept.iter().map(|letter| letter.id.as_str()).collect::<Vec<&str>>(), ["two"]);
    }

    #[tokio::test]
    async fn a_job_that_was_queued_before_githubs_last_redelivery_is_not_recent() {
        let dir = tempfile::tempdir().expect("a directory");
        let intake = open(&dir.path().join("inbox.db"));
        let old = Job { queued_at: now() - KEPT_FOR - SignedDuration::from_secs(1), ..job(1) };
        assert!(intake.is_recent(&job(1), now()));
        assert!(!intake.is_recent(&old, now()));
        assert!(intake.is_recent(&Job { state: JobState::Over, ..old }, now()), "an end costs nothing");
    }
}
