//! Fault points: every point at which a process waits. A call takes its time, and the process may crash or be paused
//! there.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::fault::Fault;
use super::world::World;

/// The longest pause between a decision and its call, while another process runs, for which the laws are promised.
const PAUSE_MAX: i64 = 120_000;

/// A world that several processes and the flow of time share.
#[derive(Clone)]
pub(crate) struct Shared {
    world: Arc<Mutex<World>>,
    begun: Instant,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), begun: Instant::now() }
    }

    /// Returns the world, advanced to the present.
    pub(crate) fn now(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        world.advance(now);
        world
    }
}

/// One life of a process: from its start to its crash.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) shared: Shared,
    pub(crate) process: usize,
    /// Name of the process and of this life.
    pub(crate) name: String,
    died: Arc<Notify>,
}

impl Life {
    pub(crate) fn new(shared: &Shared, process: usize) -> Self {
        let name = shared.now().start_process(process);
        Self { shared: shared.clone(), process, name, died: Arc::new(Notify::new()) }
    }

    /// Waits for its crash.
    pub(crate) async fn death(&self) {
        self.died.notified().await;
    }

    /// Passes a point at which the process waits. It may never return.
    pub(crate) async fn pass(&self) {
        let (dies, pause) = {
            let mut world = self.shared.now();
            let process = self.process;
            let dying = std::mem::take(&mut world.processes[process].dying);
            let dies = dying || world.fires(Fault::Crash);
            if dies {
                world.note(|| format!("process {process} is killed"));
            }
            if world.fires(Fault::Pause) {
                let until = world.now + world.chance.between(5_000, PAUSE_MAX);
                world.processes[process].paused_until = until;
            }
            (dies, world.processes[process].paused_until - world.now)
        };
        if dies {
            self.died.notify_one();
            pending::<()>().await;
        }
        if pause > 0 {
            sleep(milliseconds(pause)).await;
        }
    }

    /// Delays a call on its way out or its answer on its way back.
    pub(crate) async fn travel(&self) {
        self.pass().await;
        let time = {
            let mut world = self.shared.now();
            if world.fires(Fault::Slow) {
                world.chance.between(1_000, 15_000)
            } else {
                world.chance.between(10, 300)
            }
        };
        sleep(milliseconds(time)).await;
    }
}

pub(crate) fn milliseconds(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}
