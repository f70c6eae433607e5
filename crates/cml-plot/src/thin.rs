//! Thinning of points without a visible difference: a million of them result in neither a larger file nor another
//! picture than a thousand.

use std::collections::HashSet;

/// More markers than this in one series are thinned.
const MANY_MARKERS: usize = 15_000;

/// Returns the first, lowest, highest and last point of each pixel column, in their order. Input and output are pixels;
/// consecutive points stay few, whatever their number.
pub(crate) fn line(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    for column in points.chunk_by(|left, right| left.0.floor() == right.0.floor()) {
        let by_height = |left: &&usize, right: &&usize| column[**left].1.total_cmp(&column[**right].1);
        let indices: Vec<usize> = (0..column.len()).collect();
        let mut chosen: Vec<usize> = [
            indices.first(),
            indices.iter().min_by(by_height),
            indices.iter().max_by(by_height),
            indices.last(),
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect();
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|index| column[index]));
    }
    kept
}

/// Returns one marker for each small square, of a size that leaves no visible pattern.
pub(crate) fn markers(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    [1.0, 2.0, 3.0].into_iter().fold(points, |points, side| {
        if points.len() <= MANY_MARKERS {
            return points;
        }
        let mut taken = HashSet::new();
        let is_first =
            |(x, y): &(f64, f64)| taken.insert(((x / side).floor() as i64, (y / side).floor() as i64));
        points.into_iter().filter(is_first).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_keeps_its_first_lowest_highest_and_last_point() {
        let column: Vec<_> =
            [5.0, 7.0, 1.0, 9.0, 4.0, 6.0].iter().enumerate().map(|(at, y)| (at as f64 / 10.0, *y)).collect();
        assert_eq!(line(&column), [(0.0, 5.0), (0.2, 1.0), (0.3, 9.0), (0.5, 6.0)]);
    }

    #[test]
    fn sparse_lines_stay_as_they_are() {
        let points = vec![(0.5, 1.0), (1.5, 3.0), (2.5, 2.0)];
        assert_eq!(line(&points), points);
    }

    #[test]
    fn a_cloud_stays_whole_until_it_is_a_surface() {
        let cloud = |count: u32| {
            (0..count).map(|at| (f64::from(at % 500) * 0.7, f64::from(at / 500) * 0.3)).collect()
        };
        let few: Vec<_> = cloud(15_000);
        assert_eq!(markers(few.clone()), few);
        assert!(markers(cloud(1_000_000)).len() < 40_000);
    }
}
