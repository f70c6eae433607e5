//! A template engine in which quoting cannot be forgotten.
//!
//! A value is written `'{{ name }}'`, quotes included: they belong to the delimiters, and the engine itself quotes the
//! value that replaces them. So the template is a valid shell script before and after rendering.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use crate::BootstrapError;

/// Renders a template; every value becomes one single-quoted word of the shell. Values of many lines may contain line
/// breaks.
///
/// # Errors
/// A value with another control character; a template that does not parse or uses a value that is not given.
pub(crate) fn render(
    template: &str,
    values: &Value,
    of_many_lines: &[&str],
) -> Result<String, BootstrapError> {
    for name in values.try_iter()? {
        let value = values.get_item(&name)?;
        let may_break = name.as_str().is_some_and(|name| of_many_lines.contains(&name));
        let is_wrong = |it: &char| it.is_control() && !(*it == '\n' && may_break);
        if let Some(character) = value.as_str().and_then(|text| text.chars().find(is_wrong)) {
            return Err(BootstrapError::ControlCharacter { name: name.to_string(), character });
        }
    }
    let mut engine = Environment::new();
    let syntax =
        SyntaxConfig::builder().variable_delimiters("'{{", "}}'").comment_delimiters("'{#", "#}'").build()?;
    engine.set_syntax(syntax);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_formatter(|out, _, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        out.write_str(&quoted(&value.to_string())).map_err(Error::from)
    });
    Ok(engine.template_from_named_str("bootstrap.sh", template)?.render(values)?)
}

/// Quotes one word for a POSIX shell: between single quotes only the single quote itself is special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use minijinja::context;
    use proptest::prelude::*;

    use super::*;

    fn through_a_shell(text: &str) -> Vec<u8> {
        let script =
            render("printf %s '{{ value }}'\n", &context! { value => text }, &["value"]).expect("renders");
        std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh runs").stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_text_survives_the_shell(text in r"[\PC\n]{0,80}") {
            prop_assert_eq!(through_a_shell(&text), text.as_bytes());
        }
    }

    #[test]
    fn quotes_newlines_and_expansions_survive_the_shell() {
        for text in
            ["", "'", "''\n'", "$(reboot) `id` $HOME \\", "{{ value }}", "'{{ value }}'", "-n", "a\n\n"]
        {
            assert_eq!(through_a_shell(text), text.as_bytes());
        }
    }

    #[test]
    fn control_characters_are_refused_by_name() {
        let refused = |text: &str, of_many_lines: &[&str]| {
            let error = render("x='{{ value }}'", &context! { value => text }, of_many_lines).err();
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        for text in ["a\0b", "a\nb", "a\rb", "\u{1b}[31m", "a\u{85}b"] {
            assert!(refused(text, &["other"]).starts_with("value of the user data holds"), "{text:?}");
        }
        assert_eq!(refused("a\nb", &["value"]), "");
        assert!(refused("a\rb", &["value"]).contains("U+000D"));
    }

    #[test]
    fn a_name_that_is_not_given_is_an_error() {
        render("x='{{ other }}'", &context! { value => "a" }, &[]).expect_err("strict");
    }
}
