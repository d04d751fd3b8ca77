"""Mistyped commands and options get the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.cli.main import COMMANDS, main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian", "flowers/", "--epochs", "5"], "did you mean tl-tui train?"),
        (["predcit", "RUN", "cat.jpg", "--top", "3"], "did you mean tl-tui predict?"),
        (["evalaute", "RUN"], "did you mean tl-tui evaluate?"),
        (["atach", "20261125"], "did you mean tl-tui attach?"),
        (["Resume", "RUN"], "did you mean tl-tui resume?"),
        (["rnus"], "did you mean tl-tui runs?"),
        (["help", "train"], "did you mean tl-tui --help?"),
        (["train", "--epohcs", "3"], "'--epochs'"),
        (["train", "--batch_size", "8"], "'--batch-size'"),
        (["runs", "--jsno"], "'--json'"),
        (["train", "-epochs", "3"], "--epochs"),
        (["train", "-lr=0.1"], "--lr"),
        (["--asci"], "'--ascii'"),
    ],
    ids=" ".join,
)
def test_the_nearest_is_named(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(arguments) == 2
    out, sentence = capsys.readouterr()
    assert not out and told in sentence and sentence.count("\n") == 1


def test_a_folder_is_no_mistyped_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trains").mkdir()
    for arguments in (["trains", "--epochs", "1"], ["./trian", "--epochs", "1"]):
        assert main(arguments) == 2
        assert "did you mean tl-tui" not in capsys.readouterr().err


def test_every_command_is_found_with_two_letters_exchanged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in COMMANDS:
        typed = name[:-2] + name[-1] + name[-2]
        assert main([typed, "x"]) == 2
        assert f"did you mean tl-tui {name}?" in capsys.readouterr().err
