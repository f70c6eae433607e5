//! The launch: one `CreateFleet` of type `instant` over all offers.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instant-fleet.html>

use std::time::Duration;

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    CreateFleetError, DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest,
    FleetLaunchTemplateOverrides, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceType,
    OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotInstanceInterruptionBehavior,
    SpotOptionsRequest, TagSpecification, TargetCapacitySpecificationRequest,
};
use cml_cloud::{
    CloudError, ErrorKind, Instance, InstanceFilter, InstanceId, LaunchRequest, Launched, Market, MayBuy,
    Offer, OfferFailure,
};

use crate::cloud::AwsCloud;
use crate::disks;
use crate::errors::codes::{self, is_gone, is_taken, is_unknown_template};
use crate::errors::{failed, hint_for, in_region, readable};
use crate::network::{NetworkPlacement, Subnet};
use crate::template;
use cml_ec2::answers::instance;

/// Maximum number of overrides in one instant fleet, by EC2's limit.
const OVERRIDES_MAX: usize = 300;
/// EC2's limit for user data before base64.
const USER_DATA_MAX_BYTES: usize = 16_384;
/// Suffix of the second version of an attempt: cached facts were wrong, and the call is another one.
pub(crate) const AGAIN: &str = "-again";
/// Number of checks for a machine that must exist.
const LOOKS: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_millis(1500);
/// Pauses for EC2 to know a template that was just created.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
const TEMPLATE_PAUSES: [Duration; 4] = [
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
    Duration::from_millis(3200),
];

impl AwsCloud {
    pub(crate) async fn buy(
        &self,
        request: &LaunchRequest,
        may_buy: MayBuy<'_>,
    ) -> Result<Launched, CloudError> {
        let bought = self.buy_there(request, may_buy).await;
        let region = request.offers.first().map_or("", |offer| offer.region.as_str());
        bought.map_err(|error| in_region(region, error))
    }

    async fn buy_there(&self, request: &LaunchRequest, may_buy: MayBuy<'_>) -> Result<Launched, CloudError> {
        let Some(first) = request.offers.first() else {
            return Err(CloudError::new(ErrorKind::Invalid, "launching", "there is no offer to buy from"));
        };
        must_be_alike(request)?;
        if request.user_data.expose().len() > USER_DATA_MAX_BYTES {
            return Err(CloudError::new(
                ErrorKind::Invalid,
                "launching",
                format!(
                    "user data of {} bytes, EC2 takes {USER_DATA_MAX_BYTES}",
                    request.user_data.expose().len()
                ),
            )
            .hint("make the startup script smaller: let it download the rest"));
        }
        if self.asked_again.contains(request) {
            return self
                .try_version(request, first, AGAIN, may_buy)
                .await
                .map_err(|missed| may_pass(missed.into_error()));
        }
        let region = first.region.as_str();
        match self.try_version(request, first, "", may_buy).await {
            Ok(launched) => return Ok(launched),
            Err(AttemptError::Other(error)) => return Err(error),
            Err(AttemptError::Gone(error)) => {
                tracing::info!(%error, "something remembered from an earlier launch is gone, asking AWS again");
                self.forget_image(region, &request.image, first.resources.arch, first.driver);
                self.forget_landing(region, &request.network);
            }
            // The registration in that template is invalid by now; its machine, if it was bought, belongs to this
            // launch.
            Err(AttemptError::TemplateTaken(error)) => {
                tracing::info!(%error, "an earlier life of this launch left a template");
                if let Some(instance) = self.machine_of(request, region, LOOKS).await? {
                    return Ok(launched_before(request, first, instance));
                }
            }
        }
        // The next call is another one, so it gets another token: the first has bought nothing.
        self.remove_template(region, &template::name(request, "")).await?;
        self.asked_again.add(request);
        self.try_version(request, first, AGAIN, may_buy).await.map_err(|missed| may_pass(missed.into_error()))
    }

    async fn try_version(
        &self,
        request: &LaunchRequest,
        first: &Offer,
        version: &str,
        may_buy: MayBuy<'_>,
    ) -> Result<Launched, AttemptError> {
        let region = first.region.as_str();
        let (image, landing) = tokio::try_join!(
            self.image(region, &request.image, first.resources.arch, first.driver),
            self.landing(region, &request.network)
        )
        .map_err(AttemptError::Other)?;
        let disks = disks::planned(&image, request.disk_gib).map_err(AttemptError::Other)?;
        wanted(may_buy).map_err(AttemptError::Other)?;
        let made = self.make_template(request, region, version, &image, &disks, &landing.group).await;
        made.map_err(|error| match error.code.as_deref() {
            Some(code) if is_taken(code) => AttemptError::TemplateTaken(error),
            Some(code) if is_gone(code) => AttemptError::Gone(error),
            _ => AttemptError::Other(error),
        })?;
        match self.create_fleet_once_known(request, (region, version), &landing, may_buy).await {
            Err(error) if error.code.as_deref().is_some_and(is_taken) => {
                self.earlier_life(request, first, error).await.map_err(AttemptError::Other)
            }
            Err(error) if all_are(&error, is_gone) => Err(AttemptError::Gone(error)),
            // A fleet that has answered returns the same answer for the same token: another template and another token
            // are needed.
            Err(error) if all_are(&error, is_unknown_template) => Err(AttemptError::Gone(error)),
            result => result.map_err(AttemptError::Other),
        }
    }

    /// Creates the fleet, once EC2 knows its template. For some moments after the template's creation EC2 may refuse
    /// the call; the same call with the same token is then repeated.
    async fn create_fleet_once_known(
        &self,
        request: &LaunchRequest,
        (region, version): (&str, &str),
        landing: &NetworkPlacement,
        may_buy: MayBuy<'_>,
    ) -> Result<Launched, CloudError> {
        for pause in TEMPLATE_PAUSES {
            wanted(may_buy)?;
            match self.create_fleet(request, region, version, landing).await {
                Err(error)
                    if error.failures.is_empty()
                        && error.code.as_deref().is_some_and(is_unknown_template) =>
                {
                    tracing::debug!(%error, "EC2 does not know the template yet");
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        wanted(may_buy)?;
        self.create_fleet(request, region, version, landing).await
    }

    /// Finds the machine of an earlier process: the token was used for another fleet, with the same launch id.
    async fn earlier_life(
        &self,
        request: &LaunchRequest,
        first: &Offer,
        error: CloudError,
    ) -> Result<Launched, CloudError> {
        match self.machine_of(request, &first.region, LOOKS).await? {
            Some(instance) => Ok(launched_before(request, first, instance)),
            None => Err(CloudError { kind: ErrorKind::Invalid, ..error }.hint(
                "this launch id was used before for another launch: choose another one, or leave --launch-id out",
            )),
        }
    }

    async fn machine_of(
        &self,
        request: &LaunchRequest,
        region: &str,
        looks: u32,
    ) -> Result<Option<Instance>, CloudError> {
        let filter = InstanceFilter {
            regions: vec![region.to_owned()],
            launch: Some(request.launch),
            ..InstanceFilter::default()
        };
        for look in 1..=looks {
            let found = self.list(&filter).await?.into_whole()?;
            if let Some(found) = found.into_iter().find(Instance::is_alive) {
                return Ok(Some(found));
            }
            if look < looks {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(None)
    }

    async fn create_fleet(
        &self,
        request: &LaunchRequest,
        region: &str,
        version: &str,
        landing: &NetworkPlacement,
    ) -> Result<Launched, CloudError> {
        let doing = format!("launching in {region}");
        let market = request.offers.first().map_or(Market::Spot, |offer| offer.market);
        let spec = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_name(template::name(request, version))
            .version("1")
            .build();
        let config = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(spec)
            .set_overrides(Some(overrides(request, landing)))
            .build();
        let default = match market {
            Market::Spot => DefaultTargetCapacityType::Spot,
            Market::OnDemand => DefaultTargetCapacityType::OnDemand,
        };
        let capacity = TargetCapacitySpecificationRequest::builder()
            .total_target_capacity(1)
            .default_target_capacity_type(default)
            .build();
        let call = self.clients.ec2(region).create_fleet();
        let call =
            call.r#type(FleetType::Instant).client_token(format!("{}{version}", request.client_token()));
        let call = call.launch_template_configs(config).target_capacity_specification(capacity);
        // In this call and not in the template, so that a policy can require the tag for every call that buys machines.
        // Only instant fleets tag instances here.
        // <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html>
        let tagged = |kind| {
            let tags = Some(template::tags(request));
            TagSpecification::builder().resource_type(kind).set_tags(tags).build()
        };
        let call = [ResourceType::Fleet, ResourceType::Instance]
            .into_iter()
            .fold(call, |call, kind| call.tag_specifications(tagged(kind)));
        let call = match market {
            Market::Spot => call.spot_options(
                SpotOptionsRequest::builder()
                    .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
                    .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
                    .build(),
            ),
            Market::OnDemand => call.on_demand_options(
                OnDemandOptionsRequest::builder()
                    .allocation_strategy(FleetOnDemandAllocationStrategy::LowestPrice)
                    .build(),
            ),
        };
        let answer = call.send().await.map_err(|error| failed(&doing, "ec2:CreateFleet", &error))?;
        bought(request, &doing, &answer, landing)
    }
}

/// Checks that the machine is still wanted.
fn wanted(may_buy: MayBuy<'_>) -> Result<(), CloudError> {
    if may_buy() {
        return Ok(());
    }
    Err(CloudError::new(ErrorKind::Invalid, "launching", "stopped by a signal before anything was bought"))
}

/// Reason why a version of an attempt bought nothing.
enum AttemptError {
    /// A cached image, subnet or group no longer exists.
    Gone(CloudError),
    /// The template's name or token is in use for something else: an earlier process used this launch id.
    TemplateTaken(CloudError),
    Other(CloudError),
}

impl AttemptError {
    fn into_error(self) -> CloudError {
        match self {
            Self::Gone(error) | Self::TemplateTaken(error) | Self::Other(error) => error,
        }
    }
}

/// Makes an error transient: a template that EC2 does not know yet is no fault of the request.
fn may_pass(error: CloudError) -> CloudError {
    if all_are(&error, is_unknown_template) {
        return CloudError { kind: ErrorKind::Transient, ..error };
    }
    error
}

fn launched_before(request: &LaunchRequest, first: &Offer, instance: Instance) -> Launched {
    let same = |offer: &&Offer| offer.instance_type == instance.instance_type && offer.zone == instance.zone;
    let offer = request.offers.iter().find(same).unwrap_or(first).clone();
    Launched { id: instance.id, offer, failures: Vec::new() }
}

/// Checks that the offers are alike in everything that image, script and price depend on: one call boots one image in
/// one place.
fn must_be_alike(request: &LaunchRequest) -> Result<(), CloudError> {
    let kind = |offer: &Offer| (offer.region.clone(), offer.market, offer.resources.arch, offer.driver);
    let mut kinds = request.offers.iter().map(kind);
    let first = kinds.next();
    if kinds.all(|other| Some(&other) == first.as_ref()) {
        return Ok(());
    }
    Err(CloudError::new(
        ErrorKind::Invalid,
        "launching",
        "the offers of one call differ in region, market, architecture or driver",
    )
    .hint("this is a bug of cml-runner: please report it"))
}

/// Returns whether the call failed for this reason, as a whole or for every offer.
fn all_are(error: &CloudError, is: fn(&str) -> bool) -> bool {
    let itself = error.failures.is_empty() && error.code.as_deref().is_some_and(is);
    itself || (!error.failures.is_empty() && error.failures.iter().all(|failure| is(&failure.code)))
}

fn overrides(
    request: &LaunchRequest,
    landing: &NetworkPlacement,
) -> Vec<FleetLaunchTemplateOverridesRequest> {
    let limit = request.spot_price_max.filter(|_| request.offers.iter().all(|it| it.market == Market::Spot));
    let mut all = Vec::new();
    for offer in &request.offers {
        let here = |subnet: &&Subnet| offer.zone.as_ref().is_none_or(|zone| *zone == subnet.zone);
        for subnet in landing.subnets.iter().filter(here) {
            all.push(
                FleetLaunchTemplateOverridesRequest::builder()
                    .instance_type(InstanceType::from(offer.instance_type.as_str()))
                    .subnet_id(&subnet.id)
                    .set_max_price(limit.map(|price| price.0.to_string()))
                    .build(),
            );
        }
    }
    all.truncate(OVERRIDES_MAX);
    all
}

/// Parses the answer: a machine, or the reasons inside the 200.
fn bought(
    request: &LaunchRequest,
    doing: &str,
    answer: &CreateFleetOutput,
    landing: &NetworkPlacement,
) -> Result<Launched, CloudError> {
    let failures: Vec<OfferFailure> =
        answer.errors().iter().map(|error| refusal(request, error, landing)).collect();
    let made = answer.instances().iter().find_map(|set| Some((set, set.instance_ids().first()?)));
    let Some((set, id)) = made else { return Err(nothing_bought(doing, failures)) };
    if !instance::is_id(id) {
        // The SDK parses a truncated answer as a complete one.
        return Err(CloudError::new(
            ErrorKind::Transient,
            doing,
            format!("the answer was cut off (instance id {id:?})"),
        ));
    }
    let way = set.launch_template_and_overrides().and_then(|it| it.overrides());
    let mut offer = way.and_then(|way| offer_of(request, way, landing)).or(request.offers.first()).cloned();
    if let (Some(offer), Some(kind)) = (&mut offer, set.instance_type())
        && offer.instance_type != kind.as_str()
        && let Some(same) = request.offers.iter().find(|it| it.instance_type == kind.as_str())
    {
        offer.clone_from(same);
    }
    let offer =
        offer.ok_or_else(|| CloudError::new(ErrorKind::Invalid, doing, "there is no offer to buy from"))?;
    Ok(Launched { id: InstanceId(id.clone()), offer, failures })
}

fn offer_of<'a>(
    request: &'a LaunchRequest,
    way: &FleetLaunchTemplateOverrides,
    landing: &NetworkPlacement,
) -> Option<&'a Offer> {
    let by_subnet = way.subnet_id().and_then(|id| landing.subnets.iter().find(|subnet| subnet.id == id));
    let zone = by_subnet.map(|subnet| subnet.zone.as_str()).or(way.availability_zone());
    let kind = way.instance_type()?.as_str();
    let same_type = |offer: &&Offer| offer.instance_type == kind;
    let same_zone = |offer: &&Offer| zone.is_none() || offer.zone.as_deref() == zone;
    let offers = || request.offers.iter().filter(same_type);
    offers().find(same_zone).or_else(|| offers().next())
}

fn refusal(request: &LaunchRequest, error: &CreateFleetError, landing: &NetworkPlacement) -> OfferFailure {
    let code = error.error_code().unwrap_or("Unknown");
    let way = error.launch_template_and_overrides().and_then(|it| it.overrides());
    let offer = way.and_then(|way| offer_of(request, way, landing)).cloned();
    failure(offer, code, error.error_message().unwrap_or_default())
}

fn failure(offer: Option<Offer>, code: &str, message: &str) -> OfferFailure {
    let message = readable(message);
    let (kind, hint) = if codes::is_foreign_image(code, &message) {
        (ErrorKind::Invalid, Some(codes::FOREIGN_IMAGE))
    } else {
        (codes::kind_in_fleet(code), codes::advice(code))
    };
    OfferFailure { offer, kind, code: code.to_owned(), message, hint: hint.map(str::to_owned) }
}

/// Combines the refusals: the one that the user can act on is returned, unless another offer may succeed later.
fn nothing_bought(doing: &str, mut failures: Vec<OfferFailure>) -> CloudError {
    let is_empty = |failure: &OfferFailure| codes::says_only_that_nothing_was_bought(&failure.code);
    if !failures.iter().all(is_empty) {
        failures.retain(|failure| !is_empty(failure));
    }
    let has = |kind| failures.iter().any(|failure| failure.kind == kind);
    // A policy may forbid one type of several: the other reasons are more informative.
    let order = [
        ErrorKind::Transient,
        ErrorKind::Throttled,
        ErrorKind::Capacity,
        ErrorKind::Quota,
        ErrorKind::Invalid,
        ErrorKind::Denied,
    ];
    // Without any reason: the kind that AWS reports when it has no machine.
    let kind = order.into_iter().find(|kind| has(*kind)).unwrap_or(ErrorKind::Capacity);
    let told = failures.iter().find(|failure| failure.kind == kind);
    let code = told.map_or("UnfulfillableCapacity", |failure| failure.code.as_str()).to_owned();
    let cause = match told {
        Some(failure) => {
            format!("{}: {} ({} ways to buy refused)", failure.code, failure.message, failures.len())
        }
        None => "AWS launched nothing and gave no reason".to_owned(),
    };
    let words = told.map_or("", |failure| failure.message.as_str());
    let hint = match told {
        Some(OfferFailure { hint: Some(hint), .. }) => hint.clone(),
        _ => hint_for(kind, &code, words, "ec2:CreateFleet"),
    };
    CloudError::new(kind, doing, cause).code(code).hint(hint).failures(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(codes: &[&str]) -> (ErrorKind, String) {
        let failures = codes.iter().map(|code| failure(None, code, "words")).collect();
        let error = nothing_bought("launching", failures);
        (error.kind, error.hint.unwrap_or_default())
    }

    /// aws/karpenter-provider-aws#5283 contains such an answer.
    #[test]
    fn that_nothing_was_bought_does_not_hide_why() {
        let (kind, hint) = kind_of(&["UnfulfillableCapacity", "InvalidBlockDeviceMapping"]);
        assert_eq!(kind, ErrorKind::Invalid);
        assert!(hint.contains("--disk"), "{hint}");
        let (kind, _) = kind_of(&["VcpuLimitExceeded", "UnfulfillableCapacity"]);
        assert_eq!(kind, ErrorKind::Quota);
        let (kind, _) = kind_of(&["UnfulfillableCapacity"]);
        assert_eq!(kind, ErrorKind::Capacity);
    }

    #[test]
    fn credentials_are_at_fault_only_where_every_way_to_buy_is_denied() {
        assert_eq!(kind_of(&["UnauthorizedOperation", "UnauthorizedOperation"]).0, ErrorKind::Denied);
        let (kind, _) = kind_of(&["UnauthorizedOperation", "InsufficientInstanceCapacity"]);
        assert_eq!(kind, ErrorKind::Capacity);
    }

    #[test]
    fn an_image_of_somebody_elses_is_no_fault_of_the_credentials() {
        let failure = failure(None, "AuthFailure", "Not authorized for images: [ami-0123456789abcdef0]");
        assert_eq!(failure.kind, ErrorKind::Invalid);
        assert!(failure.hint.is_some_and(|hint| hint.contains("--image")));
    }
}
