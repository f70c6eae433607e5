//! A GitHub and a cloud in memory: they answer as told, and remember what they were asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use cml_cloud::{
    Arch, ByRegion, Cloud, CloudError, Deadline, Driver, ErrorKind, Instance, InstanceFilter, InstanceId,
    InstanceState, LaunchId, LaunchRequest, Launched, Market, MayBuy, Offer, OfferQuery, Resources,
    SpotPrice, UsdPerHour,
};
use cml_controller::{Forge, JobList};
use cml_github::{
    GitHubError, GitHubErrorKind, GitHubTime, JitRequest, JitRunner, Removal, Runner, RunnerDownload,
    TrackedJob,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

const BEGIN: i64 = 1_800_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).expect("in range")
}

pub(crate) fn id(number: u128) -> LaunchId {
    LaunchId::new(ulid::Ulid::from_parts(u64::try_from(BEGIN * 1000).expect("positive"), number))
}

pub(crate) fn offer(region: &str, arch: Arch, driver: Driver, market: Market) -> Offer {
    Offer {
        region: region.to_owned(),
        zone: Some(format!("{region}a")),
        instance_type: "g5.xlarge".to_owned(),
        market,
        price: Some(UsdPerHour("0.4".parse().expect("a number"))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch },
        disk: None,
        quota: None,
        driver,
    }
}

pub(crate) fn instance(launch: LaunchId, region: &str) -> Instance {
    Instance {
        id: InstanceId(format!("i-{launch}")),
        launch: Some(launch),
        spec: Some("launch".to_owned()),
        state: InstanceState::Running,
        region: region.to_owned(),
        zone: Some(format!("{region}a")),
        instance_type: "g5.xlarge".to_owned(),
        market: Market::Spot,
        started_at: at(0),
        ended_at: None,
        deadline: Some(Deadline(at(7200))),
        owner: Some("acme/vision".to_owned()),
        controller: Some("launch".to_owned()),
        runner_name: Some(launch.runner_name()),
        ended_because: None,
        is_interrupted: false,
    }
}

/// What the cloud says to a launch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Capacity,
    Denied,
    Invalid,
    /// Nothing was bought.
    Silence,
    /// Something was.
    Lost,
}

#[derive(Default)]
struct Seen {
    runners: BTreeMap<u64, Runner>,
    /// In no list of all.
    unlisted: BTreeSet<u64>,
    registrations: Vec<String>,
    removed: Vec<u64>,
    requests: Vec<LaunchRequest>,
    machines: Vec<Instance>,
    answered: usize,
}

#[derive(Default)]
pub(crate) struct Outside {
    offers: Vec<Offer>,
    /// Regions that give no answer.
    pub(crate) closed: Vec<String>,
    /// What is said to the first launches; those after them are sold.
    pub(crate) answers: Vec<Answer>,
    /// A runner that was removed, and that lists by its name still show.
    pub(crate) ghost: Option<Runner>,
    /// How many registrations are made without an answer.
    pub(crate) unanswered: usize,
    /// What time it is at GitHub, where it says so.
    pub(crate) time: Option<GitHubTime>,
    seen: Mutex<Seen>,
}

impl Outside {
    pub(crate) fn selling(offers: Vec<Offer>) -> Self {
        Self { offers, ..Self::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("whole")
    }

    pub(crate) fn registrations(&self) -> Vec<String> {
        self.seen().registrations.clone()
    }

    pub(crate) fn removed(&self) -> Vec<u64> {
        self.seen().removed.clone()
    }

    pub(crate) fn requests(&self) -> Vec<LaunchRequest> {
        self.seen().requests.clone()
    }

    /// User data of all launches, as cloud-init sees it.
    pub(crate) fn scripts(&self) -> Vec<String> {
        use std::io::Read as _;
        let plain = |request: LaunchRequest| {
            let bytes = request.user_data.expose().to_vec();
            let mut text = String::new();
            match flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text) {
                Ok(_) => text,
                Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
            }
        };
        self.requests().into_iter().map(plain).collect()
    }

    pub(crate) fn has_machine(&self, instance: Instance) {
        self.seen().machines.push(instance);
    }

    pub(crate) fn has_runner(&self, id: u64, name: &str, labels: &str, online: bool) {
        let labels = labels.split_whitespace().map(str::to_owned).collect();
        let runner = Runner { id, name: name.to_owned(), online, busy: false, labels };
        self.seen().runners.insert(id, runner);
    }

    pub(crate) fn list_lacks(&self, id: u64) {
        self.seen().unlisted.insert(id);
    }

    pub(crate) fn forgets(&self, id: u64) {
        self.seen().runners.remove(&id);
    }

    fn by_region<T>(&self, found: Vec<T>) -> ByRegion<T> {
        let mut answer = ByRegion::whole(found);
        for region in &self.closed {
            let error = CloudError::new(ErrorKind::Denied, format!("asking {region}"), "AuthFailure");
            answer.add(region, Err(error));
        }
        answer
    }
}

impl Cloud for Outside {
    fn name(&self) -> &'static str {
        "in memory"
    }

    async fn offers(&self, _query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        Ok(self.by_region(self.offers.clone()))
    }

    async fn launch(&self, request: &LaunchRequest, _: MayBuy<'_>) -> Result<Launched, CloudError> {
        let mut seen = self.seen();
        seen.requests.push(request.clone());
        let offer = request.offers[0].clone();
        let answer = self.answers.get(seen.answered).copied();
        seen.answered += 1;
        let failed = |kind| Err(CloudError::new(kind, format!("launching in {}", offer.region), "no"));
        let machine = instance(request.launch, &offer.region);
        match answer {
            Some(Answer::Capacity) => return failed(ErrorKind::Capacity),
            Some(Answer::Denied) => return failed(ErrorKind::Denied),
            Some(Answer::Invalid) => return failed(ErrorKind::Invalid),
            Some(Answer::Silence) => return failed(ErrorKind::Transient),
            Some(Answer::Lost) => {
                seen.machines.push(machine);
                seen.runners.values_mut().for_each(|runner| runner.online = true);
                return failed(ErrorKind::Transient);
            }
            None => {}
        }
        seen.machines.push(machine.clone());
        seen.runners.values_mut().for_each(|runner| runner.online = true);
        Ok(Launched { id: machine.id, offer, failures: Vec::new() })
    }

    fn shows_within(&self, _region: &str) -> SignedDuration {
        SignedDuration::from_mins(5)
    }

    async fn clean_up(&self, _request: &LaunchRequest) -> Result<(), CloudError> {
        Ok(())
    }

    async fn collect_garbage(
        &self,
        _filter: &InstanceFilter,
        _older_than: Timestamp,
        _dry_run: bool,
    ) -> Result<ByRegion<String>, CloudError> {
        Ok(ByRegion::default())
    }

    async fn instances(&self, _filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        Ok(self.by_region(self.seen().machines.clone()))
    }

    async fn spot_prices(
        &self,
        _region: &str,
        _types: &[String],
        _since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        Ok(Vec::new())
    }

    async fn interrupted_instances(&self, _region: &str) -> Result<Vec<InstanceId>, CloudError> {
        Ok(Vec::new())
    }

    async fn terminate(&self, _region: &str, id: &InstanceId) -> Result<(), CloudError> {
        self.seen().machines.retain(|machine| machine.id != *id);
        Ok(())
    }

    async fn console(&self, _region: &str, _id: &InstanceId) -> Result<String, CloudError> {
        Ok(String::new())
    }
}

impl Forge for Outside {
    fn scope(&self) -> String {
        "acme/vision".to_owned()
    }

    fn runner_url(&self) -> String {
        "https://github.invalid/acme/vision".to_owned()
    }

    fn time(&self) -> Option<GitHubTime> {
        self.time
    }

    async fn jit_runner(&self, request: &JitRequest) -> Result<JitRunner, GitHubError> {
        let failed = |kind| {
            let (doing, cause) = ("registering".to_owned(), "no".to_owned());
            Err(GitHubError { kind, doing, cause, hint: None })
        };
        let is_taken = self.seen().runners.values().any(|runner| runner.name == request.name);
        if is_taken && self.unanswered > 0 {
            return failed(GitHubErrorKind::Transient);
        }
        if is_taken {
            return failed(GitHubErrorKind::NameTaken);
        }
        let number = u64::try_from(self.seen().registrations.len()).expect("few") + 1;
        self.seen().registrations.push(request.labels.join(" "));
        self.has_runner(number, &request.name, &request.labels.join(" "), false);
        if self.registrations().len() <= self.unanswered {
            return failed(GitHubErrorKind::Transient);
        }
        let encoded = SecretString::from(format!("registration-{number}"));
        Ok(JitRunner { id: number, name: request.name.clone(), encoded })
    }

    async fn registration_token(&self) -> Result<SecretString, GitHubError> {
        let (doing, cause) = ("registering".to_owned(), "just in time only".to_owned());
        Err(GitHubError { kind: GitHubErrorKind::Invalid, doing, cause, hint: None })
    }

    async fn runners(&self, name: Option<&str>) -> Result<Vec<Runner>, GitHubError> {
        let seen = self.seen();
        let is_told = |runner: &&Runner| match name {
            Some(name) => runner.name == name,
            None => !seen.unlisted.contains(&runner.id),
        };
        let ghost = self.ghost.iter().filter(|_| name.is_some());
        Ok(seen.runners.values().chain(ghost).filter(is_told).cloned().collect())
    }

    async fn runner(&self, id: u64) -> Result<Option<Runner>, GitHubError> {
        Ok(self.seen().runners.get(&id).cloned())
    }

    async fn remove_runner(&self, id: u64) -> Result<Removal, GitHubError> {
        let mut seen = self.seen();
        seen.removed.push(id);
        let known = seen.runners.remove(&id);
        Ok(known.map_or(Removal::AlreadyGone, |_| Removal::Removed))
    }

    async fn runner_packages(&self) -> Result<Vec<RunnerDownload>, GitHubError> {
        Ok(Vec::new())
    }

    async fn jobs(&self, _followed: &[TrackedJob], _only: &BTreeSet<String>) -> Result<JobList, GitHubError> {
        Ok(JobList::default())
    }

    async fn rerun(&self, _repository: &str, _run: u64, _only: Option<u64>) -> Result<(), GitHubError> {
        Ok(())
    }
}
