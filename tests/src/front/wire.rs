//! AWS's wire format: query and JSON requests, answers and errors.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, Response, header};
use url::form_urlencoded;

/// One request to AWS.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `ec2`, `ssm`, …: from the signature's scope.
    pub service: String,
    /// `us-east-1`: from the signature's scope.
    pub region: String,
    /// `CreateFleet`.
    pub action: String,
    /// The flat parameters as EC2's query protocol has them; of a JSON request its top-level strings.
    pub params: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn read(headers: HeaderMap, body: Vec<u8>) -> Self {
        let scope = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.split_once("Credential=")?.1.split_once(','))
            .map_or_else(Vec::new, |(scope, _)| scope.split('/').map(str::to_owned).collect());
        let part = |index: usize| scope.get(index).cloned().unwrap_or_default();
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let (action, params) = match target {
            Some(target) => (target.rsplit('.').next().unwrap_or_default().to_owned(), json_strings(&body)),
            None => {
                let params: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
                (params.get("Action").cloned().unwrap_or_default(), params)
            }
        };
        Self { service: part(3), region: part(2), action, params, headers, body }
    }

    /// The values of `NAME.1`, `NAME.2`, ….
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        (1..).map_while(|index| self.params.get(&format!("{name}.{index}")).cloned()).collect()
    }

    /// A parameter, or nothing.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// The same request with other parameters.
    pub(super) fn with_params(&self, params: BTreeMap<String, String>) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&params);
        Self { body: form.finish().into_bytes(), params, ..self.clone() }
    }
}

fn json_strings(body: &[u8]) -> BTreeMap<String, String> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let fields = value.as_object().cloned().unwrap_or_default();
    fields.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
}

/// One answer of AWS.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `text/xml` or a JSON type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn xml(body: String) -> Self {
        Self { status: 200, content_type: "text/xml;charset=UTF-8".to_owned(), body: body.into_bytes() }
    }

    /// An answer to an EC2 action with these children.
    pub(super) fn ec2(action: &str, children: &str) -> Self {
        Self::xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response \
             xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>front</requestId>{children}</{action}Response>"
        ))
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/x-amz-json-1.1".to_owned(),
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn into_response(self) -> Response<Body> {
        Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, self.content_type)
            .body(Body::from(self.body))
            .unwrap_or_default()
    }
}

/// A refusal as AWS sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status when the whole call is refused.
    pub status: u16,
    /// `InsufficientInstanceCapacity`.
    pub code: String,
    /// AWS's message.
    pub message: String,
}

impl Refusal {
    /// Any refusal.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// Returns the refusal for missing capacity of a type in a zone.
    #[must_use]
    pub fn capacity() -> Self {
        Self::new(
            500,
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient capacity in the Availability Zone you requested. Our system will be \
             working on provisioning additional capacity.",
        )
    }

    /// The account's spot quota is used up (or 0).
    #[must_use]
    pub fn spot_quota() -> Self {
        Self::new(400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    }

    /// The account's on-demand vCPU quota is used up (or 0).
    #[must_use]
    pub fn vcpu_quota() -> Self {
        Self::new(
            400,
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that \
             the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request \
             an adjustment to this limit.",
        )
    }

    /// The credentials lack the permission.
    #[must_use]
    pub fn denied() -> Self {
        Self::new(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
    }

    /// A policy of the organization denies the action, whatever the account allows.
    #[must_use]
    pub fn denied_by_policy(action: &str) -> Self {
        let words = format!(
            "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/ci/step is not \
             authorized to perform: ec2:{action} with an explicit deny in a service control policy. Encoded authorization \
             failure message: AAAA"
        );
        Self::new(403, "UnauthorizedOperation", words)
    }

    /// Returns the same in the format of the JSON services.
    #[must_use]
    pub fn denied_action(action: &str) -> Self {
        let words = format!(
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: {action} because no identity-based policy \
             allows the {action} action"
        );
        Self::new(400, "AccessDeniedException", words)
    }

    /// The access key is unknown.
    #[must_use]
    pub fn bad_keys() -> Self {
        Self::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
    }

    /// The session token has expired.
    #[must_use]
    pub fn expired_keys() -> Self {
        Self::new(400, "RequestExpired", "Request has expired.")
    }

    /// Too many calls.
    #[must_use]
    pub fn throttled() -> Self {
        Self::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    /// The image does not exist.
    #[must_use]
    pub fn no_such_image(id: &str) -> Self {
        Self::new(400, "InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"))
    }

    /// The answer to a request of this service.
    pub(super) fn answer(&self, service: &str) -> Answer {
        if ["ce", "pricing", "servicequotas", "ssm"].contains(&service) {
            let body = serde_json::json!({"__type": self.code, "message": self.message});
            return Answer::json(self.status, &body);
        }
        let (code, message) = (&self.code, escape(&self.message));
        if ["iam", "sts"].contains(&service) {
            let error = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>front</RequestId></ErrorResponse>"
            );
            return Answer { status: self.status, ..Answer::xml(error) };
        }
        Answer {
            status: self.status,
            ..Answer::xml(format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
                 <Message>{message}</Message></Error></Errors><RequestID>front</RequestID></Response>"
            ))
        }
    }
}

/// Text made safe for XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The text between `<name>` and `</name>`, each time it occurs; the emulator writes tags without attributes.
pub(super) fn all_between(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_request_is_read_with_its_scope() {
        let mut headers = HeaderMap::new();
        let signature = "AWS4-HMAC-SHA256 Credential=key/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
        headers.insert(header::AUTHORIZATION, signature.parse().expect("is a header"));
        let ask = Ask::read(headers, b"Action=DescribeInstances&InstanceId.1=i-1&InstanceId.2=i-2".to_vec());
        assert_eq!(
            (ask.service.as_str(), ask.region.as_str(), ask.action.as_str()),
            ("ec2", "eu-west-1", "DescribeInstances")
        );
        assert_eq!(ask.list("InstanceId"), ["i-1", "i-2"]);
    }

    #[test]
    fn all_between_finds_every_occurrence() {
        assert_eq!(all_between("<a><item>i-1</item><item>i-2</item></a>", "item"), ["i-1", "i-2"]);
    }
}
