"""TensorBoard files: a reader finds the values that were written."""

from __future__ import annotations

import math
import struct
import sys
from pathlib import Path

import msgspec
import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from engine.session.tensorboard import TensorBoard, TensorBoardMissing, require
from tests.support.stack_messages import measured, opened, step_taken
from tl_tui.protocol.session import RecipeChanged
from tl_tui.protocol.training import Validated

SESSION = opened()


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read the scalars in a folder's event files (TFRecord frames), by tag and step."""
    values: dict[str, dict[int, float]] = {}
    for file in sorted(folder.iterdir()):
        assert ".tfevents." in file.name  # TensorBoard searches for this
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            body = data[12 : 12 + length]
            assert struct.unpack("<I", data[8:12]) == (masked_crc32c(data[:8]),)
            assert struct.unpack("<I", data[12 + length : 16 + length]) == (masked_crc32c(body),)
            event = Event.FromString(body)
            for value in event.summary.value:
                values.setdefault(value.tag, {})[event.step] = value.simple_value
            data = data[16 + length :]
    return values


def validated(step: int, *, yardstick: bool = False, start: int = 0) -> Validated:
    return Validated(
        start=start,
        step=step,
        correct=70,
        total=80,
        loss=0.25,
        yardstick=yardstick,
        per_class=() if yardstick else ((40, 40), (30, 40)),
    )


def test_steps_and_validations_are_written_as_scalars(tmp_path: Path) -> None:
    board = TensorBoard(opened(run_dir=str(tmp_path)))
    one = step_taken(SESSION.stack, SESSION.trainable, step=1, lr_factor=0.5, loss=0.75)
    board.write_step(one)
    doubled = tuple(2 * rate for rate in SESSION.rates)
    board.write_event(RecipeChanged(recipe=SESSION.recipe, rates=doubled))
    board.write_event(step_taken(SESSION.stack, SESSION.trainable, step=2))
    board.write_event(validated(2))
    board.write_event(validated(2, yardstick=True))
    board.close()
    values = scalars(tmp_path / "tensorboard" / "start-0")
    assert values["loss/train"][1] == 0.75
    assert values["accuracy/train"][1] == pytest.approx(27 / 32)
    assert values["lr/factor"] == {1: 0.5, 2: 1.0}
    assert values["lr/fc"] == pytest.approx({1: 0.005, 2: 0.02})
    assert values["lr/conv1"] == pytest.approx({1: 0.0005, 2: 0.002})
    assert values["grad_norm/fc"][1] == pytest.approx(one.rows[-1].grad_norm)
    assert "grad_norm/conv1" not in values  # it received no gradient
    assert values["weight_norm/conv1"][1] == 10.0
    assert values["update_ratio/fc"][1] == pytest.approx(5e-5)
    assert values["loss/validation"] == {2: 0.25}
    assert values["accuracy/validation"] == values["accuracy/validation_balanced"] == {2: 0.875}
    assert values["accuracy/yardstick"] == {2: 0.875}


def test_unmeasured_steps_have_no_values_per_layer(tmp_path: Path) -> None:
    board = TensorBoard(opened(run_dir=str(tmp_path)))
    step = step_taken(SESSION.stack, SESSION.trainable, step=3)
    board.write_step(msgspec.structs.replace(step, rows=(), owners=()))
    board.close()
    values = scalars(tmp_path / "tensorboard" / "start-0")
    assert set(values) == {"loss/train", "accuracy/train", "lr/factor"}


def test_nan_and_infinity_are_written_unchanged(tmp_path: Path) -> None:
    board = TensorBoard(opened(run_dir=str(tmp_path)))
    broken = measured("updated", math.inf, math.nan)
    board.write_step(
        step_taken(SESSION.stack, SESSION.trainable, loss=math.nan, rows={"fc": broken})
    )
    board.close()
    values = scalars(tmp_path / "tensorboard" / "start-0")
    assert math.isnan(values["loss/train"][1])
    assert values["grad_norm/fc"][1] == math.inf
    assert math.isnan(values["update_ratio/fc"][1])


def test_each_start_has_its_own_folder(tmp_path: Path) -> None:
    board = TensorBoard(opened(run_dir=str(tmp_path)))
    for start, loss in ((0, 0.9), (1, 0.8), (0, 0.7)):  # the second start was undone
        step = 2 if loss == 0.7 else 1
        board.write_step(
            step_taken(SESSION.stack, SESSION.trainable, start=start, step=step, loss=loss)
        )
    board.close()
    folder = tmp_path / "tensorboard"
    assert scalars(folder / "start-0")["loss/train"] == pytest.approx({1: 0.9, 2: 0.7})
    assert scalars(folder / "start-1")["loss/train"] == pytest.approx({1: 0.8})


def test_a_validation_is_flushed_at_once(tmp_path: Path) -> None:
    board = TensorBoard(opened(run_dir=str(tmp_path)))
    board.write_validation(validated(7))
    assert scalars(tmp_path / "tensorboard" / "start-0")["loss/validation"] == {7: 0.25}
    board.close()


def test_an_unwritable_folder_ends_writing_without_raising(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    board = TensorBoard(opened(run_dir=str(tmp_path)))
    board.write_step(step_taken(SESSION.stack, SESSION.trainable))
    board.write_step(step_taken(SESSION.stack, SESSION.trainable))
    board.write_validation(validated(1))
    board.close()
    assert "cannot be written" in board.failure
    assert capsys.readouterr().out.count("No more TensorBoard files are written") == 1


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # as if it were not installed
    with pytest.raises(TensorBoardMissing, match="pip install tensorboardX, or leave"):
        require()


def test_a_package_that_fails_to_import_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "tensorboardX").mkdir()
    (tmp_path / "tensorboardX" / "__init__.py").write_text("raise TypeError('protobuf is old')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TensorBoardMissing, match=r"does not load \(protobuf is old\)"):
        TensorBoard(opened(run_dir=str(tmp_path)))
