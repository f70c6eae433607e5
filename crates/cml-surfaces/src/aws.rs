//! Answers of AWS, or of any other server at its address.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_cloud::{Deadline, UsdPerGibMonth, UsdPerHour, tag};
use cml_ec2::answers::cost_explorer::{self, BilledBy};
use cml_ec2::answers::instance::{self, Tags};
use cml_ec2::answers::parameter::{self, Held};
use cml_ec2::answers::{policy_simulation, prices, quota, refusal};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;

use crate::github::split;

/// The longest message about an answer, characters: a sentence, and the longest name that AWS gives to a resource.
const TOLD_MAX: usize = 2_200;

/// Parses a body, or a text within one, as every answer that is read here.
pub(crate) fn answer(bytes: &[u8]) {
    refused(bytes);
    bill(bytes);
    list_prices(bytes);
    let text = String::from_utf8_lossy(bytes);
    // A page of the price list contains its products as texts.
    list_prices(json!({"PriceList": [text]}).to_string().as_bytes());
    permissions(bytes);
    match parameter::read(bytes) {
        Ok(Held::Image(told) | Held::Other(told)) | Err(told) => bounded(&told),
    }
    if let Err(why) = quota::vcpus(bytes) {
        bounded(&why);
    }
    if let Some(price) = prices::spot(&text) {
        assert!(serde_json::to_string(&price).is_ok(), "{price} cannot be kept");
    }
    machine(&text);
    assert_eq!(instance::console(&STANDARD.encode(bytes)), text, "the console is another text");
}

fn bounded(told: &str) {
    assert!(told.chars().count() <= TOLD_MAX, "{} bytes are told of an answer", told.len());
}

/// Parses a refusal by its body alone, and by a header, the first line, and the rest.
fn refused(bytes: &[u8]) {
    let (header, body) = split(bytes);
    let header = String::from_utf8_lossy(header);
    for refusal in [refusal::read(None, bytes), refusal::read(Some(&header), body)] {
        if let Some(code) = &refusal.code {
            assert!(!code.is_empty() && !code.contains(['#', ':']), "{code:?} is no code");
        }
        refusal.code.iter().chain(&refusal.message).for_each(|told| bounded(told));
    }
}

fn bill(bytes: &[u8]) {
    for by in [BilledBy::Launch, BilledBy::Spec] {
        match cost_explorer::read(bytes, by) {
            Ok(page) => {
                let _: Decimal = page.items.iter().map(|line| line.cost.0).sum();
                assert!(page.items.iter().all(|line| line.tagged.as_deref() != Some("")), "{page:?}");
            }
            Err(why) => bounded(&why),
        }
    }
}

fn list_prices(bytes: &[u8]) {
    let mut products = match prices::listed(bytes) {
        Ok(page) => page.items,
        Err(why) => return bounded(&why),
    };
    for unit in ["Hrs", "GB-Mo"] {
        match prices::in_force(&products, unit) {
            Ok(Some((_, price))) => {
                assert!(price > Decimal::ZERO, "{price}");
                let kept = (UsdPerHour(price), UsdPerGibMonth(price));
                assert!(serde_json::to_string(&kept).is_ok(), "{price} cannot be kept");
            }
            Ok(None) => {}
            Err(why) => bounded(&why),
        }
    }
    products.retain(|product| product.is_plain_machine("g5.xlarge"));
}

fn permissions(bytes: &[u8]) {
    match policy_simulation::read(bytes) {
        Ok(page) => page.items.iter().filter_map(|one| one.refusal.as_deref()).for_each(bounded),
        Err(why) => bounded(&why),
    }
}

/// Parses EC2's facts about a machine: its id, its tags, and the time of its end.
fn machine(text: &str) {
    if instance::is_id(text) {
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{text:?}");
    }
    if let Some(at) = instance::transition_time(text) {
        let again = format!("again ({} GMT)", at.to_string().trim_end_matches('Z').replacen('T', " ", 1));
        assert_eq!(instance::transition_time(&again), Some(at), "{again}");
    }
    let tags = Tags::of(|_| Some(text));
    // Before 1970 there were no machines.
    let deadline = tags.deadline.filter(|at| !at.passed(Timestamp::UNIX_EPOCH));
    let written = (tags.launch.map(|id| id.to_string()), deadline.map(|at| at.to_string()));
    let again = Tags::of(|key| match key {
        tag::LAUNCH => written.0.as_deref(),
        tag::DEADLINE => written.1.as_deref(),
        _ => None,
    });
    assert_eq!(again.launch, tags.launch);
    let seconds = |at: Option<Deadline>| at.map(|at| at.epoch_seconds());
    assert_eq!(seconds(again.deadline), seconds(deadline), "{written:?}");
}
