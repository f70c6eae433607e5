//! Webhooks on their way in: one writer keeps whatever has come, many deliveries in one commit, and then answers them all.

use std::path::Path;
use std::thread;

use cml_fleet::Job;
use cml_journal::{Inbox, JournalError, Letter};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Deliveries in one commit.
const BATCH_MAX: usize = 512;
/// Deliveries that wait for the writer; more are refused, and GitHub is told so.
const WAITING_MAX: usize = 4096;
/// A delivery is sent again by GitHub for three days at most; later nothing repeats it.
/// <https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(72);
/// Between two times of forgetting.
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A job as a delivery told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The job; its event is empty, and whether its code comes from a fork is not known.
    pub job: Job,
    /// The repository has forks.
    pub may_be_fork: bool,
}

/// A delivery could not be kept: it must not be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// More come than can be written.
    #[error("{WAITING_MAX} deliveries wait to be written already")]
    TooMany,
    /// The disk is full, for one.
    #[error("{0}")]
    NotWritten(String),
}

struct Parcel {
    letter: Letter,
    heard: Heard,
    answer: oneshot::Sender<Result<bool, String>>,
}

/// Where webhooks are handed in.
#[derive(Clone, Debug)]
pub struct Intake {
    parcels: mpsc::Sender<Parcel>,
}

impl Intake {
    /// Opens the inbox. `tell` hears each new job right after it is durable, on the writer's own thread. What came within
    /// `again` before `now` is told at once: an earlier life may have died between keeping and telling it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        path: &Path,
        now: Timestamp,
        again: SignedDuration,
        tell: impl Fn(Heard, Timestamp) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let mut inbox = Inbox::open(path)?;
        forget(&mut inbox, now);
        for letter in inbox.since(now.checked_sub(again).unwrap_or(now))? {
            match serde_json::from_str(&letter.text) {
                Ok(heard) => tell(heard, letter.at),
                Err(error) => {
                    tracing::warn!(%error, delivery = letter.id, "an old delivery is not understood");
                }
            }
        }
        let (parcels, waiting) = mpsc::channel(WAITING_MAX);
        thread::spawn(move || write_all(inbox, waiting, now, &tell));
        Ok(Self { parcels })
    }

    /// Keeps a delivery. True when it is new, false when it came before.
    ///
    /// # Errors
    /// [`NotKept`]; then GitHub has to be told that it was not received.
    pub async fn keep(&self, delivery: String, heard: Heard, at: Timestamp) -> Result<bool, NotKept> {
        let text = serde_json::to_string(&heard).map_err(|error| NotKept::NotWritten(error.to_string()))?;
        let (answer, answered) = oneshot::channel();
        let parcel = Parcel { letter: Letter { id: delivery, at, text }, heard, answer };
        self.parcels.try_send(parcel).map_err(|_| NotKept::TooMany)?;
        let lost = || NotKept::NotWritten("the writer has ended".to_owned());
        answered.await.map_err(|_| lost())?.map_err(NotKept::NotWritten)
    }
}

/// The writer: ends when nobody can hand anything in any more.
fn write_all(
    mut inbox: Inbox,
    mut waiting: mpsc::Receiver<Parcel>,
    now: Timestamp,
    tell: &impl Fn(Heard, Timestamp),
) {
    let mut forgot_at = now;
    while let Some(first) = waiting.blocking_recv() {
        let mut parcels = vec![first];
        while parcels.len() < BATCH_MAX
            && let Ok(next) = waiting.try_recv()
        {
            parcels.push(next);
        }
        let letters: Vec<Letter> = parcels.iter().map(|parcel| parcel.letter.clone()).collect();
        match inbox.keep(&letters) {
            Ok(new) => {
                for (Parcel { letter, heard, answer }, is_new) in parcels.into_iter().zip(new) {
                    if is_new {
                        tell(heard, letter.at);
                    }
                    // Whoever asked may have gone away; it is kept all the same.
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
            && latest.duration_since(forgot_at) >= FORGET_EVERY
        {
            forgot_at = latest;
            forget(&mut inbox, latest);
        }
    }
}

fn forget(inbox: &mut Inbox, now: Timestamp) {
    if let Err(error) = inbox.forget(now.checked_sub(KEPT_FOR).unwrap_or(now)) {
        tracing::warn!(%error, "old deliveries could not be forgotten");
    }
}
