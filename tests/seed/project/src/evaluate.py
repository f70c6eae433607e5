"""Judges the model: numbers in metrics.json, curves in results/."""

import json
import pathlib

import joblib
import matplotlib
import numpy
from sklearn.metrics import (
    PrecisionRecallDisplay,
    RocCurveDisplay,
    accuracy_score,
    average_precision_score,
    roc_auc_score,
)

RESULTS = pathlib.Path("results")


def metrics(labels: numpy.ndarray, scores: numpy.ndarray) -> dict:
    """How well the scores tell the labels apart."""
    numbers = {
        "accuracy": accuracy_score(labels, scores > 0.5),
        "average_precision": average_precision_score(labels, scores),
        "roc_auc": roc_auc_score(labels, scores),
    }
    return {name: round(float(number), 4) for name, number in numbers.items()}


def main() -> None:
    matplotlib.use("Agg")
    rows = numpy.load("data/prepared/test.npy")
    labels = rows[:, -1]
    scores = joblib.load("model.joblib").predict_proba(rows[:, :-1])[:, 1]
    pathlib.Path("metrics.json").write_text(json.dumps(metrics(labels, scores), indent=2) + "\n")
    RESULTS.mkdir(exist_ok=True)
    for display, name in [
        (RocCurveDisplay, "roc_curve"),
        (PrecisionRecallDisplay, "precision_recall_curve"),
    ]:
        curve = display.from_predictions(labels, scores, name="logistic regression")
        curve.figure_.savefig(RESULTS / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
