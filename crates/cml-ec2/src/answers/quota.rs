//! A quota of the account, from Service Quotas.
//! <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>

use serde::Deserialize;

use super::json;

/// The answer: the needed fields.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetServiceQuota {
    quota: Quota,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Quota {
    value: Option<f64>,
}

/// Parses how many vCPUs the account may have at once; `None` when the answer has no plausible number.
///
/// # Errors
/// Reason why it cannot be parsed.
pub fn vcpus(body: &[u8]) -> Result<Option<u64>, String> {
    let answer: GetServiceQuota = json(body)?;
    Ok(answer.quota.value.filter(|value| value.is_finite() && *value >= 0.0).map(whole))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, and not below 0")]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_whole_number_or_none() {
        let of =
            |value: &str| vcpus(format!(r#"{{"Quota": {{"Value": {value}, "Unit": "None"}}}}"#).as_bytes());
        assert_eq!((of("64.0"), of("8.9"), of("0")), (Ok(Some(64)), Ok(Some(8)), Ok(Some(0))));
        assert_eq!((of("-1"), of("null"), vcpus(br#"{"Quota": {}}"#)), (Ok(None), Ok(None), Ok(None)));
        assert!(of("\"many\"").is_err() && vcpus(b"{}").is_err());
    }
}
