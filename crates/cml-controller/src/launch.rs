//! One launch: registration, machine, runner online; or nothing at all.

use std::time::Duration;

use cml_bootstrap::{Bootstrap, Registration, RunnerPackage};
use cml_cloud::{
    Cloud, CloudError, Deadline, ErrorKind, Instance, InstanceFilter, InstanceId, LaunchRequest, Launched,
    Offer, UserData,
};
use cml_github::{GitHub, GitHubErrorKind, JitRequest, Removal, Runner};
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::failure::{Failure, Reason};
use crate::order::{Lifetime, Order, Packages, Reuse};
use crate::undo::{Made, RunnerMade};
use crate::wait::{Wait, until_online};

/// How often a call with an unknown outcome is made again: same token, same parameters, so never a second machine.
const REPEATS_MAX: u32 = 4;
/// Pause before the first repeat; it doubles.
const REPEAT_PAUSE: Duration = Duration::from_millis(700);
/// How long a launch whose name is registered already may take to show its machine before it counts as dead.
const ADOPT_WAIT: Duration = Duration::from_secs(20);

/// What a launch gave.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A runner that was there already will do.
    Reused {
        /// Its name.
        runner: String,
        /// Its labels.
        labels: Vec<String>,
    },
    /// A new machine, its runner online.
    Launched(Launch),
}

/// A machine with its runner online.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The runner's name.
    pub runner: String,
    /// The machine.
    pub instance: InstanceId,
    /// What was bought; none when another process bought it.
    pub offer: Option<Offer>,
    /// Region, for later calls.
    pub region: String,
    /// When it must be gone.
    pub deadline: Deadline,
}

/// Obtains one machine for one order, or leaves nothing.
///
/// `stop` asks it to give up: calls under way are awaited (their outcome must be known to be undone), waiting is not.
///
/// # Errors
/// [`Failure`] with a reason to branch on, after everything that was made has been removed.
pub async fn launch<C: Cloud>(
    order: &Order,
    cloud: &C,
    github: &GitHub,
    tell: &(dyn Fn(Event) + Sync),
    stop: &CancellationToken,
) -> Result<Outcome, Failure> {
    if let Some(runner) = reusable(order, github).await? {
        tell(Event::Reusing { runner: runner.name.clone() });
        return Ok(Outcome::Reused { runner: runner.name, labels: runner.labels });
    }
    let mut made = Made::default();
    let step = Steps { order, cloud, github, tell, stop };
    match step.run(&mut made).await {
        Ok(outcome) => Ok(outcome),
        Err(reason) => {
            if !made.is_empty() {
                tell(Event::Undoing);
            }
            let left_behind = made.undo(cloud, github).await;
            Err(Failure { reason, left_behind })
        }
    }
}

/// An existing runner that serves the order, if the order allows one.
async fn reusable(order: &Order, github: &GitHub) -> Result<Option<Runner>, Reason> {
    if order.reuse == Reuse::Never {
        return Ok(None);
    }
    let runners = github.runners(None).await.map_err(Reason::GitHub)?;
    let fits = |runner: &Runner| {
        let labels_fit = order
            .labels
            .iter()
            .all(|wanted| runner.labels.iter().any(|has| has.eq_ignore_ascii_case(wanted)));
        runner.online && labels_fit && (order.reuse == Reuse::Online || !runner.busy)
    };
    let same_name = |runner: &Runner| runner.name.eq_ignore_ascii_case(&order.runner_name);
    Ok(runners.into_iter().find(|runner| fits(runner) || (order.reuse == Reuse::Online && same_name(runner))))
}

struct Steps<'a, C> {
    order: &'a Order,
    cloud: &'a C,
    github: &'a GitHub,
    tell: &'a (dyn Fn(Event) + Sync),
    stop: &'a CancellationToken,
}

/// What registration led to.
enum Registered {
    /// A fresh registration to put on a machine.
    Fresh(Registration),
    /// The same launch id is under way elsewhere, with this machine.
    Elsewhere(Instance, RunnerMade),
}

impl<C: Cloud> Steps<'_, C> {
    async fn run(&self, made: &mut Made) -> Result<Outcome, Reason> {
        let offers = self.cloud.offers(&self.order.query).await.map_err(Reason::Cloud)?;
        (self.tell)(Event::Offers { count: offers.len() });
        self.not_interrupted()?;
        let registration = match self.register(made).await? {
            Registered::Fresh(registration) => registration,
            Registered::Elsewhere(instance, runner) => return self.adopt(instance, &runner).await,
        };
        (self.tell)(Event::Registered { runner: self.order.runner_name.clone() });
        self.not_interrupted()?;
        let user_data = self.render(registration, &offers).await?;
        let launched = self.buy(&offers, user_data, made).await?;
        (self.tell)(Event::Bought { instance: launched.id.clone(), offer: launched.offer.clone() });
        self.not_interrupted()?;
        self.wait_online(made, &launched).await?;
        (self.tell)(Event::Online { runner: self.order.runner_name.clone() });
        if let Some(request) = &made.request
            && let Err(error) = self.cloud.tidy(request).await
        {
            tracing::warn!(%error, "the launch template could not be removed; `cml-runner reap` will do it");
        }
        Ok(Outcome::Launched(Launch {
            runner: self.order.runner_name.clone(),
            instance: launched.id,
            region: launched.offer.region.clone(),
            offer: Some(launched.offer),
            deadline: self.order.deadline,
        }))
    }

    fn not_interrupted(&self) -> Result<(), Reason> {
        if self.stop.is_cancelled() { Err(Reason::Interrupted) } else { Ok(()) }
    }

    async fn register(&self, made: &mut Made) -> Result<Registered, Reason> {
        match self.order.lifetime {
            Lifetime::OneJob => self.register_jit(made).await,
            Lifetime::ManyJobs => self.register_by_token(made).await,
        }
    }

    async fn register_jit(&self, made: &mut Made) -> Result<Registered, Reason> {
        let request = JitRequest {
            name: self.order.runner_name.clone(),
            labels: self.order.labels.clone(),
            group_id: self.order.group_id,
            work_folder: None,
        };
        let mut answer = self.github.jit_runner(&request).await;
        if let Err(error) = &answer {
            match error.kind {
                GitHubErrorKind::NameTaken => match self.whose_name().await? {
                    Some(found) => return Ok(found),
                    None => answer = self.github.jit_runner(&request).await,
                },
                // The answer was lost: the runner may be registered with a configuration that nobody has.
                GitHubErrorKind::Transient => {
                    self.github.remove_runner_by_name(&request.name).await.map_err(Reason::GitHub)?;
                    answer = self.github.jit_runner(&request).await;
                }
                _ => {}
            }
        }
        match answer {
            Ok(runner) => {
                made.runner = Some(RunnerMade::Id(runner.id));
                Ok(Registered::Fresh(Registration::Jit { encoded: runner.encoded }))
            }
            Err(error) if error.kind == GitHubErrorKind::NameTaken => {
                Err(Reason::NameTaken { name: request.name })
            }
            Err(error) => {
                if error.kind == GitHubErrorKind::Transient {
                    made.runner = Some(RunnerMade::Name(request.name));
                }
                Err(Reason::GitHub(error))
            }
        }
    }

    async fn register_by_token(&self, made: &mut Made) -> Result<Registered, Reason> {
        let name = &self.order.runner_name;
        let same_name = self.github.runners(Some(name)).await.map_err(Reason::GitHub)?;
        if same_name.iter().any(|runner| runner.name.eq_ignore_ascii_case(name))
            && let Some(found) = self.whose_name().await?
        {
            return Ok(found);
        }
        let token = self.github.registration_token().await.map_err(Reason::GitHub)?;
        made.runner = Some(RunnerMade::Name(name.clone()));
        Ok(Registered::Fresh(Registration::Token {
            url: self.github.location().runner_url(),
            token,
            labels: self.order.labels.clone(),
            group: None,
        }))
    }

    /// The name is registered already. With a machine of this launch id: the same launch elsewhere, or an earlier
    /// life of it. Without one: a stranger's runner, or what a crash left (then it is removed and `None` returned).
    async fn whose_name(&self) -> Result<Option<Registered>, Reason> {
        let name = &self.order.runner_name;
        let taken = || Reason::NameTaken { name: name.clone() };
        let same_name = self.github.runners(Some(name)).await.map_err(Reason::GitHub)?;
        let Some(runner) = same_name.into_iter().find(|runner| runner.name.eq_ignore_ascii_case(name)) else {
            return Ok(None);
        };
        if *name != self.order.launch.runner_name() {
            return Err(taken());
        }
        let filter = InstanceFilter {
            regions: self.order.query.regions.clone(),
            launch: Some(self.order.launch),
            owner: None,
        };
        let started = tokio::time::Instant::now();
        loop {
            let found = self.cloud.instances(&filter).await.map_err(Reason::Cloud)?;
            if let Some(instance) = found.into_iter().find(Instance::is_alive) {
                return Ok(Some(Registered::Elsewhere(instance, RunnerMade::Id(runner.id))));
            }
            if started.elapsed() >= ADOPT_WAIT {
                break;
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Reason::Interrupted),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
        if runner.online {
            return Err(taken());
        }
        match self.github.remove_runner(runner.id).await.map_err(Reason::GitHub)? {
            Removal::Busy => Err(taken()),
            Removal::Removed | Removal::AlreadyGone => Ok(None),
        }
    }

    /// Waits for a machine that another process launched under the same id. It is not ours to undo.
    async fn adopt(&self, instance: Instance, runner: &RunnerMade) -> Result<Outcome, Reason> {
        (self.tell)(Event::Adopted { instance: instance.id.clone() });
        self.wait_for(runner, &instance.region, &instance.id).await?;
        (self.tell)(Event::Online { runner: self.order.runner_name.clone() });
        Ok(Outcome::Launched(Launch {
            runner: self.order.runner_name.clone(),
            deadline: instance.deadline.unwrap_or(self.order.deadline),
            instance: instance.id,
            offer: None,
            region: instance.region,
        }))
    }

    async fn render(&self, registration: Registration, offers: &[Offer]) -> Result<UserData, Reason> {
        let package = self.package(offers).await?;
        cml_bootstrap::render(&Bootstrap {
            launch: self.order.launch,
            runner_name: self.order.runner_name.clone(),
            registration,
            package,
            deadline: self.order.deadline,
            boot_timeout: self.order.boot_timeout,
            idle_timeout: self.order.idle_timeout,
            startup_script: self.order.startup_script.clone(),
            ssh_authorized_key: self.order.ssh_authorized_key.clone(),
        })
        .map_err(Reason::Bootstrap)
    }

    async fn package(&self, offers: &[Offer]) -> Result<RunnerPackage, Reason> {
        let asked;
        let packages = match &self.order.packages {
            Packages::Exactly(package) => return Ok(package.clone()),
            Packages::Known(packages) => packages,
            Packages::Ask => {
                asked = self.github.runner_packages().await.map_err(Reason::GitHub)?;
                (self.tell)(Event::Packages { packages: asked.clone() });
                &asked
            }
        };
        let arch = offers.first().map_or(cml_cloud::Arch::X64, |offer| offer.resources.arch).to_string();
        packages
            .iter()
            .find(|package| package.os == "linux" && package.architecture == arch)
            .map(|package| RunnerPackage {
                url: package.download_url.clone(),
                sha256: package.sha256_checksum.clone(),
            })
            .ok_or(Reason::NoPackage(arch))
    }

    /// Goes through regions and markets in order until one sells.
    async fn buy(&self, offers: &[Offer], user_data: UserData, made: &mut Made) -> Result<Launched, Reason> {
        let mut refusals: Vec<CloudError> = Vec::new();
        for (attempt, group) in (1..).zip(by_region_and_market(offers)) {
            self.not_interrupted()?;
            if let Some(previous) = made.request.take()
                && let Err(error) = self.cloud.tidy(&previous).await
            {
                tracing::warn!(%error, "what the refused call left could not be removed; `cml-runner reap` will do it");
            }
            let request = self.request(group, attempt, user_data.clone());
            (self.tell)(Event::Buying { offers: request.offers.clone(), attempt });
            made.request = Some(request.clone());
            match self.call(&request, made).await {
                Ok(launched) => {
                    made.instance = Some((launched.offer.region.clone(), launched.id.clone()));
                    if !launched.failures.is_empty() {
                        (self.tell)(Event::Refused { failures: launched.failures.clone() });
                    }
                    return Ok(launched);
                }
                Err(error) => match error.kind {
                    ErrorKind::Capacity | ErrorKind::Quota | ErrorKind::Throttled => {
                        (self.tell)(Event::Refused { failures: error.failures.clone() });
                        refusals.push(error);
                    }
                    ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Transient => {
                        return Err(Reason::Cloud(error));
                    }
                },
            }
        }
        Err(Reason::NoCapacity(refusals))
    }

    /// One call, repeated while its outcome is unknown: the token makes the repeats one call.
    async fn call(&self, request: &LaunchRequest, made: &mut Made) -> Result<Launched, CloudError> {
        let mut pause = REPEAT_PAUSE;
        let mut repeats = 0;
        loop {
            let result = self.cloud.launch(request).await;
            let Err(error) = result else {
                made.unknown = false;
                return result;
            };
            made.unknown =
                error.kind == ErrorKind::Transient || (made.unknown && error.kind == ErrorKind::Throttled);
            let again = matches!(error.kind, ErrorKind::Transient | ErrorKind::Throttled);
            if !again || repeats == REPEATS_MAX || self.stop.is_cancelled() {
                // An unknown outcome stays unknown, whatever the last answer was.
                return Err(if made.unknown {
                    CloudError { kind: ErrorKind::Transient, ..error }
                } else {
                    error
                });
            }
            (self.tell)(Event::Repeating { cause: error.to_string() });
            tokio::time::sleep(pause).await;
            pause *= 2;
            repeats += 1;
        }
    }

    fn request(&self, offers: Vec<Offer>, attempt: u32, user_data: UserData) -> LaunchRequest {
        LaunchRequest {
            launch: self.order.launch,
            attempt,
            spec: "launch".to_owned(),
            owner: self.github.location().scope.to_string(),
            runner_name: self.order.runner_name.clone(),
            deadline: self.order.deadline,
            offers,
            spot_price_max: self.order.query.spot_price_max,
            user_data,
            image: self.order.image.clone(),
            disk_gib: self.order.disk_gib,
            network: self.order.network.clone(),
            instance_profile: self.order.instance_profile.clone(),
            tags: self.order.tags.clone(),
        }
    }

    async fn wait_online(&self, made: &Made, launched: &Launched) -> Result<(), Reason> {
        match &made.runner {
            Some(runner) => self.wait_for(runner, &launched.offer.region, &launched.id).await,
            None => Ok(()),
        }
    }

    async fn wait_for(&self, runner: &RunnerMade, region: &str, instance: &InstanceId) -> Result<(), Reason> {
        let boot_timeout = Duration::try_from(self.order.boot_timeout).unwrap_or_default();
        let wait = Wait { runner, launch: self.order.launch, region, instance, boot_timeout };
        until_online(&wait, self.cloud, self.github, self.tell, self.stop).await
    }
}

/// Splits offers into calls: one region, one market and one architecture each, in the order of their best offer.
fn by_region_and_market(offers: &[Offer]) -> Vec<Vec<Offer>> {
    let mut groups: Vec<Vec<Offer>> = Vec::new();
    for offer in offers {
        let same = |group: &&mut Vec<Offer>| {
            group.first().is_some_and(|first| {
                first.region == offer.region
                    && first.market == offer.market
                    && first.resources.arch == offer.resources.arch
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(offer.clone()),
            None => groups.push(vec![offer.clone()]),
        }
    }
    groups
}
