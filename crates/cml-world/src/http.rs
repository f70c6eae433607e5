//! Requests and answers as plain values.

use hyper::HeaderMap;
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A request whose body has been read.
pub(crate) struct Request {
    pub(crate) at: Timestamp,
    pub(crate) method: String,
    /// As sent, without the query.
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// Returns the value of a header, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        form_value(&self.raw_query, name)
    }

    /// Parses the body as a JSON object; an empty body is an empty object.
    pub(crate) fn json(&self) -> Result<Value, Reply> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(Reply::error(400, "Body should be a JSON object")),
            Err(_) => Err(Reply::error(400, "Problems parsing JSON")),
        }
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Returns the page of these items that the query asks for, and the `Link` header to the others.
    pub(crate) fn page<T>(&self, items: Vec<T>, base: &str) -> (Vec<T>, Option<String>) {
        let per_page = self.number("per_page", 30).clamp(1, 100);
        let page = self.number("page", 1).max(1);
        let last = items.len().div_ceil(per_page).max(1);
        let link = |page: usize, rel: &str| {
            let mut query: Vec<String> = self
                .raw_query
                .split('&')
                .filter(|pair| !pair.is_empty() && !pair.starts_with("page="))
                .map(str::to_owned)
                .collect();
            query.push(format!("page={page}"));
            format!("<{base}{}?{}>; rel=\"{rel}\"", self.path, query.join("&"))
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(link(page - 1, "prev"));
        }
        if page < last {
            links.push(link(page + 1, "next"));
            links.push(link(last, "last"));
        }
        if page > 1 {
            links.push(link(1, "first"));
        }
        let items = items.into_iter().skip((page - 1) * per_page).take(per_page).collect();
        (items, (!links.is_empty()).then(|| links.join(", ")))
    }
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: value.to_string().into_bytes() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// Returns a refusal in GitHub's wording.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let documentation_url = "https://docs.github.com/rest";
        let status_text = status.to_string();
        Self::json(
            status,
            &json!({"message": message, "documentation_url": documentation_url, "status": status_text}),
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    /// Returns 422 for operations whose errors are plain text.
    pub(crate) fn invalid_in_words(errors: &[&str]) -> Self {
        let documentation = "https://docs.github.com/rest";
        Self::json(
            422,
            &json!({"message": "Validation Failed", "errors": errors, "documentation_url": documentation}),
        )
    }

    /// Returns 422 for one field: `code` is `missing_field`, `invalid`, `already_exists` and the like.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str) -> Self {
        Self::json(
            422,
            &json!({
                "message": "Validation Failed",
                "errors": [{"resource": resource, "field": field, "code": code}],
                "documentation_url": "https://docs.github.com/rest",
            }),
        )
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Returns a page of a list.
    pub(crate) fn list(value: &Value, link: Option<String>) -> Self {
        let reply = Self::json(200, value);
        match link {
            Some(link) => reply.with("link", link),
            None => reply,
        }
    }
}

/// Decodes percent encoding. Bytes that are no UTF-8 become replacement characters.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        let escaped = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match escaped.filter(|_| *first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns a value of a form or a query.
pub(crate) fn form_value(form: &str, name: &str) -> Option<String> {
    form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(&value.replace('+', " ")))
    })
}
