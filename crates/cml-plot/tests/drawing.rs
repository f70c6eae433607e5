//! Whole plots: their content, refused input, and robustness against any data.

use cml_plot::{Chart, ConfusionMatrix, Kind, PlotError, Scale, Series, precision_recall, roc};
use proptest::prelude::*;

fn losses() -> Vec<Series> {
    let train = vec![(1.0, 0.9), (2.0, 0.6), (3.0, f64::NAN), (4.0, 0.4), (5.0, 0.35)];
    vec![Series::new("train", train), Series::new("<val> & co", vec![(1.0, 1.0), (3.0, 0.7), (5.0, 0.6)])]
}

fn texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("the SVG is XML");
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

/// Returns the size of a PNG from its header.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && &png[12..16] == b"IHDR");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

fn points(svg: &str) -> Vec<usize> {
    let document = roxmltree::Document::parse(svg).expect("the SVG is XML");
    let series = |node: &roxmltree::Node<'_, '_>| {
        node.has_tag_name("polyline")
            && node.attribute("class").is_some_and(|class| class.starts_with("stroke-series"))
    };
    let lines = document.descendants().filter(series);
    lines.map(|line| line.attribute("points").unwrap_or_default().split(' ').count()).collect()
}

#[test]
fn a_line_plot_as_svg() {
    let mut chart = Chart::new(Kind::Line(losses()));
    chart.title = Some("Loss of the small model".to_owned());
    (chart.x_label, chart.y_label) = (Some("epoch".to_owned()), Some("loss".to_owned()));
    insta::assert_snapshot!(chart.to_svg().unwrap());
}

#[test]
fn a_confusion_matrix_as_svg() {
    let pairs = [("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("dog", "dog"), ("cat", "cat")];
    let chart = Chart::new(Kind::Confusion(ConfusionMatrix::from_pairs(pairs).unwrap().normalised()));
    insta::assert_snapshot!(chart.to_svg().unwrap());
}

#[test]
fn the_same_chart_gives_the_same_bytes() {
    let chart = Chart::new(Kind::Scatter(losses()));
    assert_eq!(chart.to_svg(), chart.to_svg());
    assert_eq!(chart.to_png(), chart.to_png());
}

#[test]
fn a_png_has_two_pixels_for_each_css_pixel() {
    let mut chart = Chart::new(Kind::Line(losses()));
    (chart.width, chart.height) = (400, 300);
    assert_eq!(size(&chart.to_png().unwrap()), (800, 600));
}

#[test]
fn a_missing_value_is_a_gap() {
    let svg = Chart::new(Kind::Line(losses())).to_svg().unwrap();
    // The legend's two samples, the second series, and the first one's two parts.
    assert_eq!(points(&svg), [2, 2, 3, 2, 2]);
}

#[test]
fn lines_run_along_x_whatever_the_order_of_rows() {
    let forth = vec![(1.0, 5.0), (2.0, 7.0), (3.0, 1.0)];
    let back: Vec<_> = forth.iter().rev().copied().collect();
    let svg = |points| Chart::new(Kind::Line(vec![Series::new("y", points)])).to_svg();
    assert_eq!(svg(forth), svg(back));
}

#[test]
fn a_million_points_make_a_small_file() {
    let million = (0..1_000_000).map(|at| (f64::from(at), f64::from(at % 1009))).collect();
    let svg = Chart::new(Kind::Line(vec![Series::new("loss", million)])).to_svg().unwrap();
    assert!(svg.len() < 60_000, "{}", svg.len());
}

#[test]
fn legends_tell_the_areas_of_curves() {
    let (scores, labels) = ([0.1, 0.4, 0.35, 0.8], [false, false, true, true]);
    let chart = Chart::new(Kind::Roc(vec![roc("tree", &scores, &labels).unwrap()]));
    let shown = texts(&chart.to_svg().unwrap());
    assert!(
        ["tree (AUC = 0.750)", "False positive rate", "True positive rate"]
            .iter()
            .all(|text| shown.contains(&(*text).to_owned()))
    );
    let chart = Chart::new(Kind::PrecisionRecall(vec![precision_recall("", &scores, &labels).unwrap()]));
    let shown = texts(&chart.to_svg().unwrap());
    assert!(["AP = 0.833", "Recall", "Precision"].iter().all(|text| shown.contains(&(*text).to_owned())));
}

#[test]
fn a_single_series_is_named_by_the_axis() {
    let chart = Chart::new(Kind::Line(vec![Series::new("accuracy", vec![(1.0, 0.5), (2.0, 0.6)])]));
    let shown = texts(&chart.to_svg().unwrap());
    assert_eq!(shown.iter().filter(|text| *text == "accuracy").count(), 1);
}

#[test]
fn entries_for_which_a_legend_has_no_room_are_counted() {
    let many = (0..30)
        .map(|at| Series::new(format!("a run with a long name, number {at}"), vec![(0.0, f64::from(at))]));
    let shown = texts(&Chart::new(Kind::Line(many.collect())).to_svg().unwrap());
    let named = shown.iter().filter(|text| text.starts_with("a run")).count();
    assert!(shown.contains(&format!("and {} more", 30 - named)), "{shown:?}");
}

#[test]
fn logarithms_of_what_has_none_are_refused() {
    let mut chart = Chart::new(Kind::Line(vec![Series::new("loss", vec![(0.0, 1.0), (1.0, -0.5)])]));
    chart.y_scale = Scale::Log;
    let refused = chart.to_svg().unwrap_err();
    assert_eq!(refused, PlotError::NotPositive { axis: "y", series: "loss".to_owned(), value: -0.5 });
    insta::assert_snapshot!(refused, @r#"the y axis is logarithmic, but series "loss" has the value -0.5 there: use a linear scale, or leave out what is not above 0"#);
    chart.kind = Kind::Roc(vec![roc("", &[0.1, 0.2], &[false, true]).unwrap()]);
    assert_eq!(chart.to_png(), Err(PlotError::LogScale { kind: "ROC curve" }));
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let empty =
        Chart::new(Kind::Scatter(vec![Series::new("a", vec![(1.0, f64::NAN), (f64::INFINITY, 1.0)])]));
    assert_eq!(empty.to_svg(), Err(PlotError::NothingToDraw));
    assert_eq!(Chart::new(Kind::Roc(Vec::new())).to_svg(), Err(PlotError::NothingToDraw));
    let many = Chart::new(Kind::Line(vec![Series::new("a", vec![(0.0, 0.0)]); 31]));
    assert_eq!(many.to_svg(), Err(PlotError::TooManySeries { count: 31, limit: 30 }));
    let mut small = Chart::new(Kind::Line(losses()));
    small.width = 100;
    insta::assert_snapshot!(small.to_svg().unwrap_err(), @"a plot of 100×440 pixels cannot be drawn: width must be 240 to 2000, height 200 to 2000");
}

/// Asserts that every number in the attributes is valid, every text begins inside the picture, and the PNG has its
/// size.
fn check(chart: &Chart) -> Result<(), TestCaseError> {
    let svg = chart.to_svg().map_err(|error| TestCaseError::fail(error.to_string()))?;
    let document =
        roxmltree::Document::parse(&svg).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let (width, height) = (f64::from(chart.width), f64::from(chart.height));
    for node in document.descendants() {
        for attribute in node.attributes().filter(|attribute| attribute.name() != "font-family") {
            let value = attribute.value();
            prop_assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
        }
        for (name, most) in [("x", width), ("y", height)] {
            if let Some(place) = node.attribute(name).and_then(|place| place.parse::<f64>().ok()) {
                prop_assert!((0.0..=most).contains(&place), "{name} {place}");
            }
        }
    }
    let png = chart.to_png().map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(size(&png), (chart.width * 2, chart.height * 2));
    Ok(())
}

fn number() -> impl Strategy<Value = f64> {
    let finite = any::<f64>().prop_filter("finite", |number| number.is_finite());
    prop_oneof![4 => -1e3_f64..1e3, 2 => finite, 1 => (-5_i8..5).prop_map(f64::from)]
}

fn series() -> impl Strategy<Value = Vec<Series>> {
    let points = prop::collection::vec((number(), number()), 1..40);
    prop::collection::vec((any::<String>(), points), 1..6)
        .prop_map(|all| all.into_iter().map(|(name, points)| Series::new(name, points)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_finite_points_make_a_plot(
        series in series(),
        title in prop::option::of(any::<String>()),
        label in prop::option::of(any::<String>()),
        scatter in any::<bool>(),
        logarithmic in any::<(bool, bool)>(),
        (width, height) in (240_u32..900, 200_u32..700),
    ) {
        let scale = |log: bool| if log { Scale::Log } else { Scale::Linear };
        let positive = |value: f64, log: bool| if log { value.abs().max(f64::from_bits(1)) } else { value };
        let series: Vec<Series> = series.into_iter().map(|series| {
            let points = series.points.into_iter().map(|(x, y)| (positive(x, logarithmic.0), positive(y, logarithmic.1)));
            Series::new(series.name, points.collect())
        }).collect();
        let kind = if scatter { Kind::Scatter(series) } else { Kind::Line(series) };
        let chart = Chart {
            title,
            x_label: label.clone(),
            y_label: label,
            x_scale: scale(logarithmic.0),
            y_scale: scale(logarithmic.1),
            width,
            height,
            ..Chart::new(kind)
        };
        check(&chart)?;
    }

    #[test]
    fn any_scores_of_both_classes_make_curves(
        examples in prop::collection::vec((number(), any::<bool>()), 0..200),
        name in any::<String>(),
    ) {
        let examples = [examples, vec![(0.5, true), (0.1, false)]].concat();
        let (scores, labels): (Vec<f64>, Vec<bool>) = examples.into_iter().unzip();
        let curve = roc(&*name, &scores, &labels).unwrap();
        prop_assert!((0.0..=1.0).contains(&curve.auc()));
        check(&Chart { width: 300, height: 260, ..Chart::new(Kind::Roc(vec![curve])) })?;
        let curve = precision_recall(name, &scores, &labels).unwrap();
        prop_assert!((0.0..=1.0).contains(&curve.average_precision()));
        check(&Chart { width: 300, height: 260, ..Chart::new(Kind::PrecisionRecall(vec![curve])) })?;
    }

    #[test]
    fn any_counts_make_a_confusion_matrix(
        rows in (1_usize..25).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(any::<u64>(), n), n)),
        name in any::<String>(),
        normalised in any::<bool>(),
        (width, height) in (240_u32..900, 200_u32..700),
    ) {
        let classes = (0..rows.len()).map(|at| format!("{name} {at}")).collect();
        let kind = Kind::Confusion(ConfusionMatrix { classes, counts: rows, normalised });
        check(&Chart { width, height, ..Chart::new(kind) })?;
    }
}
