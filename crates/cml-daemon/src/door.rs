//! Limits on connections: which are accepted, for how long, and how they end.
//!
//! Anyone can open a connection, and each costs a descriptor. So the limit is well below the number of files that the
//! process may open: the controller's own files and calls never wait for one. When all connections are taken, the
//! oldest one that is waiting for its peer is closed: of the address at its limit, else of the address with the most. A
//! request that is sent at once is answered, however many others are only half sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Time from a connection's start, or the last response on it, to the last byte of the next header.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// Maximum size of a header with all its lines; GitHub's has about 1 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Maximum age of a connection, whatever its activity.
const AGE_MAX: Duration = Duration::from_secs(300);
/// Time for requests in progress when the daemon ends.
const GRACE: Duration = Duration::from_secs(2);
/// Maximum number of connections, where the process may open enough files.
const CONNECTIONS_MAX: usize = 512;
/// Wait after a failed accept, for example for lack of descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Limits on concurrent connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    connections: usize,
    per_address: usize,
}

impl Limits {
    /// Returns the limits for a process that may open so many files; `None`: no limit. Most of them are reserved for
    /// the controller.
    #[must_use]
    pub fn below(descriptors: Option<u64>) -> Self {
        let share =
            descriptors.map_or(CONNECTIONS_MAX, |most| usize::try_from(most / 4).unwrap_or(usize::MAX));
        let connections = share.clamp(8, CONNECTIONS_MAX);
        // A proxy is one address: it gets most, and leaves room for clients that bypass it.
        Self { connections, per_address: connections - connections / 4 }
    }
}

/// The address behind a connection; an IPv6 network of one customer counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self(if address.is_loopback() { address } else { Ipv6Addr::from(network) }.into())
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// Set while the daemon works on a request of the connection; otherwise the connection waits for its peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(crate) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Guest {
    peer: Peer,
    busy: Busy,
    out: CancellationToken,
}

/// Open connections, the oldest first.
#[derive(Debug)]
struct Guests {
    limits: Limits,
    next: u64,
    inside: BTreeMap<u64, Guest>,
}

impl Guests {
    fn new(limits: Limits) -> Self {
        Self { limits, next: 0, inside: BTreeMap::new() }
    }

    /// Admits a connection, and closes another one where there is no room; `None` when all are being worked on.
    fn admit(&mut self, peer: Peer) -> Option<(u64, Busy, CancellationToken)> {
        let of_peer = self.inside.values().filter(|guest| guest.peer == peer).count();
        if of_peer >= self.limits.per_address {
            self.make_room(|guest| guest.peer == peer)?;
        } else if self.inside.len() >= self.limits.connections {
            let most = self.most_common();
            if self.make_room(|guest| Some(guest.peer) == most).is_none() {
                self.make_room(|_| true)?;
            }
        }
        let (busy, out) = (Busy::default(), CancellationToken::new());
        let number = self.next;
        self.next += 1;
        self.inside.insert(number, Guest { peer, busy: busy.clone(), out: out.clone() });
        Some((number, busy, out))
    }

    fn make_room(&mut self, may_go: impl Fn(&Guest) -> bool) -> Option<()> {
        let (number, _) = self.inside.iter().find(|(_, guest)| !guest.busy.get() && may_go(guest))?;
        let number = *number;
        self.inside.remove(&number)?.out.cancel();
        Some(())
    }

    fn most_common(&self) -> Option<Peer> {
        let mut counts: BTreeMap<Peer, usize> = BTreeMap::new();
        for guest in self.inside.values() {
            *counts.entry(guest.peer).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(peer, _)| peer)
    }
}

/// A slot that is released however a connection ends.
struct ConnectionSlot {
    guests: Arc<Mutex<Guests>>,
    number: u64,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.guests).inside.remove(&self.number);
    }
}

fn lock(guests: &Mutex<Guests>) -> MutexGuard<'_, Guests> {
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until `stop` is cancelled; then requests in progress have [`GRACE`].
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let guests = Arc::new(Mutex::new(Guests::new(limits)));
    // A closed connection may hold its descriptor for a moment longer: together they stay below twice the limit.
    let descriptors = Arc::new(Semaphore::new(limits.connections * 2));
    let mut talks = JoinSet::new();
    loop {
        while talks.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = next(&listener, &descriptors) => accepted,
        };
        let (stream, peer, descriptor) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let Some((number, busy, out)) = lock(&guests).admit(peer) else {
            tracing::warn!("every connection is being worked for: another one is closed");
            continue;
        };
        let place = ConnectionSlot { guests: guests.clone(), number };
        let (router, stop) = (router.clone(), stop.clone());
        talks.spawn(async move {
            talk(stream, router, peer, busy, out, stop).await;
            drop((place, descriptor));
        });
    }
    drop(listener);
    // Each connection has its own limit; this is for those that do not keep it.
    let all = async { while talks.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE + Duration::from_secs(1), all).await);
}

async fn next(
    listener: &TcpListener,
    descriptors: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let descriptor = descriptors.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    // A response is written at once; nothing is gained by waiting for more.
    drop(stream.set_nodelay(true));
    Ok((stream, Peer::of(address.ip()), descriptor))
}

async fn talk(
    stream: TcpStream,
    router: Router,
    peer: Peer,
    busy: Busy,
    out: CancellationToken,
    stop: CancellationToken,
) {
    let service =
        service_fn(|request: Request<Incoming>| answer(router.clone(), request, peer, busy.clone()));
    let talk = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut talk = pin!(talk);
    let ended = tokio::select! {
        ended = talk.as_mut() => Some(ended),
        () = out.cancelled() => return,
        () = stop.cancelled() => None,
        () = tokio::time::sleep(AGE_MAX) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            talk.as_mut().graceful_shutdown();
            tokio::select! {
                ended = talk => ended,
                () = out.cancelled() => return,
                () = tokio::time::sleep(GRACE) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: Peer,
    busy: Busy,
) -> Result<Response, Infallible> {
    use tower_service::Service as _;
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(busy.clone());
    // A request with a body waits for its peer until the body has arrived.
    busy.set([Method::GET, Method::HEAD].contains(request.method()));
    let answer = router.call(request).await;
    busy.set(false);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn connections_stay_well_below_what_the_process_may_open() {
        for (descriptors, most) in
            [(None, 512), (Some(65_536), 512), (Some(1024), 256), (Some(256), 64), (Some(8), 8)]
        {
            let limits = Limits::below(descriptors);
            assert_eq!(limits.connections, most, "{descriptors:?}");
            assert!(limits.per_address < limits.connections);
        }
    }

    #[test]
    fn the_oldest_connection_makes_room_and_none_that_is_worked_for() {
        let mut guests = Guests::new(Limits { connections: 3, per_address: 2 });
        let (_, busy, first) = guests.admit(peer(1)).expect("room");
        busy.set(true);
        let (_, _, second) = guests.admit(peer(1)).expect("room");
        let (_, _, third) = guests.admit(peer(1)).expect("the address makes room by its own");
        assert!(!first.is_cancelled() && second.is_cancelled() && !third.is_cancelled());
        let (_, _, other) = guests.admit(peer(2)).expect("room");
        let (_, _, another) = guests.admit(peer(3)).expect("the address with most makes room");
        assert!(third.is_cancelled() && !other.is_cancelled() && !another.is_cancelled());
        for guest in guests.inside.values() {
            guest.busy.set(true);
        }
        assert!(guests.admit(peer(4)).is_none(), "everybody is worked for");
        assert_eq!(guests.inside.len(), 3);
    }

    #[test]
    fn a_network_of_one_customer_is_one_peer() {
        let of = |text: &str| Peer::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), peer(1));
    }
}
