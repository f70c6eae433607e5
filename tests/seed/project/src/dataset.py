"""Writes the raw data: scikit-learn's bundled breast cancer data set as one CSV file, the label last."""

import csv
import pathlib

from sklearn.datasets import load_breast_cancer


def main() -> None:
    bundled = load_breast_cancer()
    pathlib.Path("data").mkdir(exist_ok=True)
    with open("data/tumours.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*bundled.feature_names, "benign"])
        for features, label in zip(bundled.data, bundled.target):
            rows.writerow([*(f"{value:g}" for value in features), label])


if __name__ == "__main__":
    main()
