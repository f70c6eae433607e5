//! Colours, dashes and shapes of the roles.

use crate::scene::{Role, Shape};

/// Red, green, blue.
pub(crate) type Rgb = (u8, u8, u8);

/// Number of colours for series.
pub(crate) const COLOURS: usize = 7;

/// The palette of Okabe and Ito, which people with any kind of colour blindness can distinguish, without its yellow,
/// which is invisible on white: <https://jfly.uni-koeln.de/color/>.
const LIGHT: [Rgb; COLOURS] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0)];
/// The same on black: there its blue is too dark and its yellow is not too light.
const DARK: [Rgb; COLOURS] = [
    (86, 180, 233),
    (240, 120, 30),
    (0, 178, 130),
    (214, 140, 180),
    (230, 159, 0),
    (240, 228, 66),
    (255, 255, 255),
];

/// A number of dashes prime to the number of colours, so that colour and dash together distinguish 35 series.
const DASHES: [&[f64]; 5] = [&[], &[7.0, 3.0], &[2.0, 2.5], &[8.0, 3.0, 2.0, 3.0], &[12.0, 4.0]];
/// A number of shapes prime to the number of colours, so that colour and shape together distinguish 42 series.
const SHAPES: [Shape; 6] =
    [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Cross, Shape::Down];

/// The most series in one plot.
pub(crate) const MAX_SERIES: usize = 30;

/// Returns the colour of a role on a light background.
pub(crate) fn light(role: Role) -> Rgb {
    match role {
        Role::Background => (255, 255, 255),
        Role::Ink => (20, 23, 26),
        Role::Muted => (87, 96, 106),
        Role::Grid => (222, 226, 230),
        Role::Heat => (0, 78, 135),
        Role::Series(index) => LIGHT[index % COLOURS],
    }
}

/// Returns the colour of a role on a dark background.
pub(crate) fn dark(role: Role) -> Rgb {
    match role {
        Role::Background => (13, 17, 23),
        Role::Ink => (230, 237, 243),
        Role::Muted => (155, 165, 176),
        Role::Grid => (45, 51, 59),
        Role::Heat => (74, 160, 210),
        Role::Series(index) => DARK[index % COLOURS],
    }
}

/// From this opacity of [`Role::Heat`], text on it is more legible in the background's colour than in ink, in both
/// themes.
pub(crate) const HEAT_TURNS: f64 = 0.75;

/// Returns the lengths of dashes and gaps of a series.
pub(crate) fn dash(series: usize) -> &'static [f64] {
    DASHES[series % DASHES.len()]
}

/// Returns the marker of a series.
pub(crate) fn shape(series: usize) -> Shape {
    SHAPES[series % SHAPES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance((red, green, blue): Rgb) -> f64 {
        let linear =
            |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        let [red, green, blue] = [red, green, blue].map(|part| linear(f64::from(part) / 255.0));
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Returns the contrast as WCAG 2 defines it.
    fn contrast(left: Rgb, right: Rgb) -> f64 {
        let (left, right) = (luminance(left), luminance(right));
        (left.max(right) + 0.05) / (left.min(right) + 0.05)
    }

    fn mixed(under: Rgb, over: Rgb, opacity: f64) -> Rgb {
        let mix = |under: u8, over: u8| {
            (f64::from(under) * (1.0 - opacity) + f64::from(over) * opacity).round() as u8
        };
        (mix(under.0, over.0), mix(under.1, over.1), mix(under.2, over.2))
    }

    #[test]
    fn text_can_be_read_in_both_themes() {
        for theme in [light, dark] {
            assert!(contrast(theme(Role::Ink), theme(Role::Background)) > 12.0);
            assert!(contrast(theme(Role::Muted), theme(Role::Background)) > 4.5);
        }
    }

    #[test]
    fn numbers_can_be_read_on_every_cell_in_both_themes() {
        for theme in [light, dark] {
            for step in 0..=100 {
                let opacity = f64::from(step) / 100.0;
                let role = if opacity >= HEAT_TURNS { Role::Background } else { Role::Ink };
                let cell = mixed(theme(Role::Background), theme(Role::Heat), opacity);
                assert!(contrast(theme(role), cell) > 3.9, "{opacity}: {}", contrast(theme(role), cell));
            }
        }
    }

    #[test]
    fn lines_stand_out_from_the_background_in_both_themes() {
        for theme in [light, dark] {
            for series in 0..COLOURS {
                assert!(contrast(theme(Role::Series(series)), theme(Role::Background)) > 2.2, "{series}");
            }
        }
    }

    #[test]
    fn no_two_series_look_the_same() {
        let looks = |series: usize| (series % COLOURS, dash(series).to_vec());
        let marks = |series: usize| (series % COLOURS, shape(series));
        for left in 0..MAX_SERIES {
            for right in 0..left {
                assert!(looks(left) != looks(right) && marks(left) != marks(right), "{left} and {right}");
            }
        }
    }
}
