"""The benchmark command: its rows run, and it writes a table. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import in_order, main, measured_before
from benchmarks.table.expectations import EXPECTATIONS
from benchmarks.table.report import table
from benchmarks.table.row import Reading, interleaved, ratio
from benchmarks.table.screen_output import bytes_by_hand


def test_a_quick_table_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.json"
    rows = "probe,cursor-bytes,gpu-probe"
    code = main(["--quick", "--rows", rows, "--peers", "none", "--out", str(out)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    written = json.loads(out.read_text())
    lines = {line["row"]: line for line in written["rows"]}
    assert set(lines) == set(rows.split(","))
    probe = lines["probe"]
    assert probe["measured"] and probe["count"] == 2
    assert probe["low"] <= probe["value"] <= probe["high"]
    assert probe["reached"] is (probe["value"] <= 1.02)
    assert f"{probe['value']:.3f}" in printed.out
    assert lines["cursor-bytes"]["unit"] == "bytes" and lines["cursor-bytes"]["value"] > 0
    if written["device"] == "no GPU":
        assert not lines["gpu-probe"]["measured"]
        assert "not measured" in lines["gpu-probe"]["note"]
    assert "not measured" in table(written)


def test_a_table_from_the_same_machine_is_continued(tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    head = {"device": "no GPU", "processor": "p", "threads": 1, "python": "3", "versions": {}}
    lines = [{"row": "idle", "value": 1}, {"row": "probe", "value": 2}]
    assert measured_before(out, head, set()) == []
    out.write_text(json.dumps({**head, "load": [0.1], "rows": lines}))
    kept = measured_before(out, {**head, "load": [0.2]}, {"probe", "input"})
    assert kept == lines[:1]
    assert [line["row"] for line in in_order(lines)] == ["probe", "idle"]
    assert in_order([{"row": "of old"}, *lines]) == in_order(lines)
    assert measured_before(out, {**head, "device": "another"}, set()) == []
    out.write_text("[]")
    assert measured_before(out, head, set()) == []
    out.write_text("{")
    assert measured_before(out, head, set()) == []


def test_the_report_takes_each_row_from_the_machine_that_measured_it(tmp_path: Path) -> None:
    def machine(device: str, *rows: tuple[str, Reading]) -> dict:
        lines = [{"row": name, **reading.described()} for name, reading in rows]
        head = {"device": device, "processor": "p", "threads": 1, "versions": {"torch": "2"}}
        return {**head, "rows": lines}

    absent = Reading("a step", "plain", note="not measured: no CUDA device here")
    whole = Reading("a step", "plain", value=0.7, low=0.6, high=0.8, reach=1.02)
    alone = Reading("a loss", "uncached", value=2.0, unit="of it", reach=1.0)
    text = table(
        machine("no GPU", ("gpu-probe", absent), ("idle", alone)),
        machine("H", ("gpu-probe", whole)),
    )
    assert "0.7 (0.6 to 0.8) |" in text and "no CUDA device" not in text
    assert "2 of it **above**" in text
    assert "no GPU; p, 1 threads; torch 2: `gpu-probe`, `idle`." in text


def test_every_row_has_an_expectation_and_unknown_rows_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == list(EXPECTATIONS)
    with pytest.raises(SystemExit) as refused:
        main(["--rows", "prob"])
    assert refused.value.code == 2
    assert "--rows prob: there is no such row" in capsys.readouterr().err


def test_pairs_alternate_which_measurement_is_first() -> None:
    order: list[str] = []

    def cost(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    pairs = interleaved(lambda: cost("ours", 3.0), lambda: cost("theirs", 2.0), 3, warm=1)
    assert pairs == [(3.0, 2.0)] * 3
    assert order == ["ours", "theirs", "theirs", "ours"] * 2
    reading = ratio([(3.0, 2.0), (2.0, 2.0), (9.0, 2.0)], "case", "floor", reach=1.5)
    assert (reading.low, reading.value, reading.high) == (1.25, 1.5, 3.0)
    assert reading.reached is True
    assert ratio([(3.1, 2.0)], "case", "floor", reach=1.5).reached is False
    assert Reading("case", "floor", note="not measured").reached is None


@pytest.mark.parametrize(
    ("after", "written"),
    [
        ("ab", 0),
        ("xb", len("\x1b[1;1H\x1b[38;5;196mx")),
        ("xy", len("\x1b[1;1H\x1b[38;5;196mxy")),
        ("a●", len("\x1b[1;2H\x1b[38;5;196m●".encode())),
    ],
)
def test_bytes_of_changed_cells_are_counted(after: str, written: int) -> None:
    before = [[("a", "red"), ("b", "red")]]
    assert bytes_by_hand(before, [[(letter, "red") for letter in after]]) == written
