//! Request bodies. All bodies that are being read share one memory budget, and one address gets half of it at most: so
//! no sender exhausts it with many bodies, or with slow ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;

use crate::door::Peer;

/// Maximum memory of all bodies together.
const BUDGET: usize = 16 * 1024 * 1024;
/// The budget is counted in blocks of this size.
const PIECE: usize = 4 * 1024;
/// An unwanted body is read and discarded for so long, so that its sender receives the response and not a reset.
const UNWANTED_WITHIN: Duration = Duration::from_secs(2);
/// A sender has stopped when nothing arrived for so long.
const UNWANTED_PAUSE: Duration = Duration::from_millis(100);

/// Reason why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It exceeds the size limit.
    TooLarge,
    /// The budget is exhausted, or the address's half of it.
    NoRoom,
    /// The connection ended.
    Cut,
}

/// A body, with the memory that it occupies in the budget.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    share: MemoryShare,
}

/// The budget.
#[derive(Clone, Debug)]
pub(crate) struct Bodies(Arc<Mutex<Budget>>);

/// Number of blocks, and their holders.
#[derive(Debug)]
struct Budget {
    free: usize,
    per_peer: usize,
    taken: BTreeMap<Peer, usize>,
}

impl Budget {
    fn take(&mut self, peer: Peer, pieces: usize) -> Result<(), Unread> {
        let has = self.taken.get(&peer).copied().unwrap_or_default();
        if pieces > self.free || has + pieces > self.per_peer {
            return Err(Unread::NoRoom);
        }
        self.free -= pieces;
        self.taken.insert(peer, has + pieces);
        Ok(())
    }

    fn give_back(&mut self, peer: Peer, pieces: usize) {
        self.free += pieces;
        let left = self.taken.remove(&peer).unwrap_or_default().saturating_sub(pieces);
        if left > 0 {
            self.taken.insert(peer, left);
        }
    }
}

/// Blocks of one body; released when it is dropped.
#[derive(Debug)]
struct MemoryShare {
    bodies: Bodies,
    peer: Peer,
    pieces: usize,
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.bodies.budget().give_back(self.peer, self.pieces);
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self::of(BUDGET)
    }
}

impl Bodies {
    fn of(bytes: usize) -> Self {
        let pieces = bytes / PIECE;
        let budget = Budget { free: pieces, per_peer: pieces / 2, taken: BTreeMap::new() };
        Self(Arc::new(Mutex::new(budget)))
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a body of at most so many bytes.
    pub(crate) async fn read(&self, peer: Peer, mut body: Body, most: usize) -> Result<Held, Unread> {
        let share = MemoryShare { bodies: self.clone(), peer, pieces: 0 };
        let mut held = Held { bytes: Vec::new(), share };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() else { continue };
            let length = held.bytes.len() + data.len();
            if length > most {
                return Err(Unread::TooLarge);
            }
            if length > held.bytes.capacity() {
                held.grow(length.next_power_of_two().max(PIECE))?;
            }
            held.bytes.extend_from_slice(&data);
        }
        Ok(held)
    }
}

impl Held {
    fn grow(&mut self, capacity: usize) -> Result<(), Unread> {
        let share = &mut self.share;
        let more = capacity.div_ceil(PIECE).saturating_sub(share.pieces);
        share.bodies.budget().take(share.peer, more)?;
        share.pieces += more;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }
}

/// Reads and discards an unwanted body, as far as it arrives at once.
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
    use std::net::IpAddr;

    use super::*;

    /// With a budget of 64 KiB, one address has 32 KiB.
    const ALL: usize = 64 * 1024;

    fn peer(last: u8) -> Peer {
        Peer::of(IpAddr::from([192, 0, 2, last]))
    }

    async fn read(bodies: &Bodies, from: u8, bytes: usize) -> Result<Held, Unread> {
        bodies.read(peer(from), Body::from(vec![b'x'; bytes]), 1 << 20).await
    }

    /// Returns the number of free blocks, and of addresses that hold some.
    fn left(bodies: &Bodies) -> (usize, usize) {
        let budget = bodies.budget();
        (budget.free, budget.taken.len())
    }

    #[tokio::test]
    async fn bodies_share_one_budget_and_give_it_back() {
        let bodies = Bodies::of(ALL);
        let first = read(&bodies, 1, 30 * 1024).await.expect("room");
        let second = read(&bodies, 2, 30 * 1024).await.expect("room");
        assert_eq!(read(&bodies, 3, 1).await.map(|_| ()), Err(Unread::NoRoom));
        assert_eq!((first.bytes.len(), second.bytes.len()), (30 * 1024, 30 * 1024));
        drop(first);
        assert!(read(&bodies, 3, 30 * 1024).await.is_ok());
        drop(second);
        assert_eq!(left(&bodies), (16, 0), "nothing is kept back");
    }

    #[tokio::test]
    async fn one_address_has_half_of_the_budget_at_most_and_leaves_the_rest_to_others() {
        let bodies = Bodies::of(ALL);
        let mut of_one = Vec::new();
        for _ in 0..4 {
            of_one.push(read(&bodies, 1, 8 * 1024).await.expect("room"));
        }
        assert_eq!(read(&bodies, 1, 1).await.map(|_| ()), Err(Unread::NoRoom), "it has its half");
        let other = read(&bodies, 2, 32 * 1024).await.expect("the other half is free");
        of_one.pop();
        assert!(read(&bodies, 1, 8 * 1024).await.is_ok(), "it may use again what it gave back");
        drop((of_one, other));
        assert_eq!(left(&bodies), (16, 0), "nothing is kept back");
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_told_and_costs_nothing_afterwards() {
        let bodies = Bodies::of(ALL);
        let body = Body::from(vec![b'x'; 5000]);
        assert_eq!(bodies.read(peer(1), body, 4999).await.map(|_| ()), Err(Unread::TooLarge));
        assert_eq!(left(&bodies), (16, 0));
        assert!(bodies.read(peer(1), Body::empty(), 0).await.expect("is read").bytes.is_empty());
    }
}
