"""The measures of an evaluation as short sentences, for the results screen and the commands."""

from __future__ import annotations

from collections.abc import Sequence

from tl_tui.common.metrics import share_words
from tl_tui.protocol.measures import (
    Averages,
    ClassMeasures,
    Measures,
    ReliabilityBin,
    Temperature,
    TemperatureMissing,
)

NO_TEMPERATURE: dict[TemperatureMissing, str] = {
    "few_wrong": "not fitted: that takes two wrong predictions at least",
    "not_found": "not fitted: no temperature between .01 and 100 has the lowest NLL",
    "not_kept": "not fitted: there are too many outputs to keep them in memory",
}


def measure_sentences(
    measures: Measures, loss: float, per_class: Sequence[tuple[int, int]]
) -> list[tuple[str, str]]:
    """Return pairs of a measure's name and its value, with what is needed to read it.

    Args:
        measures: The measures.
        loss: The mean cross-entropy.
        per_class: (correct, total) of each class.
    """
    present = sum(total > 0 for _, total in per_class)
    images = sum(total for _, total in per_class)
    classes = f"{present:,} class{'es' if present != 1 else ''} with images"
    sentences = [
        ("macro", f"{averages_words(measures.macro)}; mean over the {classes}"),
        ("weighted", f"{averages_words(measures.weighted)}; weighted by images"),
    ]
    if measures.roc_auc is not None:
        kind = "" if len(per_class) == 2 else f", each class against the rest, mean over {classes}"
        sentences.append(("ROC AUC", f"{three_digits(measures.roc_auc)}{kind}"))
    if measures.top5 is not None:
        top5 = f"{share_words(measures.top5)}, the class is among the five most probable ones"
        sentences.append(("top-5", top5))
    return [
        *sentences,
        ("NLL", f"{three_digits(loss)}, the mean negative log-likelihood, which is the loss"),
        ("Brier", f"{three_digits(measures.brier)}, squared error over all classes, 0 to 2"),
        ("ECE", calibration_words(measures, images)),
        ("temperature", temperature_words(measures, images)),
    ]


def averages_words(averages: Averages) -> str:
    """Return averages such as `precision .89, recall .88, F1 .88`."""
    return (
        f"precision {share_words(averages.precision)}, recall {share_words(averages.recall)}, "
        f"F1 {share_words(averages.f1)}"
    )


def class_words(one: ClassMeasures) -> str:
    """Return the measures of a class beside its accuracy, such as `precision .80, F1 .80, ROC AUC
    .91`; a dash is a measure that is not defined."""
    return (
        f"precision {share_or_dash(one.precision)}, F1 {share_or_dash(one.f1)}, "
        f"ROC AUC {share_or_dash(one.roc_auc)}"
    )


def share_or_dash(value: float | None) -> str:
    """Return a share such as `.89`, or `-` if there is none."""
    return "-" if value is None else share_words(value)


def calibration_words(measures: Measures, images: int) -> str:
    """Return the calibration error, and whether it is larger than that of a calibrated model."""
    plural = "image" if images == 1 else "images"
    error, high = three_digits(measures.ece), three_digits(measures.ece_calibrated_high)
    calibrated = (
        f"{error} in {len(measures.reliability)} bins; with {images:,} {plural}, a perfectly "
        f"calibrated model shows {three_digits(measures.ece_calibrated)} on average and more than "
        f"{high} in 5 % of cases"
    )
    if measures.ece <= measures.ece_calibrated_high:
        return f"{calibrated}: no miscalibration seen"
    confidence, accuracy = mean_confidence(measures.reliability)
    how = "too certain" if confidence > accuracy else "not certain enough"
    return (
        f"{calibrated}: the model is {how} (mean confidence {share_words(confidence)}, "
        f"accuracy {share_words(accuracy)})"
    )


def mean_confidence(reliability: Sequence[ReliabilityBin]) -> tuple[float, float]:
    """Return the mean probability of the predicted classes, and the accuracy."""
    images = sum(one.images for one in reliability)
    confidence = sum(one.images * one.confidence for one in reliability)
    return confidence / images, sum(one.correct for one in reliability) / images


def temperature_words(measures: Measures, images: int) -> str:
    """Return the temperature and what it is worth, or why there is none."""
    if measures.temperature is None:
        return NO_TEMPERATURE[measures.temperature_missing or "not_found"]
    fitted = measures.temperature
    return f"{three_digits(fitted.value)}; {fit_words(fitted, images)}"


def fit_words(fitted: Temperature, images: int) -> str:
    """Return what a temperature changes, on images that it was not fitted on."""
    helps = fitted.nll_after < fitted.nll_before
    sample = f" of a sample of {fitted.images:,} images" if fitted.images < images else ""
    return (
        f"dividing the logits by it changes the NLL from {three_digits(fitted.nll_before)} to "
        f"{three_digits(fitted.nll_after)} and the ECE from {three_digits(fitted.ece_before)} to "
        f"{three_digits(fitted.ece_after)} (on {fitted.folds} held-out folds{sample})"
        f"{'' if helps else ': the NLL does not fall'}"
    )


def three_digits(value: float) -> str:
    """Return a number with three decimals and without a leading zero, such as `.081`."""
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text
