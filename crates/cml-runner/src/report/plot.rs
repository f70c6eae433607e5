//! `report plot`: columns of a table as a picture.

use cml_metrics::Table;
use cml_plot::{Chart, ConfusionMatrix, Kind, Scale, Series, precision_recall, roc};
use serde_json::json;

use crate::args::Global;
use crate::exit::{CliError, ExitCode};
use crate::report::args::{Plot, PlotKind};
use crate::report::files;

pub(crate) fn plot(global: &Global, args: &Plot) -> Result<String, CliError> {
    let usage = |message: String| CliError::new(ExitCode::Usage, message);
    let end = args.output.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !["svg", "png"].contains(&end.as_str()) {
        return Err(usage(format!("--output {}: its name must end in .svg or .png", args.output.display())));
    }
    let bytes = files::read(&args.table)?;
    let table = Table::read(&args.table.display().to_string(), &bytes, args.at.as_deref())
        .map_err(|error| CliError::new(ExitCode::Failed, error.to_string()))?;
    let mut chart = Chart::new(kind(args, &table)?);
    chart.title.clone_from(&args.title);
    let has_columns_for_axes = matches!(args.kind, PlotKind::Line | PlotKind::Scatter);
    chart.x_label = args.x_label.clone().or_else(|| has_columns_for_axes.then(|| args.x.clone()));
    chart.y_label.clone_from(&args.y_label);
    let scale = |is_log: bool| if is_log { Scale::Log } else { Scale::Linear };
    (chart.x_scale, chart.y_scale) = (scale(args.log_x), scale(args.log_y));
    chart.width = args.width.unwrap_or(chart.width);
    chart.height = args.height.unwrap_or(chart.height);
    let failed = |error: cml_plot::PlotError| {
        CliError::new(ExitCode::Failed, format!("{}: {error}", args.table.display()))
    };
    let picture = if end == "svg" {
        chart.to_svg().map_err(failed)?.into_bytes()
    } else {
        chart.to_png().map_err(failed)?
    };
    std::fs::write(&args.output, picture).map_err(|error| {
        CliError::new(ExitCode::Failed, format!("cannot write {}: {error}", args.output.display()))
    })?;
    let path = args.output.display().to_string();
    Ok(if global.json { format!("{}\n", json!({"path": path})) } else { format!("{path}\n") })
}

fn kind(args: &Plot, table: &Table) -> Result<Kind, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::new(ExitCode::Failed, error.to_string());
    let numbers = |column: &str| table.numbers(column).map_err(|error| failed(&error));
    let texts = |column: &str| table.texts(column).map_err(|error| failed(&error));
    Ok(match args.kind {
        PlotKind::Line | PlotKind::Scatter => {
            let x = numbers(&args.x)?;
            let series = args
                .y
                .iter()
                .map(|column| {
                    Ok(Series::new(column.clone(), x.iter().copied().zip(numbers(column)?).collect()))
                })
                .collect::<Result<Vec<_>, CliError>>()?;
            if args.kind == PlotKind::Line { Kind::Line(series) } else { Kind::Scatter(series) }
        }
        PlotKind::Confusion => {
            let [predicted] = args.y.as_slice() else {
                return Err(CliError::new(
                    ExitCode::Usage,
                    "a confusion matrix has one column of predictions: give one -y",
                ));
            };
            let pairs = texts(&args.x)?
                .into_iter()
                .zip(texts(predicted)?)
                .filter_map(|(one, other)| Some((one?, other?)));
            let matrix = ConfusionMatrix::from_pairs(pairs).map_err(|error| failed(&error))?;
            Kind::Confusion(if args.normalise { matrix.normalised() } else { matrix })
        }
        PlotKind::Roc => {
            let positives = positives(args, &texts(&args.x)?)?;
            let curve = |column: &String| {
                roc(column.clone(), &numbers(column)?, &positives).map_err(|error| failed(&error))
            };
            Kind::Roc(args.y.iter().map(curve).collect::<Result<_, _>>()?)
        }
        PlotKind::Pr => {
            let positives = positives(args, &texts(&args.x)?)?;
            let curve = |column: &String| {
                precision_recall(column.clone(), &numbers(column)?, &positives)
                    .map_err(|error| failed(&error))
            };
            Kind::PrecisionRecall(args.y.iter().map(curve).collect::<Result<_, _>>()?)
        }
    })
}

/// Returns which rows are positive: those with the label, or with `true` or `1.0` where the label is 1.
fn positives(args: &Plot, labels: &[Option<String>]) -> Result<Vec<bool>, CliError> {
    let is_positive = |label: &str| {
        label == args.positive
            || (args.positive == "1" && (label.eq_ignore_ascii_case("true") || label == "1.0"))
    };
    labels
        .iter()
        .enumerate()
        .map(|(row, label)| match label {
            Some(label) => Ok(is_positive(label)),
            None => Err(CliError::new(
                ExitCode::Failed,
                format!("{}: row {} has no label in column {}", args.table.display(), row + 1, args.x),
            )),
        })
        .collect()
}
