//! Recorded exchanges over the API, and injected faults.

use std::time::Duration;

use jiff::Timestamp;

/// One request to the API and its answer. The runner program's own protocol is not recorded.
#[derive(Clone)]
pub struct Exchange {
    /// Time of the request.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path without `/api/v3` and without the query.
    pub path: String,
    /// The query, as sent.
    pub query: String,
    /// Headers of the request, names in lower case, without `authorization`.
    pub request_headers: Vec<(String, String)>,
    /// Body of the request.
    pub request_body: Vec<u8>,
    /// The answer's status; 0 when the connection was dropped instead.
    pub status: u16,
    /// Headers of the answer, names in lower case.
    pub response_headers: Vec<(String, String)>,
    /// Body of the answer; the intended body when the connection was dropped after the request was carried out.
    pub response_body: Vec<u8>,
    /// True when a fault made this answer.
    pub faulted: bool,
}

impl std::fmt::Debug for Exchange {
    /// Omits the bodies: they may hold a JIT configuration or a token.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} -> {}", self.method, self.path, self.status)?;
        if self.faulted { write!(out, " (fault)") } else { Ok(()) }
    }
}

/// A fault that the next matching requests hit.
#[derive(Clone, Debug)]
pub struct Fault {
    /// HTTP method, or `*`.
    pub method: String,
    /// A part of the path.
    pub path_contains: String,
    /// Kind of the fault.
    pub kind: FaultKind,
    /// Number of requests that hit it.
    pub times: u32,
}

/// Effect of a fault on a request.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// Answered with this status and body; the request is not carried out.
    Status(u16, String),
    /// Carried out, then answered with this status and body.
    StatusAfterDoing(u16, String),
    /// Answered with this status, headers and body; the request is not carried out.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers, such as `retry-after`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Carried out and answered after this delay.
    Delay(Duration),
    /// The connection closes without an answer; the request is not carried out.
    DropBeforeDoing,
    /// Carried out, then the connection closes without an answer.
    DropAfterDoing,
}

impl FaultKind {
    /// Returns GitHub's refusal of writes that are too frequent; the request is not carried out.
    #[must_use]
    pub fn secondary_rate_limit(retry_after_seconds: u32) -> Self {
        let message =
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let documentation = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits";
        Self::Answer {
            status: 403,
            headers: vec![("retry-after".to_owned(), retry_after_seconds.to_string())],
            body: format!(r#"{{"message":"{message}","documentation_url":"{documentation}"}}"#),
        }
    }
}

impl Fault {
    fn meets(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method.eq_ignore_ascii_case(method)) && path.contains(&self.path_contains)
    }
}

/// Takes the first fault that matches this request.
pub(crate) fn take_fault(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<FaultKind> {
    let index = faults.iter().position(|fault| fault.times > 0 && fault.meets(method, path))?;
    faults[index].times -= 1;
    let kind = faults[index].kind.clone();
    faults.retain(|fault| fault.times > 0);
    Some(kind)
}
