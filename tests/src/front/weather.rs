//! Scripted failures of AWS: refusals, errors, missing answers, late visibility.

use std::collections::BTreeMap;
use std::time::Duration;

use super::regions::Trouble;
use super::wire::Refusal;

/// Failure of one call.
#[derive(Clone, Debug)]
pub enum Weather {
    /// The whole call is refused and not carried out.
    Refuse(Refusal),
    /// A 5xx; the call is not carried out.
    ServerError(u16),
    /// A 5xx although the call was carried out.
    ServerErrorAfterDoing(u16),
    /// There is no answer, and the call is not carried out.
    Hang,
    /// There is no answer although the call was carried out.
    HangAfterDoing,
    /// The answer is delayed.
    Late(Duration),
}

/// One entry of a fleet request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `g4dn.xlarge`.
    pub instance_type: String,
    /// `us-east-1a`, if the request has one.
    pub zone: Option<String>,
    /// Subnet, if the request has one.
    pub subnet: Option<String>,
    /// `spot` or `on-demand`.
    pub market: String,
}

impl Override {
    /// True for spot capacity.
    #[must_use]
    pub fn is_spot(&self) -> bool {
        self.market == "spot"
    }

    /// The overrides in the parameters of a CreateFleet call.
    #[must_use]
    pub fn of(params: &BTreeMap<String, String>) -> Vec<Self> {
        Self::placed(params).into_iter().map(|(_, one)| one).collect()
    }

    /// The same, each with the prefix of its parameters.
    pub(super) fn placed(params: &BTreeMap<String, String>) -> Vec<(String, Self)> {
        let market = params
            .get("TargetCapacitySpecification.DefaultTargetCapacityType")
            .map_or("on-demand", String::as_str);
        let mut found: BTreeMap<(u32, u32), Self> = BTreeMap::new();
        for (key, value) in params {
            let Some((config, entry, field)) = place(key) else { continue };
            let entry = found.entry((config, entry)).or_insert_with(|| Self {
                instance_type: String::new(),
                zone: None,
                subnet: None,
                market: market.to_owned(),
            });
            match field {
                "InstanceType" => entry.instance_type.clone_from(value),
                "AvailabilityZone" => entry.zone = Some(value.clone()),
                "SubnetId" => entry.subnet = Some(value.clone()),
                _ => {}
            }
        }
        found
            .into_iter()
            .map(|((config, entry), it)| (format!("LaunchTemplateConfigs.{config}.Overrides.{entry}."), it))
            .collect()
    }
}

/// `LaunchTemplateConfigs.1.Overrides.2.InstanceType` as `(1, 2, "InstanceType")`.
fn place(key: &str) -> Option<(u32, u32, &str)> {
    let (config, rest) = key.strip_prefix("LaunchTemplateConfigs.")?.split_once('.')?;
    let (entry, field) = rest.strip_prefix("Overrides.")?.split_once('.')?;
    Some((config.parse().ok()?, entry.parse().ok()?, field))
}

/// Decides whether an override is refused, and how.
pub(super) type Refuse = Box<dyn Fn(&Override) -> Option<Refusal> + Send>;

/// Everything scripted so far.
#[derive(Default)]
pub(super) struct Sky {
    /// Action, failure, how many calls are left (`None`: unlimited).
    scripted: Vec<(String, Weather, Option<u32>)>,
    pub(super) refusals: Vec<Refuse>,
    /// Failures of regions.
    pub(super) troubles: Vec<(String, Trouble)>,
    pub(super) hidden_describes: u32,
    /// Number of further calls that do not see the launch template that they name.
    pub(super) late_templates: u32,
    pub(super) largest_price_page: Option<usize>,
}

impl Sky {
    pub(super) fn add(&mut self, action: &str, weather: Weather, times: Option<u32>) {
        self.scripted.push((action.to_owned(), weather, times));
    }

    /// Takes the failure for this call.
    pub(super) fn next(&mut self, action: &str) -> Option<Weather> {
        let index = self.scripted.iter().position(|(of, ..)| of == action)?;
        let (_, weather, left) = self.scripted.get_mut(index)?;
        let weather = weather.clone();
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.scripted.remove(index);
            }
        }
        Some(weather)
    }

    /// The first scripted refusal of a way to buy.
    pub(super) fn refusal(&self, of: &Override) -> Option<Refusal> {
        self.refusals.iter().find_map(|refuse| refuse(of))
    }
}
