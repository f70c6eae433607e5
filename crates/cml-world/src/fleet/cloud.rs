//! The simulated cloud as the controller calls it: EC2's semantics behind the product's own trait.

use std::collections::BTreeMap;

use cml_cloud::{
    ByRegion, Cloud, CloudError, ErrorKind, Instance, InstanceFilter, InstanceId, InstanceState,
    LaunchRequest, Launched, Market, MayBuy, Offer, OfferFailure, OfferQuery, SpotPrice,
};
use cml_planner::UNSEEN_GRACE;
use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::fault_point::Life;
use super::machine::{Machine, deadline_second};
use super::market::{SAME_LETTER_TYPE, SHARED_TYPE, quota_of, region_of, second_of};
use super::mutant::Mutant;
use super::world::{OWNER, World};

/// EC2's token buckets, per region: capacity and refill per second.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
const BUCKETS: [(&str, i64, i64); 3] = [("describe", 100, 20), ("launch", 50, 5), ("terminate", 100, 5)];
/// Number of entries that a mutated reader sees.
const FIRST_PAGE: usize = 4;

/// Tokens of each kind of call, in thousandths, and when they were counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buckets(BTreeMap<&'static str, (i64, i64)>);

impl Buckets {
    fn take(&mut self, name: &'static str, now: i64, are_small: bool) -> bool {
        let known = BUCKETS.iter().find(|(known, ..)| *known == name);
        let Some((_, most, each_second)) = known.copied() else { return true };
        // Other programs of the account may use most of them up.
        let (most, each_second) = if are_small { (3, 1) } else { (most, each_second) };
        let (tokens, at) = self.0.entry(name).or_insert((most * 1000, now));
        *tokens = (*tokens + (now - *at) * each_second).min(most * 1000);
        *at = now;
        let enough = *tokens >= 1000;
        if enough {
            *tokens -= 1000;
        }
        enough
    }
}

/// The cloud, as seen by one life of a process.
pub(crate) struct SimCloud {
    pub(crate) life: Life,
}

fn error(kind: ErrorKind, doing: &str, cause: &str) -> CloudError {
    CloudError::new(kind, doing, cause)
}

impl SimCloud {
    /// Passes a call through outages, throttling, and failures before anything is carried out.
    async fn call(&self, bucket: &'static str, doing: &str) -> Result<(), CloudError> {
        self.life.travel().await;
        let refused = {
            let mut world = self.life.shared.now();
            world.watch_calls(self.life.process);
            let now = world.now;
            if now < world.cloud_down_until || world.fires(Fault::CloudSilent) {
                Some(error(ErrorKind::Transient, doing, "no answer"))
            } else if world.fires(Fault::Throttled) {
                Some(error(ErrorKind::Throttled, doing, "RequestLimitExceeded"))
            } else if !world.take_token(bucket) {
                world.faults.meet(Fault::BucketEmpty);
                Some(error(ErrorKind::Throttled, doing, "RequestLimitExceeded"))
            } else {
                None
            }
        };
        refused.map_or(Ok(()), Err)
    }
}

impl Cloud for SimCloud {
    fn name(&self) -> &'static str {
        "simulated"
    }

    async fn offers(&self, query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        self.call("describe", "asking what is for sale").await?;
        let mut world = self.life.shared.now();
        let mut answer = ByRegion::default();
        for region in query.regions.clone() {
            let of_region = OfferQuery { regions: vec![region.clone()], ..query.clone() };
            let closed = world.closed(&region, "asking what is for sale");
            let second = world.second();
            answer.add(&region, closed.map(|()| world.market.offers(&of_region, second)));
        }
        if answer.found.is_empty() { answer.into_whole().map(ByRegion::whole) } else { Ok(ranked(answer)) }
    }

    async fn launch(&self, request: &LaunchRequest, _: MayBuy<'_>) -> Result<Launched, CloudError> {
        self.call("launch", "launching").await?;
        let sold = self.life.shared.now().sell_where_open(request);
        self.life.travel().await;
        if sold.is_ok() && self.life.shared.now().fires(Fault::AnswerLost) {
            return Err(error(ErrorKind::Transient, "launching", "no answer"));
        }
        sold
    }

    /// Without delayed visibility, machines are visible at once, as with the directories of `cloud: local`.
    fn shows_within(&self, _region: &str) -> SignedDuration {
        let world = self.life.shared.now();
        if world.shows_late && !world.is(Mutant::NoGrace) { UNSEEN_GRACE } else { SignedDuration::ZERO }
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

    async fn instances(&self, filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        self.call("describe", "listing instances").await?;
        let answer = {
            let mut world = self.life.shared.now();
            let mut shown = world.shown(filter);
            let mut answer = ByRegion::default();
            for region in &filter.regions {
                let closed = world.closed(region, "listing instances");
                let here = shown.extract_if(.., |instance| instance.region == *region).collect();
                answer.add(region, closed.map(|()| here));
            }
            if world.is(Mutant::SilenceIsEmpty) {
                answer.failed.clear();
            }
            answer
        };
        self.life.travel().await;
        Ok(answer)
    }

    async fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        self.call("describe", "asking for spot prices").await?;
        let mut world = self.life.shared.now();
        world.closed(region, "asking for spot prices")?;
        Ok(world.market.history(region, types, second_of(since), world.second()))
    }

    async fn interrupted_instances(&self, _region: &str) -> Result<Vec<InstanceId>, CloudError> {
        Ok(Vec::new())
    }

    async fn terminate(&self, region: &str, id: &InstanceId) -> Result<(), CloudError> {
        self.call("terminate", "ending an instance").await?;
        {
            let mut world = self.life.shared.now();
            world.closed(region, "ending an instance")?;
            if !world.is(Mutant::NeverTerminate) {
                world.end_by_call(id, self.life.process);
            }
        }
        self.life.travel().await;
        Ok(())
    }

    async fn console(&self, _region: &str, _id: &InstanceId) -> Result<String, CloudError> {
        Ok(String::new())
    }
}

/// Ranks offers as a provider does: by price in each market, across regions.
fn ranked(mut answer: ByRegion<Offer>) -> ByRegion<Offer> {
    answer.found.sort_by_key(|offer| (offer.market, offer.price));
    answer
}

impl World {
    fn take_token(&mut self, bucket: &'static str) -> bool {
        let are_small = self.faults.is_armed(Fault::BucketEmpty);
        self.buckets.take(bucket, self.now, are_small)
    }

    /// Returns the error of a region that does not answer, or that the account has not enabled.
    fn closed(&mut self, region: &str, doing: &str) -> Result<(), CloudError> {
        if self.silent_until.get(region).is_some_and(|until| self.now < *until) {
            return Err(error(ErrorKind::Transient, doing, "503"));
        }
        if self.not_enabled.as_deref() == Some(region) {
            self.faults.meet(Fault::RegionDenied);
            return Err(error(ErrorKind::Denied, doing, "AuthFailure"));
        }
        Ok(())
    }

    fn sell_where_open(&mut self, request: &LaunchRequest) -> Result<Launched, CloudError> {
        let region = request.offers.first().map(|offer| offer.region.clone()).unwrap_or_default();
        self.closed(&region, "launching")?;
        if self.no_launches.as_deref() == Some(region.as_str()) {
            self.faults.meet(Fault::LaunchDenied);
            let words = "UnauthorizedOperation: with an explicit deny in a service control policy";
            return Err(error(ErrorKind::Denied, "launching", words));
        }
        if self.fires(Fault::RequestRefused) {
            let words = "InvalidKMSKey.InvalidState: the key is disabled";
            return Err(error(ErrorKind::Invalid, "launching", words));
        }
        self.sell(request)
    }

    /// Implements EC2's `CreateFleet` of type `instant`: one attempt, with an error for each pool that has no capacity.
    fn sell(&mut self, request: &LaunchRequest) -> Result<Launched, CloudError> {
        let token = match (self.is(Mutant::ReuseTheToken), self.tokens.keys().next()) {
            (true, Some(first)) => first.clone(),
            _ => request.client_token(),
        };
        if let Some(known) = self.tokens.get(&token) {
            let machine = &self.machines[*known];
            return Ok(Launched {
                id: machine.id.clone(),
                offer: machine.offer.clone(),
                failures: Vec::new(),
            });
        }
        let second = self.second();
        let mut failures = Vec::new();
        for offer in &request.offers {
            let Some((kind, code)) = self.refusal(offer, second) else {
                let machine = self.buy(request, offer, token);
                let it = &self.machines[machine];
                return Ok(Launched { id: it.id.clone(), offer: it.offer.clone(), failures });
            };
            failures.push(OfferFailure {
                offer: Some(offer.clone()),
                kind,
                code: code.to_owned(),
                message: String::new(),
                hint: None,
            });
        }
        let kind = failures.iter().map(|failure| failure.kind).min().unwrap_or(ErrorKind::Capacity);
        self.note(|| format!("launch {}: nothing is sold ({kind:?})", request.launch));
        Err(error(kind, "launching", "nothing is sold").failures(failures))
    }

    fn refusal(&mut self, offer: &Offer, second: i64) -> Option<(ErrorKind, &'static str)> {
        let zone = offer.zone.clone().unwrap_or_default();
        if !self.market.sells(&offer.instance_type, &zone) {
            self.faults.meet(Fault::Unsupported);
            return Some((ErrorKind::Capacity, "Unsupported"));
        }
        // https://github.com/aws/karpenter-provider-aws/issues/7370
        if offer.instance_type == SHARED_TYPE && self.faults.is_armed(Fault::TypeDenied) {
            self.faults.meet(Fault::TypeDenied);
            return Some((ErrorKind::Denied, "UnauthorizedOperation"));
        }
        if let Some(quota) = self.market.quota_vcpus {
            let counted = |it: &Offer| (it.region.clone(), it.market, quota_of(&it.instance_type));
            let same = |machine: &&Machine| !machine.gone && counted(&machine.offer) == counted(offer);
            let used: u32 = self.machines.iter().filter(same).map(|it| it.offer.resources.vcpus).sum();
            if used + offer.resources.vcpus > quota {
                self.faults.meet(Fault::Quota);
                return Some((ErrorKind::Quota, "VcpuLimitExceeded"));
            }
        }
        let is_spot = offer.market == Market::Spot;
        let dry = is_spot && !self.market.has_spot(&offer.instance_type, &zone, second);
        if dry || self.fires(Fault::Capacity) {
            return Some((ErrorKind::Capacity, "InsufficientInstanceCapacity"));
        }
        None
    }

    fn buy(&mut self, request: &LaunchRequest, offer: &Offer, token: String) -> usize {
        let second = self.second();
        let spec = self.specs.iter().find(|spec| spec.name == request.spec).cloned();
        let lifetime = spec.as_ref().map_or(7200, |spec| spec.max_lifetime.as_secs());
        let boot_timeout = spec.as_ref().map_or(600, |spec| spec.boot_timeout.as_secs());
        let recipe = spec
            .as_ref()
            .and_then(|spec| super::specs::recipes(std::slice::from_ref(spec), &[]).remove(&spec.name));
        let idle_timeout = recipe.and_then(|recipe| recipe.idle_timeout).map(|timeout| timeout.as_secs());
        let stretch = if self.is(Mutant::IgnoreTheDeadline) { 6 * 3600 } else { 0 };
        // The clock of the process that decided may be off by some minutes.
        let deadline = deadline_second(request.deadline) + stretch;
        let zone = offer.zone.clone().unwrap_or_default();
        let spot = offer.market == Market::Spot;
        let price = if spot {
            Some(self.market.spot_price(&offer.instance_type, &zone, second))
        } else {
            offer.price
        };
        if !spot && spec.is_some_and(|spec| spec.spot == cml_cloud::SpotPolicy::Prefer) {
            self.faults.meet(Fault::OnDemand);
        }
        self.met_elsewhere(request, offer);
        let id = InstanceId(format!("i-{:017x}", self.machines.len()));
        let machine = self.begin_life(Machine {
            launch: request.launch,
            id,
            spec: request.spec.clone(),
            controller: Some(request.controller.clone()),
            runner_name: request.runner_name.clone(),
            offer: Offer { price, ..offer.clone() },
            promised: request
                .offers
                .iter()
                .filter_map(|offer| offer.price)
                .max()
                .map_or(rust_decimal::Decimal::ZERO, |price| price.0),
            started: second,
            deadline,
            lifetime,
            boot_timeout,
            idle_timeout,
            is_tagged: true,
            by_hand: false,
            shows_at: self.now,
            online: false,
            idle_since: None,
            job: None,
            hangs: false,
            taken_at: None,
            ended: None,
            gone: false,
            gone_at: 0,
        });
        self.tokens.insert(token, machine);
        self.controller = Some(request.controller.clone());
        let types = self.machines.iter().filter(|it| !it.by_hand).map(|it| &it.offer.instance_type);
        if types.clone().any(|it| it == SHARED_TYPE) && types.clone().any(|it| it == SAME_LETTER_TYPE) {
            self.faults.meet(Fault::TwoTypes);
        }
        self.note(|| {
            format!("machine {machine} is bought: {} {} in {zone}", offer.market, offer.instance_type)
        });
        let mut told = request.clone();
        if self.is(Mutant::LeakTheSecret) {
            told.tags.insert("note".to_owned(), super::laws::secret(&request.runner_name));
        }
        self.watch_purchase(machine, &told);
        machine
    }

    /// Records that a launch fell back: the machine is in another place than where most are bought.
    fn met_elsewhere(&mut self, request: &LaunchRequest, offer: &Offer) {
        let Some(before) = self.machines.iter().rev().find(|it| it.spec == request.spec && !it.by_hand)
        else {
            return;
        };
        if before.offer.zone == offer.zone {
            return;
        }
        let there = before.offer.zone.clone().unwrap_or_default();
        let other_region = region_of(&there) != offer.region;
        self.faults.meet(if other_region { Fault::OtherRegion } else { Fault::OtherZone });
    }

    /// Implements `DescribeInstances`.
    fn shown(&self, filter: &InstanceFilter) -> Vec<Instance> {
        let now = self.now;
        let mut all: Vec<Instance> = self.machines.iter().filter_map(|machine| machine.shown(now)).collect();
        if filter.ids.is_empty() {
            all.retain(|instance| instance.owner.as_deref() == Some(OWNER));
        } else {
            all.retain(|instance| filter.ids.contains(&instance.id));
        }
        if self.is(Mutant::SkipPagination) {
            all.truncate(FIRST_PAGE);
        }
        for instance in &mut all {
            if self.is(Mutant::TerminatingIsFree) && instance.state == InstanceState::Stopping {
                instance.state = InstanceState::Terminated;
            }
            if self.is(Mutant::EverythingIsOurs) && instance.launch.is_some() {
                instance.controller.clone_from(&self.controller);
            }
            if self.is(Mutant::EndWhenSeen) {
                instance.ended_at = None;
            }
        }
        all
    }

    /// Implements `TerminateInstances`.
    fn end_by_call(&mut self, id: &InstanceId, process: usize) {
        let Some(machine) = self.machines.iter().position(|machine| machine.id == *id) else { return };
        self.note(|| format!("process {process} ends machine {machine}"));
        self.watch_end(machine);
        if self.machines[machine].lives() {
            self.ends(machine, false, false, "it is ended by a call");
        }
    }
}
