"""Trains the model on the prepared data."""

import pathlib

import joblib
import numpy
import yaml
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def model(features: int, looseness: float) -> Pipeline:
    """A logistic regression on the first columns; a larger `looseness` lets it follow the data more closely."""
    return make_pipeline(
        make_column_transformer((StandardScaler(), slice(0, features))),
        LogisticRegression(C=looseness, max_iter=1000),
    )


def main() -> None:
    params = yaml.safe_load(pathlib.Path("params.yaml").read_text())["train"]
    rows = numpy.load("data/prepared/train.npy")
    trained = model(params["features"], params["looseness"]).fit(rows[:, :-1], rows[:, -1])
    joblib.dump(trained, "model.joblib")


if __name__ == "__main__":
    main()
