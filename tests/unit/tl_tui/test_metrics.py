"""Confidence intervals and comparisons of counts of correct predictions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl_tui.common import metrics

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_the_interval_of_71_of_80_is_80_to_94() -> None:
    assert metrics.accuracy_words(71, 80) == "71 of 80, .89 (.80 to .94)"
    assert metrics.accuracy_words(80, 80) == "80 of 80, 1.00 (.95 to 1.00)"
    assert metrics.accuracy_words(0, 0) == "0 of 0"


@given(COUNTS)
def test_an_interval_contains_its_share_and_stays_within_0_and_1(count) -> None:
    correct, total = count
    low, high = metrics.interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1


@given(COUNTS)
def test_more_images_give_a_narrower_interval(count) -> None:
    correct, total = count
    wide = metrics.interval(correct, total)
    narrow = metrics.interval(10 * correct, 10 * total)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def test_mcnemar_agrees_with_calculations_by_hand() -> None:
    assert metrics.mcnemar(0, 0) == 1.0
    assert metrics.mcnemar(5, 5) == 1.0
    assert metrics.mcnemar(0, 6) == pytest.approx(2 / 2**6)
    assert metrics.mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_symmetric(one, other) -> None:
    p = metrics.mcnemar(one, other)
    assert 0 <= p <= 1 and p == metrics.mcnemar(other, one)


def test_the_approximation_for_many_images_agrees_with_the_exact_test() -> None:
    exact = 2 * sum(math.comb(1000, count) for count in range(466)) / 2**1000
    assert metrics.mcnemar(465, 535) == pytest.approx(exact)
    assert metrics.mcnemar(466, 536) == pytest.approx(exact, rel=0.05)  # approximated


def test_comparisons_as_text() -> None:
    assert metrics.comparison_words(5, 3) == "no difference seen (5 against 3, p 0.73)"
    assert metrics.comparison_words(12, 2) == "better (12 against 2, p 0.013)"
    assert metrics.comparison_words(2, 12) == "worse (2 against 12, p 0.013)"


def test_balanced_accuracy_ignores_classes_without_images() -> None:
    assert metrics.balanced_accuracy([(9, 10), (1, 2), (0, 0)]) == pytest.approx(0.7)
