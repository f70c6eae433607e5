//! A template engine in which quoting cannot be forgotten.
//!
//! A value is written `'{{ name }}'`, quotes included: they belong to the delimiters, and what comes in their place is
//! quoted by the engine itself. So the template is a shell script before rendering as after.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use crate::BootstrapError;

/// Renders; every value becomes one single-quoted word of the shell.
///
/// # Errors
/// A value with a NUL byte; a template that does not parse or names what is not given.
pub(crate) fn render(template: &str, values: &Value) -> Result<String, BootstrapError> {
    for name in values.try_iter()? {
        if values.get_item(&name)?.as_str().is_some_and(|text| text.contains('\0')) {
            return Err(BootstrapError::NulByte(name.to_string()));
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

/// One word for a POSIX shell: between single quotes only the single quote itself is special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use minijinja::context;
    use proptest::prelude::*;

    use super::*;

    fn through_a_shell(text: &str) -> Vec<u8> {
        let script = render("printf %s '{{ value }}'\n", &context! { value => text }).expect("renders");
        std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh runs").stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_text_survives_the_shell(text in "[^\0]{0,80}") {
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
    fn a_nul_byte_is_refused_by_name() {
        let error =
            render("x='{{ value }}'", &context! { value => "a\0b" }).expect_err("no shell can carry it");
        assert!(error.to_string().contains("\"value\""), "{error}");
    }

    #[test]
    fn a_name_that_is_not_given_is_an_error() {
        render("x='{{ other }}'", &context! { value => "a" }).expect_err("strict");
    }
}
