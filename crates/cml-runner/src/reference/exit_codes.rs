//! Exit codes for scripts.

use super::page;
use crate::exit::ExitCode;

#[test]
fn the_page_of_exit_codes_has_each_with_its_name_and_meaning() {
    let mut text = String::from("| code | name in `--json` | meaning |\n|---|---|---|\n| 0 | | Done. |\n");
    for code in ExitCode::ALL {
        text.push_str(&format!("| {} | `{}` | {} |\n", code as u8, code.name(), code.meaning()));
    }
    text.push_str(
        "\nWith `--json` a failure prints `{\"error\": {\"kind\", \"message\", \"hint\", \"details\"}}` on stdout; `validate` and `doctor` \
         print what they have found instead.\n\nUnder CML's names and spellings (`cml …`, `cml-publish`, `cml-runner --labels …`) wrong \
         usage and a missing permission are 1, as everything was in CML.\n",
    );
    page("exit-codes.md", "Exit codes", &text);
}
