//! Limits that AWS documents but its service model lacks; each with AWS's refusal.

use std::collections::BTreeMap;

use base64::Engine;

use super::weather::Override;
use super::wire::{Ask, Refusal};

/// User data before base64: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>
const USER_DATA_MAX: usize = 16_384;
/// Overrides of one instant fleet: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/fleet-quotas.html>
const OVERRIDES_MAX: usize = 300;
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
const TAGS_MAX: usize = 50;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;
/// Values of one filter: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
const FILTER_VALUES_MAX: usize = 200;

/// Returns the refusal for the first documented limit that a request exceeds.
pub(super) fn beyond(ask: &Ask) -> Option<Refusal> {
    if ask.service != "ec2" {
        return None;
    }
    let of_action = || match ask.action.as_str() {
        "CreateLaunchTemplate" => {
            template_name(ask).or_else(|| user_data(ask.get("LaunchTemplateData.UserData")))
        }
        "RunInstances" => user_data(ask.get("UserData")),
        "CreateFleet" => fleet(ask),
        "DescribeInstances" if has_ids(ask) && !ask.get("MaxResults").is_empty() => Some(Refusal::new(
            400,
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        )),
        _ => None,
    };
    tags(ask).or_else(|| filters(ask)).or_else(of_action).or_else(|| token(ask))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

fn has_ids(ask: &Ask) -> bool {
    !ask.list("InstanceId").is_empty()
}

/// Checks tags at any level: `TagSpecification.1.Tag.2.Key`, `LaunchTemplateData.TagSpecification.1.Tag.2.Key`,
/// `Tag.1.Key`.
fn tags(ask: &Ask) -> Option<Refusal> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, value) in &ask.params {
        let Some((place, rest)) = name.rsplit_once("Tag.") else { continue };
        match rest.split_once('.') {
            Some((_, "Key")) => {
                *counts.entry(place).or_default() += 1;
                if value.is_empty() || value.chars().count() > TAG_KEY_MAX {
                    return Some(invalid(format!(
                        "Tag key is empty or exceeds the maximum length of {TAG_KEY_MAX} characters"
                    )));
                }
                if value.to_ascii_lowercase().starts_with("aws:") {
                    return Some(invalid("Tag keys starting with 'aws:' are reserved for internal use"));
                }
            }
            Some((_, "Value")) if value.chars().count() > TAG_VALUE_MAX => {
                return Some(invalid(format!(
                    "Tag value exceeds the maximum length of {TAG_VALUE_MAX} characters"
                )));
            }
            _ => {}
        }
    }
    let most = counts.values().max().copied().unwrap_or_default();
    (most > TAGS_MAX).then(|| {
        let words = "You have reached the maximum number of tags allowed for a resource.";
        Refusal::new(400, "TagLimitExceeded", words)
    })
}

/// `ClientToken`: 64 ASCII characters, of a launch template 128.
fn token(ask: &Ask) -> Option<Refusal> {
    let most = if ask.action == "CreateLaunchTemplate" { 128 } else { 64 };
    let token = ask.get("ClientToken");
    (token.len() > most || !token.is_ascii())
        .then(|| invalid(format!("Client token must be at most {most} ASCII characters")))
}

fn filters(ask: &Ask) -> Option<Refusal> {
    let counts = (1..)
        .map_while(|index| ask.params.get(&format!("Filter.{index}.Name")).map(|_| index))
        .map(|index| ask.list(&format!("Filter.{index}.Value")).len());
    counts.max().filter(|most| *most > FILTER_VALUES_MAX).map(|_| {
        let words =
            format!("The maximum number of filter values specified on a single call is {FILTER_VALUES_MAX}");
        Refusal::new(400, "FilterLimitExceeded", words)
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html>
fn template_name(ask: &Ask) -> Option<Refusal> {
    let name = ask.get("LaunchTemplateName");
    let is_known = |one: char| one.is_ascii_alphanumeric() || "().-/_".contains(one);
    (!(3..=128).contains(&name.len()) || !name.chars().all(is_known)).then(|| {
        let words = format!(
            "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following \
             characters: - ( ) . / _ ({name})"
        );
        Refusal::new(400, "InvalidLaunchTemplateName.MalformedException", words)
    })
}

fn user_data(encoded: &str) -> Option<Refusal> {
    match base64::engine::general_purpose::STANDARD.decode(encoded) {
        Err(_) => {
            Some(Refusal::new(400, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data"))
        }
        Ok(raw) if raw.len() > USER_DATA_MAX => {
            Some(invalid(format!("User data is limited to {USER_DATA_MAX} bytes")))
        }
        Ok(_) => None,
    }
}

fn fleet(ask: &Ask) -> Option<Refusal> {
    let overrides = Override::placed(&ask.params).len();
    (overrides > OVERRIDES_MAX)
        .then(|| invalid(format!("{overrides} overrides, but at most {OVERRIDES_MAX} are allowed")))
}
