//! Durations as text for people.

use jiff::SignedDuration;

/// Returns `12 days`, `3 h`, `52 min`, `40 s`; a negative duration is `0 s`.
pub(super) fn time(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} h", seconds / 3_600),
        120.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_unit_that_tells_most() {
        let of = |seconds| time(SignedDuration::from_secs(seconds));
        assert_eq!(
            [of(-5), of(90), of(3_100), of(10_000), of(1_000_000)],
            ["0 s", "90 s", "51 min", "2 h", "11 days"]
        );
    }
}
