//! Bodies on their way in. All that are being read share one budget of memory, so that nobody can fill it by sending many.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all bodies may hold together.
const BUDGET: usize = 16 * 1024 * 1024;
/// The budget is counted in pieces of this.
const PIECE: usize = 4 * 1024;
/// A body that nobody wants is taken in and forgotten for so long, so that its sender hears the answer and not a reset.
const UNWANTED_WITHIN: Duration = Duration::from_secs(2);
/// Its sender has stopped when nothing came for so long.
const UNWANTED_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than allowed.
    TooLarge,
    /// The budget is used up.
    NoRoom,
    /// The connection ended.
    Cut,
}

/// A body, and its share of the budget for as long as it is held.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    share: Option<OwnedSemaphorePermit>,
}

/// The budget.
#[derive(Clone, Debug)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self::of(BUDGET)
    }
}

impl Bodies {
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PIECE)))
    }

    /// Reads a body of at most so many bytes.
    pub(crate) async fn read(&self, mut body: Body, most: usize) -> Result<Held, Unread> {
        let mut held = Held { bytes: Vec::new(), share: None };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() else { continue };
            let length = held.bytes.len() + data.len();
            if length > most {
                return Err(Unread::TooLarge);
            }
            if length > held.bytes.capacity() {
                self.grow(&mut held, length.next_power_of_two().max(PIECE))?;
            }
            held.bytes.extend_from_slice(&data);
        }
        Ok(held)
    }

    fn grow(&self, held: &mut Held, capacity: usize) -> Result<(), Unread> {
        let pieces = |bytes: usize| bytes.div_ceil(PIECE);
        let more = pieces(capacity).saturating_sub(pieces(held.bytes.capacity()));
        let more = u32::try_from(more).map_err(|_| Unread::NoRoom)?;
        let share = self.0.clone().try_acquire_many_owned(more).map_err(|_| Unread::NoRoom)?;
        match &mut held.share {
            Some(all) => all.merge(share),
            none => *none = Some(share),
        }
        held.bytes.reserve_exact(capacity - held.bytes.len());
        Ok(())
    }
}

/// Takes in what nobody wants, as far as it comes at once, and holds none of it.
pub(crate) async fn discard(mut body: Body, most: usize) {
    let all = async {
        let mut length = 0;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(UNWANTED_PAUSE, body.frame()).await {
            length += frame.data_ref().map_or(0, |data| data.len());
            if length > most {
                return;
            }
        }
    };
    drop(tokio::time::timeout(UNWANTED_WITHIN, all).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_share_one_budget_and_give_it_back() {
        let bodies = Bodies::of(64 * 1024);
        let body = || Body::from(vec![b'x'; 30 * 1024]);
        let first = bodies.read(body(), 1 << 20).await.expect("room");
        let second = bodies.read(body(), 1 << 20).await.expect("room");
        assert_eq!(bodies.read(body(), 1 << 20).await.map(|_| ()), Err(Unread::NoRoom));
        assert_eq!((first.bytes.len(), second.bytes.len()), (30 * 1024, 30 * 1024));
        drop(first);
        assert!(bodies.read(body(), 1 << 20).await.is_ok());
        drop(second);
        assert_eq!(bodies.0.available_permits(), 16, "nothing is kept back");
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_told_and_costs_nothing_afterwards() {
        let bodies = Bodies::of(64 * 1024);
        let body = Body::from(vec![b'x'; 5000]);
        assert_eq!(bodies.read(body, 4999).await.map(|_| ()), Err(Unread::TooLarge));
        assert_eq!(bodies.0.available_permits(), 16);
        assert!(bodies.read(Body::empty(), 0).await.expect("is read").bytes.is_empty());
    }
}
