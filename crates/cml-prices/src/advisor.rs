//! Savings of spot against on-demand, and frequency of interruption: a snapshot of AWS's Spot Instance Advisor.
//! <https://aws.amazon.com/ec2/spot/instance-advisor/>

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::table;

/// Dated and attributed in its first lines.
const TABLE: &str = include_str!("../data/spot_advisor.csv");

/// The advisor's data on one type in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Saving against on-demand, in percent; negative when spot costs more.
    pub saving_percent: i16,
    /// Frequency of interruption.
    pub interruption: Interruption,
}

/// Fraction of the instances that AWS interrupted in the month before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interruption {
    /// Under 5 %.
    Under5,
    /// 5 to 10 %.
    To10,
    /// 10 to 15 %.
    To15,
    /// 15 to 20 %.
    To20,
    /// Over 20 %.
    Over20,
}

impl fmt::Display for Interruption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Under5 => "<5%",
            Self::To10 => "5-10%",
            Self::To15 => "10-15%",
            Self::To20 => "15-20%",
            Self::Over20 => ">20%",
        })
    }
}

impl Advice {
    /// Returns the fraction of the on-demand price that remains to be paid.
    #[must_use]
    pub fn share_paid(&self) -> Decimal {
        Decimal::new(100 - i64::from(self.saving_percent), 2)
    }
}

/// Returns the advisor's data on a type in a region; `None` without data.
#[must_use]
pub fn find(region: &str, instance_type: &str) -> Option<Advice> {
    let table = shipped();
    let column = *table.columns.get(region)?;
    (*table.types.get(instance_type)?.get(column)?).and_then(cell)
}

/// Returns the date of the table.
#[must_use]
pub fn as_of() -> Date {
    static DATE: OnceLock<Date> = OnceLock::new();
    *DATE.get_or_init(|| table::as_of(TABLE))
}

struct Shipped {
    columns: HashMap<&'static str, usize>,
    /// Cells as text: few of them are ever needed.
    types: HashMap<&'static str, Vec<Option<&'static str>>>,
}

fn shipped() -> &'static Shipped {
    static SHIPPED: OnceLock<Shipped> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let columns = table::columns(TABLE).into_iter().skip(1).enumerate();
        let types = table::rows(TABLE).filter_map(|fields| {
            let (name, cells) = fields.split_first()?;
            Some((*name, cells.iter().map(|cell| Some(*cell).filter(|cell| !cell.is_empty())).collect()))
        });
        Shipped { columns: columns.map(|(at, name)| (name, at)).collect(), types: types.collect() }
    })
}

/// Reads a cell such as `71e`.
fn cell(text: &str) -> Option<Advice> {
    let band = text.chars().next_back()?;
    let interruption = match band {
        'a' => Interruption::Under5,
        'b' => Interruption::To10,
        'c' => Interruption::To15,
        'd' => Interruption::To20,
        'e' => Interruption::Over20,
        _ => return None,
    };
    let saving_percent = text.get(..text.len() - band.len_utf8())?.parse().ok()?;
    (saving_percent <= 100).then_some(Advice { saving_percent, interruption })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table_is_read() {
        let columns = table::columns(TABLE).len();
        let mut known = 0;
        for fields in table::rows(TABLE) {
            assert_eq!(fields.len(), columns, "{fields:?}");
            for text in fields.iter().skip(1).filter(|text| !text.is_empty()) {
                assert!(cell(text).is_some(), "{text} of {}", fields[0]);
                known += 1;
            }
        }
        assert_eq!(known, 14_962);
        assert_eq!(as_of().to_string(), "2025-07-28");
    }

    #[test]
    fn a_saving_is_found_by_region_and_type() {
        let advice = find("af-south-1", "c5.12xlarge").expect("is known");
        assert_eq!((advice.saving_percent, advice.interruption.to_string()), (87, ">20%".to_owned()));
        assert_eq!(advice.share_paid().to_string(), "0.13");
        assert_eq!(find("ca-central-1", "p5.48xlarge").expect("is known").share_paid().to_string(), "1.62");
        assert_eq!(find("mars-north-1", "c5.12xlarge"), None);
        assert_eq!(find("af-south-1", "c5"), None);
    }

    #[test]
    fn junk_is_no_advice() {
        for text in ["", "e", "71", "71f", "101a", "-e", "71é", "é", "99999999999a"] {
            assert_eq!(cell(text), None, "{text}");
        }
    }
}
