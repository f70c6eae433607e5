//! Listing and termination of instances.

use std::time::Duration;

use aws_sdk_ec2::types::{Filter, Instance as Ec2Instance, InstanceLifecycleType, InstanceStateName};
use cml_cloud::{
    ByRegion, CloudError, ErrorKind, Instance, InstanceFilter, InstanceId, InstanceState, Market, tag,
};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::{codes, failed, in_region};
use cml_ec2::answers::instance::{self, Tags};
use cml_ec2::regions;

/// Page size of the list; EC2's maximum.
const PAGE: i32 = 1000;
/// Maximum number of values of one filter; EC2 refuses more.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
const FILTER_VALUES_MAX: usize = 200;
/// Number of checks for a machine that AWS does not know: it may be too young, as calls see it some seconds after its
/// launch. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/query-api-troubleshooting.html#eventual-consistency>
const UNKNOWN_LOOKS: u32 = 6;
const UNKNOWN_LOOK_EVERY: Duration = Duration::from_secs(2);

fn must_be_instance_id(doing: &str, id: &InstanceId) -> Result<(), CloudError> {
    if instance::is_id(&id.0) {
        return Ok(());
    }
    Err(CloudError::new(ErrorKind::Invalid, doing, format!("{:?} is no instance id", id.0))
        .hint("`cml-runner ls` shows the ids; they look like i-0123456789abcdef0"))
}

impl AwsCloud {
    /// Returns the regions that a filter names, or the default one.
    pub(crate) fn regions_of(&self, filter: &InstanceFilter) -> Result<Vec<String>, CloudError> {
        let mut regions = Vec::new();
        for name in &filter.regions {
            let region = regions::place(name)?.region;
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        if regions.is_empty() {
            regions.push(self.clients.default_region.clone());
        }
        Ok(regions)
    }

    pub(crate) async fn list(&self, filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        let regions = self.regions_of(filter)?;
        let asked = regions.iter().map(|region| self.list_all_of(region, filter));
        let mut all = ByRegion::default();
        for (region, answer) in regions.iter().zip(join_all(asked).await) {
            all.add(region, answer.map_err(|error| in_region(region, error)));
        }
        Ok(all)
    }

    async fn list_all_of(&self, region: &str, filter: &InstanceFilter) -> Result<Vec<Instance>, CloudError> {
        if filter.ids.is_empty() {
            return self.list_region(region, filter).await;
        }
        let mut all = Vec::new();
        for ids in filter.ids.chunks(FILTER_VALUES_MAX) {
            let some = InstanceFilter { ids: ids.to_vec(), ..filter.clone() };
            all.extend(self.list_region(region, &some).await?);
        }
        Ok(all)
    }

    async fn list_region(&self, region: &str, filter: &InstanceFilter) -> Result<Vec<Instance>, CloudError> {
        let doing = format!("listing instances in {region}");
        let by = |name: String, value: &str| Filter::builder().name(name).values(value).build();
        let mut filters = vec![match &filter.launch {
            Some(launch) => by(format!("tag:{}", tag::LAUNCH), &launch.to_string()),
            // As a filter, not as a parameter: an id that AWS does not know is no error then.
            None if !filter.ids.is_empty() => {
                let ids = filter.ids.iter().map(|id| id.0.clone()).collect();
                Filter::builder().name("instance-id").set_values(Some(ids)).build()
            }
            None => by("tag-key".to_owned(), tag::LAUNCH),
        }];
        filters.extend(filter.owner.as_ref().map(|owner| by(format!("tag:{}", tag::OWNER), owner)));
        let client = self.clients.ec2(region);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = repeat(|| async {
                let call = client.describe_instances().set_filters(Some(filters.clone())).max_results(PAGE);
                let sent = call.set_next_token(next.clone()).send().await;
                sent.map_err(|error| failed(&doing, "ec2:DescribeInstances", &error))
            })
            .await?;
            let instances = answer.reservations().iter().flat_map(|it| it.instances());
            found.extend(instances.filter_map(|it| read(region, it)));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn end(&self, region: &str, id: &InstanceId) -> Result<(), CloudError> {
        let doing = format!("ending {id} in {region}");
        must_be_instance_id(&doing, id)?;
        let client = self.clients.ec2(region);
        for _ in 0..UNKNOWN_LOOKS {
            let ended = repeat(|| async {
                let call = client.terminate_instances().instance_ids(&id.0);
                call.send().await.map_err(|error| failed(&doing, "ec2:TerminateInstances", &error))
            })
            .await;
            match ended {
                Ok(_) => return Ok(()),
                Err(error) if error.code.as_deref().is_some_and(codes::is_unknown_instance) => {
                    tokio::time::sleep(UNKNOWN_LOOK_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
        // Terminated more than an hour ago: AWS does not list it any more.
        Ok(())
    }

    pub(crate) fn check_instance_id(doing: &str, id: &InstanceId) -> Result<(), CloudError> {
        must_be_instance_id(doing, id)
    }
}

/// Converts one instance; `None` for an incomplete one.
fn read(region: &str, it: &Ec2Instance) -> Option<Instance> {
    let id = it.instance_id().filter(|id| instance::is_id(id))?;
    let tags =
        Tags::of(|key| it.tags().iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value()));
    let state = match it.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::ShuttingDown | InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        // An unknown state counts as one that costs.
        _ => InstanceState::Running,
    };
    let is_spot = it.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
    let started_at = it.launch_time().and_then(|at| Timestamp::from_second(at.secs()).ok());
    let reason = it.state_reason().and_then(|reason| reason.message()).or(it.state_transition_reason());
    Some(Instance {
        id: InstanceId(id.to_owned()),
        launch: tags.launch,
        spec: tags.spec,
        state,
        region: region.to_owned(),
        zone: it.placement().and_then(|place| place.availability_zone()).map(str::to_owned),
        instance_type: it.instance_type().map_or("?", |kind| kind.as_str()).to_owned(),
        market: if is_spot { Market::Spot } else { Market::OnDemand },
        started_at: started_at.unwrap_or(Timestamp::UNIX_EPOCH),
        ended_at: it.state_transition_reason().and_then(instance::transition_time),
        deadline: tags.deadline,
        owner: tags.owner,
        controller: tags.controller,
        runner_name: tags.runner,
        ended_because: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
        is_interrupted: it
            .state_reason()
            .and_then(|reason| reason.code())
            .is_some_and(codes::is_interruption),
    })
}
