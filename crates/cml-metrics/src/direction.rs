//! Direction in which a metric improves.

use serde::Serialize;

use crate::defaults;

/// Direction in which a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better, as with accuracy.
    Higher,
    /// Less is better, as with loss.
    Lower,
}

/// Configured directions; other metrics are judged by the words in their names.
#[derive(Clone, Debug, Default)]
pub struct Directions {
    higher: Vec<String>,
    lower: Vec<String>,
}

impl Directions {
    /// Creates directions from patterns for whole dotted names, in which `*` matches any text and `?` one character;
    /// case does not matter. They take precedence over the words in a name.
    #[must_use]
    pub fn new(higher: &[String], lower: &[String]) -> Self {
        let folded = |patterns: &[String]| patterns.iter().map(|pattern| pattern.to_lowercase()).collect();
        Self { higher: folded(higher), lower: folded(lower) }
    }

    /// Returns the direction of a metric; `None` if it is unknown. Where patterns of both kinds match, the one with
    /// more literal characters decides; if both have as many, neither does.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<Direction> {
        let folded = name.to_lowercase();
        let best = |patterns: &[String]| {
            let matching = patterns.iter().filter(|pattern| matches(pattern, &folded));
            matching.map(|pattern| pattern.chars().filter(|c| !matches!(c, '*' | '?')).count()).max()
        };
        match (best(&self.higher), best(&self.lower)) {
            (None, None) => defaults::direction(name),
            (higher, lower) if higher > lower => Some(Direction::Higher),
            (higher, lower) if higher < lower => Some(Direction::Lower),
            _ => None,
        }
    }
}

/// Returns whether a pattern matches a whole text. On a mismatch only the last `*` takes one character more: the time
/// is bounded by the product of both lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn directions(higher: &[&str], lower: &[&str]) -> Directions {
        let owned = |patterns: &[&str]| patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
        Directions::new(&owned(higher), &owned(lower))
    }

    #[test]
    fn what_is_configured_goes_before_the_words() {
        let directions = directions(&["*loss_reduction", "Gain?"], &["*accuracy_gap*"]);
        assert_eq!(directions.of("train.loss_reduction"), Some(Direction::Higher));
        assert_eq!(directions.of("gain1"), Some(Direction::Higher));
        assert_eq!(directions.of("gain10"), None);
        assert_eq!(directions.of("val.accuracy_gap.max"), Some(Direction::Lower));
        assert_eq!(directions.of("accuracy"), Some(Direction::Higher));
    }

    #[test]
    fn the_pattern_that_says_more_decides_and_equal_ones_do_not() {
        assert_eq!(directions(&["*"], &["train.*"]).of("train.x"), Some(Direction::Lower));
        assert_eq!(directions(&["*.x"], &["y.*"]).of("y.x"), None);
    }

    proptest! {
        #[test]
        fn a_pattern_with_only_stars_added_matches(text in "[ab.]{0,12}", at in 0_usize..12) {
            let at = at.min(text.len());
            let pattern = format!("{}*{}", &text[..at], &text[at..]);
            prop_assert!(matches(&pattern, &text));
        }

        #[test]
        fn no_pattern_panics(pattern in "\\PC*", text in "\\PC*") {
            let _ = matches(&pattern, &text);
        }
    }
}
