//! A report's bytes as text.

/// A decoded report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its text.
    pub text: String,
    /// A warning about undecodable bytes.
    pub warning: Option<String>,
}

/// Decodes UTF-8, with or without a byte order mark, and the UTF-16 that PowerShell writes. Undecodable bytes are shown
/// as `�`, with a warning: a report with a flaw is better than none.
#[must_use]
pub fn decoded(bytes: &[u8]) -> Decoded {
    let utf16 = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
        let text = String::from_utf16_lossy(&units);
        let flawed = !rest.len().is_multiple_of(2) || text.contains('\u{fffd}');
        Decoded { text, warning: flawed.then(|| "the report is UTF-16 with flaws".to_owned()) }
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Decoded { text: text.to_owned(), warning: None },
        Err(error) => {
            let at = error.valid_up_to();
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            Decoded {
                text: String::from_utf8_lossy(bytes).into_owned(),
                warning: Some(format!(
                    "the report is no UTF-8: line {line} has the byte 0x{:02x}; such characters are shown as \u{fffd}",
                    bytes[at]
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_its_windows_line_ends_and_loses_only_its_mark() {
        let read = decoded("\u{feff}a\r\nb\r\n".as_bytes());
        assert_eq!(read, Decoded { text: "a\r\nb\r\n".to_owned(), warning: None });
    }

    #[test]
    fn what_powershell_writes_is_read() {
        let bytes: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("größer ✓\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decoded(&bytes), Decoded { text: "größer ✓\n".to_owned(), warning: None });
    }

    #[test]
    fn another_encoding_is_shown_with_its_flaws_and_said() {
        let read = decoded(b"ok\ngr\xf6\xdfer\n");
        assert_eq!(read.text, "ok\ngr\u{fffd}\u{fffd}er\n");
        assert!(read.warning.expect("said").contains("line 2 has the byte 0xf6"));
        assert!(decoded(&[0xff, 0xfe, 0x41]).warning.is_some());
    }
}
