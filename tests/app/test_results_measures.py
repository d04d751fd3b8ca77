"""The measures on the results screen: per class, averaged, and of the probabilities."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.support.app_pilot import (
    make_app,
    open_results,
    screen_lines,
    screen_text,
    wait_until,
)
from tests.support.result_messages import measures, results
from tests.support.scripted_engine import ScriptedEngine


class TestMeasures:
    @pytest.mark.parametrize("size", [(80, 24), (40, 12)])
    async def test_averages_calibration_and_reliability(self, size):
        engine = ScriptedEngine()
        app = make_app(engine)
        async with app.run_test(size=size) as pilot:
            await open_results(pilot, engine, results(measures=measures()))
            await pilot.press("tab", "tab")
            if size[0] >= 80:
                assert "hot dog 36 of 40, .90 (.77 to .96) .90 .90 .93" in " ".join(
                    screen_text(app).split()
                )
            await pilot.press("tab")
            text = " ".join(screen_text(app).split())
            assert "precision .87, recall .88, F1 .87" in text
            if size[0] == 40:
                await pilot.press("end")
            text = " ".join(screen_text(app).split())
            assert "0.93 to 1.00 63 of 70" in text
            assert all(cell_len(line) == size[0] for line in screen_lines(app))
        if size[0] >= 80:
            assert "ECE .162 in 15 bins; with 80 images" in text
            assert "the model is too certain (mean confidence .96, accuracy .88)" in text
            assert "temperature 1.340; dividing the logits by it changes the NLL from" in text
            assert "ROC AUC .931" in text and "Brier .213" in text and "top-5" not in text

    async def test_what_is_not_measured_is_explained(self):
        engine = ScriptedEngine()
        app = make_app(engine)
        none = measures(
            ece=0.15, temperature=None, temperature_missing="few_wrong", roc_auc=None, top5=0.973
        )
        async with app.run_test(size=(80, 24)) as pilot:
            await open_results(pilot, engine, results(measures=none))
            await pilot.press("tab", "tab", "tab")
            text = " ".join(screen_text(app).split())
            assert "no miscalibration seen" in text and "two wrong predictions" in text
            assert "top-5 .97" in text and "ROC AUC" not in text
            engine.emit(results(step=1))
            await wait_until(pilot, lambda: "some outputs" in screen_text(app))
