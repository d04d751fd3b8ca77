"""The measures of an evaluation equal scikit-learn's, on random and on degenerate inputs."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn import metrics
from sklearn.calibration import calibration_curve

from engine.checks import image_scores, measures
from engine.checks.image_scores import ImageScores
from tl_tui.protocol.measures import Measures

KINDS = ("random", "all right", "all wrong", "ties", "constant", "certain")


def result_of(work: Any) -> Any:
    """Run a generator to its end and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value


def measured(labels: np.ndarray, logits: np.ndarray, batch: int = 7) -> Measures:
    """Measure outputs, batch by batch."""
    scores = ImageScores(logits.shape[1])
    for first in range(0, len(labels), batch):
        part = slice(first, first + batch)
        outputs = torch.from_numpy(logits[part])
        scores.add(labels[part].tolist(), outputs.argmax(1).tolist(), outputs)
    whole = result_of(scores.measure())
    assert isinstance(whole, Measures)
    return whole


@st.composite
def outputs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits; some classes may be missing, and there may be one image."""
    classes = draw(st.integers(2, 8))
    images = draw(st.integers(1, 40))
    kind = draw(st.sampled_from(KINDS))
    present = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes, unique=True))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = generator.choice(present, images)
    logits = generator.normal(0, 2, (images, classes))
    if kind == "all right":
        logits[np.arange(images), labels] = 9
    elif kind == "all wrong":
        logits[np.arange(images), labels] = -9
    elif kind == "ties":
        logits = logits[generator.integers(0, 3, images) % images]  # several images are the same
        logits[:, : classes // 2] = logits[:, [0]]  # and so are outputs of an image
    elif kind == "constant":
        logits[:] = 0.5
    elif kind == "certain":
        logits *= 100
    return labels, logits.astype(np.float32)


def expected(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Return what scikit-learn measures."""
    classes = logits.shape[1]
    probabilities = torch.from_numpy(logits).double().softmax(1).numpy()
    predicted = logits.argmax(1)
    present = np.unique(labels)
    each = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(classes), zero_division=np.nan
    )
    averages = {
        kind: metrics.precision_recall_fscore_support(
            labels, predicted, labels=present, average=kind, zero_division=0
        )[:3]
        for kind in ("macro", "weighted")
    }
    # In the order of the logarithms, because float64 rounds small probabilities to 0.
    order = torch.from_numpy(logits).double().log_softmax(1).numpy()
    if classes == 2:
        order = logits.astype(np.float64) - logits[:, ::-1]
    areas = [
        metrics.roc_auc_score(labels == index, order[:, index])
        if 0 < (labels == index).sum() < len(labels)
        else None
        for index in range(classes)
    ]
    confidence = probabilities.max(1)
    accuracy, mean = calibration_curve(predicted == labels, confidence, n_bins=15)
    numbers = np.unique(measures.bin_numbers(confidence), return_counts=True)[1]
    return {
        "each": each[:3],
        **averages,
        "areas": areas,
        "top5": metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(classes))
        if classes > 5
        else None,
        "brier": metrics.brier_score_loss(
            labels, probabilities, labels=range(classes), scale_by_half=False
        ),
        "ece": (numbers * abs(accuracy - mean)).sum() / len(labels),
    }


def close(value: float | None, other: float | None) -> bool:
    """Whether two numbers agree; None and nan are no number."""
    if value is None or other is None or math.isnan(other):
        return value is None and (other is None or math.isnan(other))
    return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=25, deadline=None)
@given(outputs())
def test_measures_equal_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = expected(labels, logits)
    ours = measured(labels, logits)
    for index, one in enumerate(ours.per_class):
        assert close(one.precision, theirs["each"][0][index])
        assert close(one.recall, theirs["each"][1][index])
        assert close(one.f1, theirs["each"][2][index])
        assert close(one.roc_auc, theirs["areas"][index])
    for average, name in ((ours.macro, "macro"), (ours.weighted, "weighted")):
        for mine, other in zip(
            (average.precision, average.recall, average.f1), theirs[name], strict=True
        ):
            assert close(mine, other)
    areas = [area for area in theirs["areas"] if area is not None]
    assert close(ours.roc_auc, sum(areas) / len(areas) if areas else None)
    assert close(ours.top5, theirs["top5"])
    assert close(ours.brier, theirs["brier"])
    assert close(ours.ece, theirs["ece"])
    assert 0 <= ours.ece_calibrated <= 1 and 0 <= ours.ece_calibrated_high <= 1
    assert sum(one.images for one in ours.reliability) == len(labels)
    assert sum(one.correct for one in ours.reliability) == (logits.argmax(1) == labels).sum()


def test_binary_and_one_vs_rest_areas_are_scikit_learns() -> None:
    generator = np.random.default_rng(3)
    for classes in (2, 4):
        labels = generator.integers(0, classes, 60)
        logits = generator.normal(0, 1, (60, classes)).astype(np.float32)
        probabilities = torch.from_numpy(logits).double().softmax(1).numpy()
        scores = probabilities[:, 1] if classes == 2 else probabilities
        theirs = metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
        assert measured(labels, logits).roc_auc == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(outputs())
def test_nll_equals_pytorchs(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = drawn
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).double(), torch.from_numpy(labels), reduction="none"
    )
    ours = measures.nll(labels, logits.astype(np.float64))
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-12)


# --- calibration --------------------------------------------------------------------------------


def test_calibrated_error_is_that_of_labels_drawn_from_the_probabilities() -> None:
    """80 images show an ECE of about .10, although the model is calibrated; 8,000 do not."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.2, (80, 2))
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    confidence, predicted = probabilities.max(1), probabilities.argmax(1)
    found = result_of(measures.calibrated_error(confidence))
    drawn = [
        measures.reliability_bins(
            confidence, predicted == (generator.random(80) < probabilities[:, 1])
        ).error
        for _ in range(2000)
    ]
    assert found.mean == pytest.approx(np.mean(drawn), abs=0.004)
    assert found.high == pytest.approx(np.quantile(drawn, 0.95), abs=0.008)
    assert 0.08 < found.mean < 0.12
    assert result_of(measures.calibrated_error(np.tile(confidence, 100))).mean < 0.02
    assert result_of(measures.calibrated_error(confidence)) == found, "the simulation is seeded"


def overconfident(images: int, factor: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the probabilities of logits, and these logits times a factor."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (images, 3))
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    labels = (probabilities.cumsum(1) < generator.random((images, 1))).sum(1)
    return labels, (factor * logits).astype(np.float32)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_temperature_has_the_lowest_nll(factor: float) -> None:
    labels, logits = overconfident(500, factor)

    def loss(log_temperature: float) -> float:
        return float(measures.nll(labels, logits / np.exp(log_temperature)).mean())

    best = math.exp(minimize_scalar(loss, bounds=(-3, 3), options={"xatol": 1e-9}).x)
    fitted = result_of(measures.fit_temperature(labels, logits))
    assert fitted == pytest.approx(best, rel=1e-5)
    assert fitted == pytest.approx(factor, rel=0.15)


def test_cross_fit_scales_each_fold_by_the_temperature_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, logits = overconfident(200, 3.0)
    temperature = measured(labels, logits).temperature
    assert temperature is not None
    assert temperature.value == pytest.approx(3, rel=0.25)
    assert temperature.nll_before == pytest.approx(measures.nll(labels, logits).mean())
    assert temperature.nll_after < temperature.nll_before
    assert temperature.ece_after < temperature.ece_before
    in_sample = measures.nll(labels, logits / temperature.value).mean()
    assert temperature.nll_after > in_sample, "held-out images are not those of the fit"
    # With one fold per image, each is scaled by a temperature that does not know its label.
    few, few_logits = labels[:12], logits[:12]
    fitted = result_of(measures.cross_fit_temperature(few, few_logits, folds=12))
    losses = []
    for held_out in range(12):
        others = np.arange(12) != held_out
        value = result_of(measures.fit_temperature(few[others], few_logits[others]))
        losses.append(measures.nll(few[[held_out]], few_logits[[held_out]] / value)[0])
    assert fitted.nll_after == pytest.approx(np.mean(losses))


def test_no_temperature_without_wrong_images_or_information() -> None:
    labels, logits = overconfident(40, 1.0)
    right = logits.copy()
    right[np.arange(40), labels] = 20
    assert measured(labels, right).temperature_missing == "few_wrong"
    right[0, labels[0]] = -20
    assert measured(labels, right).temperature_missing == "few_wrong"
    wrong = logits.copy()
    wrong[np.arange(40), labels] = -20
    ours = measured(labels, wrong)
    assert ours.temperature is None and ours.temperature_missing == "not_found"
    assert measured(labels[:1], wrong[:1]).temperature is None


# --- memory -------------------------------------------------------------------------------------


def test_outputs_beyond_the_limit_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, logits = overconfident(60, 2.0)
    whole = measured(labels, logits)
    monkeypatch.setattr(image_scores, "KEPT_BYTES", 300)
    small = measured(labels, logits)
    assert small.roc_auc is None and small.temperature_missing == "not_kept"
    assert (small.brier, small.ece, small.macro) == (whole.brier, whole.ece, whole.macro)
    assert small.ece_calibrated == whole.ece_calibrated


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_not_finite_are_not_measured(value: float) -> None:
    labels, logits = overconfident(9, 1.0)
    logits[4, 1] = value
    scores = ImageScores(3)
    scores.add(labels.tolist(), [0] * 9, torch.from_numpy(logits))
    assert result_of(scores.measure()) is None
