import numpy

from src.evaluate import metrics
from src.prepare import split
from src.train import model


def test_both_parts_have_the_same_share_of_each_label():
    rows = numpy.column_stack([numpy.arange(100.0), numpy.arange(100) % 4 == 0])
    train, test = split(rows, test_share=0.4, seed=1)
    assert (len(train), len(test)) == (60, 40)
    assert train[:, -1].mean() == test[:, -1].mean() == 0.25


def test_the_model_tells_apart_what_a_line_can_tell_apart():
    features = numpy.linspace(-1, 1, 50).reshape(-1, 1)
    labels = (features[:, 0] > 0).astype(float)
    scores = model(features=1, looseness=100).fit(features, labels).predict_proba(features)[:, 1]
    assert metrics(labels, scores) == {"accuracy": 1.0, "average_precision": 1.0, "roc_auc": 1.0}
