"""The app says what was left out, keeps a warning until it is read, and has a page with both."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.app_pilot import make_app, ready, screen_lines, screen_text, wait_until
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack_messages import opened
from tests.unit.tui.test_dataset_sentences import SUMMARY


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_dataset_page(size: tuple[int, int]) -> None:
    app = make_app(ScriptedEngine(opened(dataset=SUMMARY)))
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await wait_until(pilot, lambda: "Left out: 1,050 .heic" in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "(Esc to dismiss) All 80 validation" in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "All 80 validation" not in screen_text(app))
        await app.run_action("dataset")
        await wait_until(pilot, lambda: "Validation images: Val/" in screen_text(app))
        page = screen_text(app)
        assert "Warning: All 80 validation images are also among the training images." in page
        assert "hot dog 120 40" in page and "2 classes 240 80" in page
        assert "1,050 .heic: cat/a.heic; truncated or damaged" in page
        assert all(len(line) <= size[0] for line in screen_lines(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.main)


async def test_the_page_of_many_classes_scrolls_to_the_last() -> None:
    counts = tuple(range(1, 51))
    summary = msgspec.structs.replace(SUMMARY, train_counts=counts, val_counts=counts, findings=())
    classes = tuple(f"class {n} 犬" for n in counts)
    app = make_app(ScriptedEngine(opened(dataset=summary, classes=classes)))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await app.run_action("dataset")
        await wait_until(pilot, lambda: "class 1 犬" in screen_text(app))
        assert "class 50 犬" not in screen_text(app)
        await pilot.press("end")
        await wait_until(pilot, lambda: "class 50 犬" in screen_text(app))
        assert "system folders" in screen_text(app)
