//! The keys of a cml.yaml, from its schema.

use serde_json::Value;

use super::{cell, page};

/// Returns the type of a value, in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let words: Vec<String> = values.iter().map(|value| format!("`{}`", plain(value))).collect();
        return words.join(", ");
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", plain(value));
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(all) =
            schema[several].as_array().filter(|all| all.iter().all(|one| !kind(one).is_empty()))
        {
            let mut kinds: Vec<String> = all.iter().map(kind).collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("string") => "text".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("object") => "keys below".to_owned(),
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn rows(schema: &Value, path: &str, text: &mut String) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let named = schema["properties"].as_object().into_iter().flatten();
    let others = schema["additionalProperties"].as_object().map(|_| &schema["additionalProperties"]);
    let named = named.map(|(name, inner)| (name.clone(), inner));
    for (name, inner) in named.chain(others.map(|inner| ("NAME".to_owned(), inner))) {
        let must = if required.contains(&name.as_str()) { "yes" } else { "" };
        let said = inner["description"].as_str().unwrap_or_default();
        let row = format!("| `{}` | {} | {must} | {} |\n", below(&name), cell(&kind(inner)), cell(said));
        text.push_str(&row);
        rows(inner, &below(&name), text);
        for alternative in ["oneOf", "anyOf"] {
            for one in inner[alternative]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|one| one.get("properties").is_some())
            {
                rows(one, &below(&name), text);
            }
        }
    }
}

#[test]
fn the_page_of_keys_has_each_key_of_the_schema() {
    let schema: Value = serde_json::from_str(cml_spec::schema()).expect("the schema is JSON");
    let mut text = String::from(
        "`cml-runner validate` checks a file, `cml-runner schema` prints the JSON Schema that this page is made from. `NAME` is a name of \
         your own. An example with all of it: [templates/cml.yaml](https://github.com/cml-runner/cml-runner/blob/main/templates/cml.yaml).\n\n| key | value | required | meaning |\n|---|---|---|---|\n",
    );
    rows(&schema, "", &mut text);
    page("cml-yaml.md", "Keys of cml.yaml", &text);
}
