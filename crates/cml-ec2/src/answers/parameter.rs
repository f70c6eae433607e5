//! A parameter that names an image, from Systems Manager.
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>

use serde::Deserialize;

use super::{VALUE_CHARS, cut, json};

/// Maximum length of an id; AWS's are far shorter.
const ID_BYTES: usize = 64;

/// The answer: the needed fields.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameter {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    #[serde(default)]
    value: String,
}

/// Value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The id of an image.
    Image(String),
    /// Something else: its beginning.
    Other(String),
}

/// Parses the value of the parameter.
///
/// # Errors
/// Reason why the answer cannot be parsed.
pub fn read(body: &[u8]) -> Result<Held, String> {
    let value = json::<GetParameter>(body)?.parameter.value;
    let is_id = value.starts_with("ami-") && value.len() <= ID_BYTES;
    Ok(if is_id { Held::Image(value) } else { Held::Other(cut(&value, VALUE_CHARS)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_from_what_is_none() {
        let of =
            |value: &str| read(serde_json::json!({"Parameter": {"Value": value}}).to_string().as_bytes());
        assert_eq!(of("ami-0123456789abcdef0"), Ok(Held::Image("ami-0123456789abcdef0".to_owned())));
        assert_eq!(of("{}"), Ok(Held::Other("{}".to_owned())));
        let long = format!("ami-{}", "0".repeat(100_000));
        assert!(matches!(of(&long), Ok(Held::Other(told)) if told.chars().count() == VALUE_CHARS + 1));
        assert_eq!(read(br#"{"Parameter": {}}"#), Ok(Held::Other(String::new())));
        assert!(read(b"{}").is_err() && read(b"").is_err());
    }
}
