//! The visible range of an axis, and the positions of numbers on it.

/// Scale of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equally long.
    #[default]
    Linear,
    /// Equal factors are equally long, in powers of ten. Takes only values above 0.
    Log,
}

/// Padding around the data, as a share of its range.
const PADDING: f64 = 0.03;
/// Narrower ranges, relative to the numbers in them, would need labels with too many digits to read.
const LEAST_RELATIVE_SPAN: f64 = 1e-12;
/// Narrower ranges have no steps that an f64 can hold exactly enough.
const LEAST_SPAN: f64 = 1e-300;
/// Range of a logarithmic axis: beyond are the numbers whose neighbours f64 cannot distinguish.
const LOG_RANGE: (f64, f64) = (-300.0, 307.0);

/// The visible range, in the scale's own space: of the numbers or of their decimal logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) scale: Scale,
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    /// Whether all data are whole numbers, such as steps or epochs: ticks between them would mean nothing.
    pub(crate) whole: bool,
}

impl Axis {
    /// Creates an axis from 0 to `top`.
    pub(crate) fn from_zero(top: f64) -> Self {
        Self { scale: Scale::Linear, lo: 0.0, hi: top, whole: false }
    }

    /// Creates an axis around finite values (on a logarithmic axis: above 0). Without any: from 0 to 1.
    pub(crate) fn around(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let (mut lo, mut hi, mut whole) = (f64::INFINITY, f64::NEG_INFINITY, true);
        for value in values {
            let value = if scale == Scale::Log { logarithm(value) } else { value };
            lo = lo.min(value);
            hi = hi.max(value);
            whole &= value.fract() == 0.0;
        }
        if lo > hi {
            return Self::from_zero(1.0);
        }
        let (lo, hi) = match scale {
            Scale::Linear => padded(lo, hi, whole),
            Scale::Log => padded_logarithms(lo, hi),
        };
        Self { scale, lo, hi, whole: whole && scale == Scale::Linear }
    }

    /// Returns the position of the value, from 0 at the axis' start to 1 at its end.
    pub(crate) fn fraction(&self, value: f64) -> f64 {
        let place = if self.scale == Scale::Log { logarithm(value) } else { value };
        // Halves, since the whole range may be wider than the largest f64.
        ((place / 2.0 - self.lo / 2.0) / (self.hi / 2.0 - self.lo / 2.0)).clamp(0.0, 1.0)
    }
}

fn logarithm(value: f64) -> f64 {
    value.log10().clamp(LOG_RANGE.0, LOG_RANGE.1)
}

fn padded(lo: f64, hi: f64, whole: bool) -> (f64, f64) {
    let magnitude = lo.abs().max(hi.abs());
    let least = (magnitude * LEAST_RELATIVE_SPAN).max(LEAST_SPAN);
    let half = hi / 2.0 - lo / 2.0;
    let by = if half == 0.0 {
        let least = if whole { 1.0 } else { LEAST_SPAN };
        (magnitude * 0.1).max(least)
    } else {
        (half * 2.0 * PADDING).max(if half < least { least } else { 0.0 })
    };
    // No padding below 0 for values that are never negative: -200 steps or a loss of -0.1 would be strange to read.
    let start = if lo >= 0.0 { (lo - by).max(0.0) } else { (lo - by).max(f64::MIN) };
    let end = if hi <= 0.0 && lo < 0.0 { (hi + by).min(0.0) } else { (hi + by).min(f64::MAX) };
    (start, end)
}

fn padded_logarithms(lo: f64, hi: f64) -> (f64, f64) {
    let by = match hi - lo {
        0.0 => 0.5,
        narrow if narrow < 1e-3 => 1e-3,
        span => span * PADDING,
    };
    ((lo - by).max(LOG_RANGE.0 - 0.5), (hi + by).min(LOG_RANGE.1 + 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(values: &[f64], scale: Scale) -> Axis {
        Axis::around(values.iter().copied(), scale)
    }

    #[test]
    fn what_is_never_negative_has_no_air_below_0() {
        let axis = around(&[0.0, 100.0], Scale::Linear);
        assert_eq!((axis.lo, axis.hi), (0.0, 103.0));
        let axis = around(&[-100.0, -1.0], Scale::Linear);
        assert!(axis.lo < -100.0 && axis.hi <= 0.0);
    }

    #[test]
    fn a_constant_has_a_range_around_it() {
        for value in [0.0, 1.0, -5.0, 1e-5, 5e-324, 1e308, f64::MAX, f64::MIN] {
            let axis = around(&[value], Scale::Linear);
            assert!(axis.lo < axis.hi && axis.lo.is_finite() && axis.hi.is_finite(), "{value}: {axis:?}");
        }
        let axis = around(&[100.0], Scale::Log);
        assert_eq!((axis.lo, axis.hi), (1.5, 2.5));
    }

    #[test]
    fn the_whole_range_of_numbers_fits_on_an_axis() {
        let axis = around(&[f64::MIN, f64::MAX], Scale::Linear);
        assert_eq!([f64::MIN, 0.0, f64::MAX].map(|value| axis.fraction(value)), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn a_decade_is_as_long_as_the_next() {
        let axis = around(&[0.01, 100.0], Scale::Log);
        let places = [0.01, 0.1, 1.0, 10.0].map(|value| axis.fraction(value));
        assert!(places.windows(2).all(|pair| (pair[1] - pair[0] - (places[1] - places[0])).abs() < 1e-12));
    }
}
