//! Detection of a file's format.

use std::fmt;

use crate::error::{Fault, Location, Problem};

/// The formats of metrics and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, with Python's `NaN`, `Infinity` and `-Infinity`.
    Json,
    /// One JSON value a line; of metrics the last value of each name counts.
    JsonLines,
    /// YAML, one document.
    Yaml,
    /// TOML.
    Toml,
    /// Cells separated by commas, or by semicolons or tabs where the first line has no comma.
    ///
    /// As metrics: two columns of which the first holds no number or date in any row are names and values, and
    /// a first row whose second cell is no value but text is their header. Anything else is a training log: the
    /// first row is the header, and the last value in each column counts.
    Csv,
    /// The same, separated by tabs.
    Tsv,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::JsonLines => "JSON lines",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
        })
    }
}

impl Format {
    /// Returns the format of a path's extension; `None` if it is unknown.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit(['/', '\\']).next()?;
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::JsonLines,
            "yaml" | "yml" => Self::Yaml,
            "toml" => Self::Toml,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            _ => return None,
        })
    }

    /// Detects the format of a text. A `[` may begin a JSON list or a TOML table, several lines of `{…}` may be one
    /// JSON value or many: then the first format that can be read is used, and the first one's error is returned if
    /// none can.
    pub(crate) fn sniff<T>(
        text: &str,
        mut read: impl FnMut(Self, &str) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .unwrap_or_default();
        let candidates: &[Self] = if line.starts_with('{') {
            &[Self::Json, Self::JsonLines, Self::Yaml]
        } else if line.starts_with('[') {
            &[Self::Json, Self::Toml, Self::JsonLines]
        } else if line.starts_with("---") || line.ends_with(':') || line.contains(": ") {
            &[Self::Yaml]
        } else if line.contains('=') {
            &[Self::Toml]
        } else if line.contains('\t') {
            &[Self::Tsv]
        } else if line.contains([',', ';']) {
            &[Self::Csv]
        } else {
            &[Self::Yaml]
        };
        let mut first = None;
        for format in candidates {
            match read(*format, text) {
                Ok(value) => return Ok(value),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        Err(first.unwrap_or_else(|| Problem::Empty.into()))
    }
}

/// The longest file of one format, bytes, and the most values in it: reading takes some tens of bytes for each, and no
/// reader looks at more. YAML and TOML are written by hand, and their parsers take more memory.
const BYTES_MAX: usize = 20 << 20;
const BYTES_MAX_BY_HAND: usize = 4 << 20;
/// Limit on values, lists and maps of one file.
pub(crate) const VALUES_MAX: usize = 1_000_000;

impl Format {
    /// Refuses a text that is longer than files of this format may be.
    pub(crate) fn check_length(self, text: &str) -> Result<(), Fault> {
        let most = if matches!(self, Self::Yaml | Self::Toml) { BYTES_MAX_BY_HAND } else { BYTES_MAX };
        if text.len() > most {
            Err(Problem::TooLong { format: self, most_mib: most >> 20 }.into())
        } else {
            Ok(())
        }
    }
}

/// Returns the text of a file, without a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > BYTES_MAX {
        return Err(Problem::TooLong { format: Format::Csv, most_mib: BYTES_MAX >> 20 }.into());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::Utf16.into());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Fault { at: Some(Location { line, column: Some(column) }), problem: Problem::NotUtf8 }
    })?;
    if text.trim().is_empty() { Err(Problem::Empty.into()) } else { Ok(text) }
}
