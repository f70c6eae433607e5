//! `cml.yaml`, which any author of a pull request may change.

use cml_cloud::UsdPerHour;
use cml_spec::Runners;
use rust_decimal::Decimal;

/// The longest message about a file, bytes: fifty problems, each with a truncated line.
const TOLD_MAX: usize = 64 * 1024;

pub(crate) fn cml_yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let market = |_: &Runners| Ok(vec![Some(UsdPerHour(Decimal::new(1006, 3)))]);
    let told = match cml_spec::read("cml.yaml", text, &market) {
        Ok(config) => config.warnings.iter().map(|problem| problem.to_string().len()).sum(),
        Err(error) => {
            assert!(!error.problems.is_empty(), "refused without a reason");
            error.to_string().len()
        }
    };
    assert!(told <= TOLD_MAX, "{told} bytes are said of {} bytes", text.len());
    if let Err(error) = cml_spec::read_reports("cml.yaml", text) {
        assert!(error.to_string().len() <= TOLD_MAX);
    }
}
