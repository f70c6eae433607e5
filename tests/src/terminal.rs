//! A terminal as a page: commands and their output, with its colours.

/// Colours of a terminal by the codes of its text. <https://www.ecma-international.org/publications-and-standards/standards/ecma-48/>
const COLOURS: [(&str, &str); 4] =
    [("31", "#ff7b72"), ("32", "#7ee787"), ("33", "#e3b341"), ("2", "#8b949e")];

/// The page of these commands with what each printed.
#[must_use]
pub fn page(commands: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (command, printed) in commands {
        text.push_str(&format!("<b style=\"color:#79c0ff\">$</b> <b>{}</b>\n", escaped(command)));
        text.push_str(&coloured(printed.trim_end()));
        text.push_str("\n\n");
    }
    format!(
        "<!doctype html><meta charset=utf-8><style>body{{margin:0;background:#0d1117;padding:18px 22px}}\
         pre{{margin:0;color:#e6edf3;font:15px/1.45 'DejaVu Sans Mono',monospace;white-space:pre-wrap}}</style>\
         <pre>{}</pre>",
        text.trim_end()
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns text with its colour codes, and without all others.
fn coloured(text: &str) -> String {
    let text = text.replace('\r', "");
    let mut parts = text.split('\x1b');
    let mut all = escaped(parts.next().unwrap_or_default());
    let mut is_open = false;
    for part in parts {
        let Some(end) = part.find(|c: char| c.is_ascii_alphabetic()) else { continue };
        let (code, rest) = (part[..end].trim_start_matches('['), &part[end + 1..]);
        if part[end..].starts_with('m') {
            if std::mem::take(&mut is_open) {
                all.push_str("</span>");
            }
            let colour = code.split(';').find_map(|one| COLOURS.iter().find(|(code, _)| *code == one));
            if let Some((_, colour)) = colour {
                all.push_str(&format!("<span style=\"color:{colour}\">"));
                is_open = true;
            }
        }
        all.push_str(&escaped(rest));
    }
    if is_open { all + "</span>" } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_everything_else_that_a_terminal_obeys_goes() {
        assert_eq!(coloured("\x1b[32mok\x1b[0m <a>"), "<span style=\"color:#7ee787\">ok</span> &lt;a&gt;");
        assert_eq!(coloured("\x1b[2K\r\x1b[31;1mno"), "<span style=\"color:#ff7b72\">no</span>");
    }
}
