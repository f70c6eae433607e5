//! Calls that launch: AWS's checks that the emulator lacks, and missing capacity.

use std::collections::BTreeMap;

use super::Inner;
use super::images::{self, Image, Volume};
use super::weather::Override;
use super::wire::{Answer, Ask, Refusal, all_between, escape};

/// A requested launch template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    region: String,
    name: String,
    id: String,
    image: String,
    user_data: String,
    params: BTreeMap<String, String>,
}

impl Inner {
    /// Carries out a call that has a client token: the kept answer, or a new one that is kept.
    ///
    /// One at a time: two calls with one token at once are one call.
    pub(super) async fn launch_call(&self, ask: &Ask) -> Answer {
        let mut tokens = self.tokens.lock().await;
        if let Some(kept) = tokens.kept(ask) {
            return kept;
        }
        let answer = match ask.action.as_str() {
            "CreateLaunchTemplate" => self.create_template(ask).await,
            "CreateFleet" => self.create_fleet(ask).await,
            _ => self.run_instances(ask).await,
        };
        tokens.keep(ask, &answer);
        answer
    }

    async fn create_template(&self, ask: &Ask) -> Answer {
        let answer = self.forward(ask).await;
        let body = answer.text();
        if let (200, [id, ..]) = (answer.status, all_between(&body, "launchTemplateId").as_slice()) {
            self.templates().push(Template {
                region: ask.region.clone(),
                name: ask.get("LaunchTemplateName").to_owned(),
                id: id.clone(),
                image: ask.get("LaunchTemplateData.ImageId").to_owned(),
                user_data: ask.get("LaunchTemplateData.UserData").to_owned(),
                params: ask.params.clone(),
            });
        }
        answer
    }

    async fn run_instances(&self, ask: &Ask) -> Answer {
        let image = ask.get("ImageId");
        if !image.is_empty() && !self.image_exists(ask, image).await {
            return Refusal::no_such_image(image).answer("ec2");
        }
        let mut volumes = Vec::new();
        if let Some(image) = self.image(image) {
            if let Some(refusal) = self.other_architecture(&ask.region, &image, ask.get("InstanceType")).await
            {
                return refusal.answer("ec2");
            }
            volumes = match images::volumes(&image, &ask.params, "", &self.snapshots()) {
                Ok(volumes) => volumes,
                Err(refusal) => return refusal.answer("ec2"),
            };
        }
        let answer = self.forward(ask).await;
        self.started(ask, &answer, "instanceId", ask.get("UserData"), &volumes);
        answer
    }

    async fn create_fleet(&self, ask: &Ask) -> Answer {
        if let Some(refusal) = bad_fleet(ask) {
            return refusal.answer("ec2");
        }
        if let Some(refusal) = self.not_seen_yet(ask) {
            return refusal.answer("ec2");
        }
        let overrides = Override::placed(&ask.params);
        let template = self.template_of(ask);
        let (whole, volumes) = self.what_the_image_brings(ask, template.as_ref()).await;
        let image = template.as_ref().and_then(|template| self.image(&template.image));
        let mut refused: Vec<(String, Override, Refusal)> = Vec::new();
        for (at, one) in &overrides {
            let of_type = match &image {
                Some(image) => self.other_architecture(&ask.region, image, &one.instance_type).await,
                None => None,
            };
            let refusal = whole.clone().or(of_type).or_else(|| self.sky().refusal(one));
            refused.extend(refusal.map(|refusal| (at.clone(), one.clone(), refusal)));
        }
        if refused.is_empty() {
            let answer = self.forward(ask).await;
            self.started_fleet(ask, &answer, template.as_ref(), &volumes);
            return answer;
        }
        let errors: String =
            refused.iter().map(|(_, one, refusal)| error_item(one, refusal, template.as_ref())).collect();
        let errors = format!("<errorSet>{errors}</errorSet>");
        if refused.len() == overrides.len() {
            let children = format!(
                "<fleetId>fleet-00000000-0000-0000-0000-000000000000</fleetId>{errors}<fleetInstanceSet/>"
            );
            return Answer::ec2("CreateFleet", &children);
        }
        let mut params = ask.params.clone();
        params.retain(|key, _| !refused.iter().any(|(at, ..)| key.starts_with(at.as_str())));
        let mut answer = self.forward(&ask.with_params(renumbered(&params))).await;
        self.started_fleet(ask, &answer, template.as_ref(), &volumes);
        if answer.status == 200 {
            let body = answer.text().replace("<fleetInstanceSet>", &format!("{errors}<fleetInstanceSet>"));
            answer.body = body.into_bytes();
        }
        answer
    }

    /// Returns AWS's refusal of a launch template that was just created: it is not visible everywhere at once.
    fn not_seen_yet(&self, ask: &Ask) -> Option<Refusal> {
        let mut sky = self.sky();
        sky.late_templates = sky.late_templates.checked_sub(1)?;
        let field =
            |name: &str| ask.get(&format!("LaunchTemplateConfigs.1.LaunchTemplateSpecification.{name}"));
        let (name, id) = (field("LaunchTemplateName"), field("LaunchTemplateId"));
        Some(if id.is_empty() {
            let words = format!("The specified launch template, with template name {name}, does not exist.");
            Refusal::new(400, "InvalidLaunchTemplateName.NotFoundException", words)
        } else {
            let words = format!("The specified launch template, with template ID {id}, does not exist.");
            Refusal::new(400, "InvalidLaunchTemplateId.NotFound", words)
        })
    }

    /// Returns why nothing of this template can be launched, and the volumes of its machines. AWS repeats the error for
    /// every override.
    async fn what_the_image_brings(
        &self,
        ask: &Ask,
        template: Option<&Template>,
    ) -> (Option<Refusal>, Vec<Volume>) {
        let Some(template) = template.filter(|template| !template.image.is_empty()) else {
            return (None, Vec::new());
        };
        if !self.image_exists(ask, &template.image).await {
            return (Some(Refusal::no_such_image(&template.image)), Vec::new());
        }
        let of_image = |image: Image| {
            images::volumes(&image, &template.params, "LaunchTemplateData.", &self.snapshots())
        };
        match self.image(&template.image).map(of_image) {
            None => (None, Vec::new()),
            Some(Ok(volumes)) => (None, volumes),
            Some(Err(refusal)) => (Some(refusal), Vec::new()),
        }
    }

    fn started_fleet(&self, ask: &Ask, answer: &Answer, template: Option<&Template>, volumes: &[Volume]) {
        let sets = all_between(&answer.text(), "instanceIds").concat();
        let inner = Answer { body: sets.into_bytes(), ..answer.clone() };
        self.started(
            ask,
            &inner,
            "item",
            template.map_or("", |template| template.user_data.as_str()),
            volumes,
        );
    }

    /// Records the machines of an answer, and boots them if the test requires that.
    fn started(&self, ask: &Ask, answer: &Answer, tag: &str, user_data: &str, volumes: &[Volume]) {
        if answer.status != 200 {
            return;
        }
        for id in all_between(&answer.text(), tag) {
            self.made_volumes().insert(id.clone(), volumes.to_vec());
            self.boot(&ask.region, &id, user_data);
        }
    }

    fn template_of(&self, ask: &Ask) -> Option<Template> {
        let named = |field: &str| {
            ask.get(&format!("LaunchTemplateConfigs.1.LaunchTemplateSpecification.{field}")).to_owned()
        };
        let (name, id) = (named("LaunchTemplateName"), named("LaunchTemplateId"));
        let templates = self.templates();
        templates
            .iter()
            .rev()
            .find(|template| template.region == ask.region && (template.name == name || template.id == id))
            .cloned()
    }

    async fn image_exists(&self, ask: &Ask, image: &str) -> bool {
        if self.image(image).is_some() || self.known_images().contains(image) {
            return true;
        }
        let params = [("Action", "DescribeImages"), ("Version", "2016-11-15"), ("ImageId.1", image)];
        let params = params.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let found = self.forward(&ask.with_params(params)).await.status == 200;
        if found {
            self.known_images().insert(image.to_owned());
        }
        found
    }
}

/// Returns AWS's refusal of a fleet request as a whole.
fn bad_fleet(ask: &Ask) -> Option<Refusal> {
    let invalid = |message: String| Some(Refusal::new(400, "InvalidParameterValue", message));
    let spot = ask.get("SpotOptions.AllocationStrategy");
    let spot_known = [
        "",
        "lowest-price",
        "diversified",
        "capacity-optimized",
        "capacity-optimized-prioritized",
        "price-capacity-optimized",
    ];
    if !spot_known.contains(&spot) {
        return invalid(format!("Invalid value '{spot}' for SpotOptions.AllocationStrategy"));
    }
    let on_demand = ask.get("OnDemandOptions.AllocationStrategy");
    if !["", "lowest-price", "prioritized"].contains(&on_demand) {
        return invalid(format!("Invalid value '{on_demand}' for OnDemandOptions.AllocationStrategy"));
    }
    None
}

fn error_item(one: &Override, refusal: &Refusal, template: Option<&Template>) -> String {
    let optional = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("<{name}>{value}</{name}>")).unwrap_or_default()
    };
    let specification = template.map_or_else(String::new, |template| {
        format!(
            "<launchTemplateSpecification><launchTemplateId>{}</launchTemplateId><version>1</version>\
             </launchTemplateSpecification>",
            template.id
        )
    });
    format!(
        "<item><launchTemplateAndOverrides>{specification}<overrides><instanceType>{}</instanceType>{}{}</overrides>\
         </launchTemplateAndOverrides><lifecycle>{}</lifecycle><errorCode>{}</errorCode>\
         <errorMessage>{}</errorMessage></item>",
        one.instance_type,
        optional("availabilityZone", &one.zone),
        optional("subnetId", &one.subnet),
        one.market,
        refusal.code,
        escape(&refusal.message),
    )
}

/// Renumbers overrides: the emulator requires numbers without gaps.
fn renumbered(params: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut numbers: Vec<(String, u32, u32)> = Vec::new();
    let mut entries: Vec<(String, u32)> =
        params.keys().filter_map(|key| numbered(key)).map(|(head, n, _)| (head, n)).collect();
    entries.sort();
    entries.dedup();
    for (head, old) in entries {
        let new =
            1 + u32::try_from(numbers.iter().filter(|(of, ..)| *of == head).count()).unwrap_or_default();
        numbers.push((head, old, new));
    }
    params
        .iter()
        .map(|(key, value)| {
            let new_key = numbered(key).and_then(|(head, old, tail)| {
                let (_, _, new) = numbers.iter().find(|(of, number, _)| *of == head && *number == old)?;
                Some(format!("{head}{new}.{tail}"))
            });
            (new_key.unwrap_or_else(|| key.clone()), value.clone())
        })
        .collect()
}

/// `LaunchTemplateConfigs.1.Overrides.7.InstanceType` as head, number and tail.
fn numbered(key: &str) -> Option<(String, u32, &str)> {
    let (head, rest) = key.split_once(".Overrides.")?;
    let (number, tail) = rest.split_once('.')?;
    Some((format!("{head}.Overrides."), number.parse().ok()?, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_that_are_left_are_numbered_without_gaps() {
        let key = |n: u32| format!("LaunchTemplateConfigs.1.Overrides.{n}.InstanceType");
        let params = [(key(2), "a".to_owned()), (key(10), "b".to_owned())].into_iter().collect();
        let wanted = [(key(1), "a".to_owned()), (key(2), "b".to_owned())].into_iter().collect();
        assert_eq!(renumbered(&params), wanted);
    }
}
