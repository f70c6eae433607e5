//! Content type of a file, by its content: a name can be wrong.

/// A content type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `image/png`.
    pub mime: String,
}

/// Number of bytes of a text that are examined.
const LOOK_BYTES: usize = 4096;

impl Media {
    /// Detects the type from the content, as `file` does.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mime = match infer::get(bytes) {
            // A drawing may begin as any XML or HTML does.
            Some(kind) if kind.mime_type() != "text/xml" && kind.mime_type() != "text/html" => {
                kind.mime_type()
            }
            other => text(bytes).or_else(|| Some(other?.mime_type())).unwrap_or("application/octet-stream"),
        };
        Self { mime: mime.to_owned() }
    }

    /// Returns the type given by the user.
    #[must_use]
    pub fn given(mime: &str) -> Self {
        Self { mime: mime.to_owned() }
    }

    /// Returns whether Markdown displays it inline.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.mime.starts_with("image/") || self.mime.starts_with("video/")
    }

    /// Returns the part after the slash, `png`.
    #[must_use]
    pub fn subtype(&self) -> &str {
        self.mime.split_once('/').map_or(self.mime.as_str(), |(_, subtype)| subtype)
    }
}

fn text(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(LOOK_BYTES)];
    let head = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut inside a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if head.contains('\0') {
        return None;
    }
    let begin = head.trim_start_matches('\u{feff}').trim_start();
    let lower = begin.to_ascii_lowercase();
    if lower.starts_with("<svg")
        || (lower.starts_with("<?xml") || lower.starts_with("<!")) && lower.contains("<svg")
    {
        return Some("image/svg+xml");
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return Some("text/html");
    }
    if lower.starts_with("<?xml") {
        return Some("text/xml");
    }
    if begin.starts_with(['{', '[']) && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        return Some("application/json");
    }
    Some("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_tells_what_a_file_is() {
        for (bytes, mime) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
            (b"<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC \"x\">\n<svg/>", "image/svg+xml"),
            (b"<?xml version='1.0'?><a/>", "text/xml"),
            (b"<!DOCTYPE html><p>", "text/html"),
            (b"{\"a\": 1}", "application/json"),
            (b"{not json", "text/plain"),
            ("größer".as_bytes(), "text/plain"),
            (b"\0\x01\x02\xfe", "application/octet-stream"),
        ] {
            assert_eq!(Media::of(bytes).mime, mime, "{bytes:?}");
        }
    }

    #[test]
    fn images_and_videos_are_shown_in_place() {
        assert!(Media::given("image/svg+xml").is_shown() && Media::given("video/mp4").is_shown());
        assert!(!Media::of(b"text").is_shown());
        assert_eq!(Media::given("image/svg+xml").subtype(), "svg+xml");
    }
}
