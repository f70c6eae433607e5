"""Splits the raw data into what the model learns from and what it is judged by."""

import pathlib

import numpy
import yaml
from sklearn.model_selection import train_test_split

PREPARED = pathlib.Path("data/prepared")


def split(rows: numpy.ndarray, test_share: float, seed: int) -> tuple:
    """The rows in two parts, with the same share of labels in each."""
    return train_test_split(rows, test_size=test_share, random_state=seed, stratify=rows[:, -1])


def main() -> None:
    params = yaml.safe_load(pathlib.Path("params.yaml").read_text())["split"]
    rows = numpy.loadtxt("data/tumours.csv", delimiter=",", skiprows=1)
    train, test = split(rows, params["test_share"], params["seed"])
    PREPARED.mkdir(parents=True, exist_ok=True)
    numpy.save(PREPARED / "train.npy", train)
    numpy.save(PREPARED / "test.npy", test)


if __name__ == "__main__":
    main()
