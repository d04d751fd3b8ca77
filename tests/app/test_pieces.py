"""Functions behind the screen: layout, plots, the inspector's texts and the saved preferences."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stack_messages import measured, opened, owners_named, resnet18_stack, step_taken
from tl_tui.common.metrics import interval
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import Heartbeat
from tl_tui.settings.preferences import (
    Preferences,
    load_preferences,
    load_stack,
    remember,
    save_stack,
)
from tui.drawing.decimation import MOST_BUCKETS, Decimation
from tui.drawing.lines import clipped, fitted, line, line_width
from tui.drawing.main_layout import LayoutRequest, main_layout
from tui.drawing.plot import Scale, Series, plot
from tui.drawing.theme import UNICODE
from tui.state.cursor import Target
from tui.state.layer_status import layer_status
from tui.state.mask_undo import MOST_UNDO, MaskHistory
from tui.state.run_state import RunState
from tui.text.format import format_measured, format_short, format_significant
from tui.text.layer_details import layer_details
from tui.text.progress import progress_text
from tui.widgets.state_lines import StateLines

STACK = resnet18_stack()


class TestMainLayout:
    @given(
        st.integers(1, 320),
        st.integers(1, 100),
        st.builds(LayoutRequest, stack_lines=st.integers(5, 80), warning=st.booleans()),
    )
    def test_nothing_overlaps_and_nothing_sticks_out(self, width, height, request):
        regions = main_layout(width, height, request)
        contents = {
            name: region
            for name, region in regions.items()
            if not name.endswith("-frame") and name != "loading"
        }
        for region in regions.values():
            assert region.width > 0 and region.height > 0
            assert 0 <= region.x and region.right <= width
            assert 0 <= region.y and region.bottom <= height
        for region, other in combinations(contents.values(), 2):
            assert not region.overlaps(other)
        if width >= 40 and height >= 10:
            assert {"title", "strategy", "stack", "caption", "footer"} <= set(regions)
            assert regions["stack"].height >= 5

    def test_80_by_24_shows_all_of_resnet18_and_two_panels_below(self):
        regions = main_layout(80, 24, LayoutRequest(20))
        assert regions["stack"].height == 14 and regions["loss"].height == 5
        assert regions["inspector"].right <= regions["loss"].x

    def test_panels_are_omitted_in_order(self):
        shown = [set(main_layout(width, 24)) for width in (120, 80, 60)]
        assert "accuracy" in shown[0] and "accuracy" not in shown[1]
        assert "loss" in shown[1] and "loss" not in shown[2]
        assert "inspector" in shown[2] and "inspector" not in main_layout(60, 18)


class TestCurves:
    @given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5000))
    def test_decimation_counts_every_point_once(self, values):
        decimation = Decimation()
        points = list(enumerate(values, start=1))
        for end in (len(points) // 3, len(points)):  # points that were read are not read again
            decimation.take(points[:end])
        buckets = decimation.buckets
        assert len(buckets) <= MOST_BUCKETS + 1
        assert sum(bucket.finite for bucket in buckets) == len(values)
        assert math.isclose(sum(b.total for b in buckets), math.fsum(values), abs_tol=1e-3)
        assert buckets[0].first == 1 and buckets[-1].last == len(values)
        for before, after in zip(buckets, buckets[1:], strict=False):
            assert after.first == before.last + 1

    @pytest.mark.parametrize("plain", [False, True])
    def test_ten_thousand_steps_fall_from_top_left_to_bottom_right(self, plain):
        decimation = Decimation()
        decimation.take([(step, math.exp(-step / 3000)) for step in range(1, 10_001)])
        points = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
        now = Series(points, 0, "now", ".04")
        scale = Scale(0.04, 1.0)
        drawn = plot([now], 60, 8, scale=scale, plain=plain, format_value=format_short)
        texts = ["".join(text for text, _ in pieces) for pieces in drawn]
        graph = [text[5:-13] for text in texts]
        first = [len(text) - len(text.lstrip()) for text in graph if text.strip()]
        assert len(drawn) == 8 and first == sorted(first) and first[0] < 3
        assert "now" in texts[-1] and "1.0" in texts[0]
        assert plain is "".join(graph).isascii()

    def test_values_that_are_not_finite_are_a_gap(self):
        points = [(1.0, 1.0), (2.0, 1.0), (3.0, math.nan), (4.0, 1.0), (5.0, 1.0)]
        drawn = plot(
            [Series(points, 0, "", "")],
            51,
            1,
            scale=Scale(0, 2),
            plain=True,
            format_value=format_short,
        )
        graph = "".join(text for text, _ in drawn[0])[5:45].rstrip()
        assert " " in graph.strip()
        only_nan = Series([(1.0, math.nan)], 0, "", "nan")
        nothing = plot([only_nan], 51, 2, scale=Scale(0, 1), plain=True, format_value=format_short)
        assert any("nan" in text for pieces in nothing for text, _ in pieces)

    def test_the_current_curve_and_ghosts_differ_in_shape_and_not_only_in_colour(self):
        flat = [(1.0, 1.0), (100.0, 1.0)]
        rows = []
        for pattern in (0, 1, 2):
            drawn = plot(
                [Series(flat, pattern, "x", "1")],
                60,
                1,
                scale=Scale(0, 2),
                plain=False,
                format_value=format_short,
            )
            rows.append("".join(text for text, _ in drawn[0])[5:-12])
        assert len(set(rows)) == 3

    def test_a_wide_range_is_logarithmic(self):
        assert Scale.around([0.1, 30.0]).log and not Scale.around([0.3, 0.9]).log
        assert Scale.around([0.01, 1.0, math.inf]).share(0.1) == pytest.approx(0.5)

    def test_short_values(self):
        values = [0.434, 0.0, 1.23, 36.0, 456.0, 4.2e8, math.nan]
        assert [format_short(value) for value in values] == [
            ".43",
            ".00",
            "1.2",
            "36.0",
            "456",
            "4e+08",
            "nan",
        ]


def state_after(*trainable: str, wanted: tuple[str, ...] | None = None, **step) -> RunState:
    """Return a state after one step with some layers trainable, and others wanted since."""
    state = RunState()
    mask = owners_named(STACK, *trainable) if trainable else ()
    state.apply(opened(STACK, mask))
    state.apply(step_taken(STACK, mask, **step))
    if wanted is not None:
        state.change_mask(frozenset(owners_named(STACK, *wanted)), "by hand")
    return state


def row(name: str) -> Target:
    return Target("row", next(i for i, info in enumerate(STACK.rows) if info.name == name))


def stage(name: str) -> Target:
    return Target("stage", next(i for i, info in enumerate(STACK.stages) if info.name == name))


class TestInspector:
    def test_a_frozen_layer_names_the_layer_below_that_learnt(self):
        state = state_after("fc", "layer2.0")
        seen = layer_details(state, row("layer4.1"))
        assert (seen.reach, seen.why) == ("passed", "Passes the gradient on to layer2.0.")
        assert seen.grad_norm == "" and seen.norm_mode == "eval"

    def test_below_the_boundary(self):
        seen = layer_details(state_after("fc", "layer2.0"), row("layer1.1"))
        assert seen.why == "Below the boundary: the gradient stopped at layer2.0."
        assert (seen.choice, seen.chosen_by) == ("frozen", "you")

    def test_a_pending_thaw_shows_the_last_and_the_next_step(self):
        state = state_after("fc", wanted=("fc", "layer4.1"))
        seen = layer_details(state, row("layer4.1"))
        assert (seen.wanted, seen.applied, seen.reach) == ("train", "frozen", "unreached")
        assert seen.predicted == "updated" and seen.norm_mode == "eval → train"
        assert seen.last_step.startswith("Below the boundary")
        assert seen.next_step == "It learns from the next step on."

    def test_a_partial_row_names_the_parts_of_its_norm(self):
        seen = layer_details(state_after("fc", "layer4.1.conv2"), row("layer4.1"))
        assert seen.grad_of == "over 1 of 4 parts" and seen.wanted == "part 1/4"

    def test_vanished_and_not_finite_and_cut_off(self):
        kinds = {
            "layer4.1": measured("updated", 1e-12, 0.0, 1.0),
            "layer4.0": measured("updated", math.nan, math.nan, 2.0, nonfinite=12),
            "layer3.1": measured("unreached"),
        }
        state = state_after("fc", "layer4", "layer3", rows=kinds)
        assert "vanished" in layer_details(state, row("layer4.1")).why
        assert "12 gradient values are not finite" in layer_details(state, row("layer4.0")).why
        assert "does not connect it with the loss" in layer_details(state, row("layer3.1")).why

    def test_nothing_trainable(self):
        assert "no gradient flowed" in layer_details(state_after(), row("fc")).why

    def test_the_order_of_arrival_is_the_measured_one(self):
        times = {"fc": 2.0, "layer4.1": 1.0, "layer4.0": 3.0}
        state = state_after("fc", "layer4", arrivals=times)
        names = ("layer4.1", "fc", "layer4.0")
        arrivals = [layer_details(state, row(name)).arrival for name in names]
        assert [text.partition(",")[0] for text in arrivals] == ["1st of 3", "2nd of 3", "3rd of 3"]

    def test_a_stage_has_the_norm_of_all_its_rows(self):
        state = state_after("fc", "layer4", norms={"layer4.1": 3.0, "layer4.0": 4.0})
        assert layer_details(state, stage("layer4")).grad_norm == "5"

    @pytest.mark.parametrize("trainable", [("layer4",), ("layer4.1",), ("layer3", "layer4")])
    def test_inspector_and_table_show_the_same_measurement_of_a_stage(self, trainable):
        """Both use `measurement_of`; the table's numbers have more digits."""
        state = state_after("fc", *trainable, norms={"layer4.1": 0.3, "layer4.0": 0.4})
        target = stage("layer4")
        seen, measurement = layer_details(state, target), layer_status(state, target).measurement
        assert measurement is not None and measurement.update_ratio is not None
        assert seen.reach == measurement.reach == "updated"
        assert seen.grad_norm == format_significant(measurement.grad_norm)
        assert seen.update_ratio == format_significant(measurement.update_ratio) == "5.0e-05"
        assert format_measured(measurement.update_ratio, UNICODE) == seen.update_ratio

    def test_numbers(self):
        values = (26.4, 0.0, 4.72e-2, 12345.0, math.inf)
        texts = [format_significant(value) for value in values]
        assert texts == ["26.4", "0", "4.7e-02", "1.2e+04", "inf"]


class TestProgress:
    @pytest.mark.parametrize(
        ("kind", "seconds", "text"),
        [
            ("step", 1.2, ""),
            ("step", 2.4, "working · 2 s"),
            ("other", 1.2, "working · 1 s"),
        ],
    )
    def test_only_a_slow_step_is_shown_as_running(self, kind, seconds, text):
        """The heartbeat's kind decides, not its description."""
        state = state_after("fc")
        state.apply(Heartbeat(activity="working", seconds=seconds, kind=kind))
        assert progress_text(state) == text


class TestPreferences:
    @pytest.fixture(autouse=True)
    def separate_directories(self, tmp_path, monkeypatch):
        for name in ("CONFIG", "CACHE"):
            monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
        self.directory = tmp_path

    def test_the_theme(self):
        assert load_preferences() == Preferences()
        remember(theme="light")
        assert load_preferences().theme == "light"

    def test_damaged_files_are_ignored(self):
        remember(theme="light")
        save_stack(RunConfig(), opened())
        for file in self.directory.rglob("*"):
            if file.is_file():
                file.write_bytes(b"\xff{")
        assert load_preferences() == Preferences() and load_stack(RunConfig()) is None

    def test_a_folder_that_cannot_be_written_is_not_an_error(self):
        (self.directory / "CONFIG").write_text("in the way")
        remember(theme="light")
        assert load_preferences() == Preferences()

    def test_a_stack_belongs_to_its_arch_and_data(self):
        save_stack(RunConfig(), opened())
        assert load_stack(RunConfig()) == opened()
        assert load_stack(RunConfig(data="elsewhere")) is None
        assert load_stack(RunConfig(arch="resnet50")) is None

    def test_a_cached_stack_gets_the_requested_strategy(self):
        save_stack(RunConfig(), opened())
        stack = load_stack(RunConfig(strategy="full"))
        assert stack is not None and stack.trainable == opened().strategies["full"]


class TestLines:
    def test_fitting_counts_cells_and_not_characters(self):
        assert fitted("日本語のクラス", 6) == "日本…"
        assert line_width(clipped(line("ab", ("日本語", "dim")), 6)) <= 6

    def test_the_interval_contains_the_share(self):
        low, high = interval(57, 64)
        assert low == pytest.approx(0.791, abs=0.002) and high == pytest.approx(0.946, abs=0.002)
        assert interval(0, 10)[0] == 0.0 and interval(10, 10)[1] == 1.0

    async def test_only_the_changed_cells_are_repainted(self):
        from textual.app import App

        class Two(StateLines):
            texts = ["one two", "three"]

            def lines(self, state):
                return [line(text) for text in self.texts]

        class Host(App[None]):
            def compose(self):
                yield Two(id="two")

        app = Host()
        async with app.run_test(size=(20, 4)) as pilot:
            widget = app.query_one(Two)
            widget.show(RunState())
            await pilot.pause()
            repainted = []
            widget.refresh = lambda *regions, **_: repainted.extend(regions)
            widget.texts = ["one tWo", "three"]
            widget.redraw()
            widget.redraw()
        assert [(region.x, region.y, region.width, region.height) for region in repainted] == [
            (5, 0, 1, 1)
        ]


def test_the_oldest_mask_changes_are_forgotten() -> None:
    history = MaskHistory()
    for owner in range(MOST_UNDO + 5):
        assert history.change_mask(frozenset({owner}), "")
    undone = 0
    while history.undo() is not None:
        undone += 1
    assert undone == MOST_UNDO
    assert history.wanted == {4}
