"""Every command prints in every encoding: nothing raises, and JSON and CSV stay UTF-8."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.support.command_line import SMALL, run, strict
from tests.support.driven_session import draw_images
from tui.cli.main import COMMANDS, main

pytestmark = pytest.mark.xdist_group("encodings")  # its run is trained once

thorough = pytest.mark.thorough
ENCODINGS = ("ascii", "latin-1", "koi8-r")
DARK, LIGHT = "Käse – dünn", "日本 → \U0001f600"
LOCALE_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""The C locale without what Python does about it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in a folder, and a file of labels, with names outside of ASCII."""
    folder = tmp_path_factory.mktemp("data") / "Küche–写真"
    draw_images(folder, train=6, val=3)
    rows = ["path,label"]
    for image in sorted(folder.glob("train/*/*.png")):
        rows.append(f"{image.relative_to(folder)},{DARK if image.parent.name == 'dark' else LIGHT}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory):
    """A run whose name and classes are outside of ASCII, and what `train` printed in ASCII."""
    from tests.support.command_line import isolated_environment

    home = tmp_path_factory.mktemp("home")
    env = isolated_environment(home)
    directory = home / "state" / "tl-tui" / "runs" / "Läufe–1"
    done = run(
        *("train", data, *SMALL, "--labels", data / "labels.csv", "--steps", "1"),
        *("--run-dir", directory),
        env=env | {"PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return directory, done.stdout, env


def decoded(text: str, encoding: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_printed_in_every_encoding(
    command: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))
    assert main([*[command] * bool(command), "--help"]) == 0
    sys.stdout.flush()
    assert f"Usage: tl-tui {command}".rstrip() in buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_is_printed_in_every_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["Küche–写真"], ["show", "–"], ["train", "--wörd"], ["train", "\udcff"]):
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(buffer, encoding=encoding))
        assert main(arguments) == 2
        sys.stderr.flush()
        assert buffer.getvalue().decode(encoding).startswith("tl-tui: ")


def test_train_prints_in_ascii(trained) -> None:
    directory, printed, _ = trained
    assert printed.isascii()
    assert "K\\xe4se - d\\xfcnn" in printed and "\\u65e5\\u672c -> \\U0001f600" in printed
    assert "L\\xe4ufe-1" in printed


@pytest.mark.parametrize(
    "encoding", ["latin-1", *(pytest.param(each, marks=thorough) for each in ("ascii", "koi8-r"))]
)
def test_runs_are_listed_and_shown_in_every_encoding(encoding: str, trained) -> None:
    directory, _, env = trained
    env = env | {"PYTHONIOENCODING": encoding}
    listed = run("runs", env=env)
    assert (listed.returncode, listed.stderr) == (0, "")
    heading, row = decoded(listed.stdout, encoding).splitlines()
    assert heading.split()[:2] == ["run", "state"]
    assert row.split()[0] in ("Läufe-1", "L\\xe4ufe-1")
    shown = run("show", directory, env=env)
    assert (shown.returncode, shown.stderr) == (0, "")
    decoded(shown.stdout, encoding)
    for arguments in (("runs",), ("show", directory)):
        (content,) = strict(run(*arguments, "--json", env=env).stdout)
        assert content["name"] == "Läufe–1" and content["classes"] == [DARK, LIGHT]


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("latin-1", ("predict", "{run}", "{data}")),
        pytest.param("ascii", ("predict", "{run}", "{data}"), marks=thorough),
        pytest.param("ascii", ("evaluate", "{run}"), marks=thorough),
        pytest.param("koi8-r", ("evaluate", "{run}"), marks=thorough),
        pytest.param("latin-1", ("layers", "{data}", *SMALL), marks=thorough),
        pytest.param("ascii", ("doctor",), marks=thorough),
        pytest.param("ascii", ("export", "{run}", "-o", "{out}/größe.py"), marks=thorough),
        pytest.param("ascii", ("export", "{run}", "--model", "{out}/größe"), marks=thorough),
        pytest.param("latin-1", ("resume", "{run}", "--steps", "2"), marks=thorough),
    ],
)
def test_each_command_prints_in_an_encoding_that_lacks_characters(
    encoding: str, arguments: tuple[str, ...], trained, data: Path, tmp_path: Path
) -> None:
    directory, _, env = trained
    words = [word.format(run=directory, data=data, out=tmp_path) for word in arguments]
    done = run(*words, env=env | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, "")
    assert decoded(done.stdout, encoding)


@thorough
@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_predictions_for_programs_are_utf8(form: str, trained, data: Path) -> None:
    directory, _, env = trained
    done = run("predict", directory, data, form, env=env | {"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert DARK in done.stdout or LIGHT in done.stdout


@pytest.mark.parametrize("arguments", [("runs",), ("show", "L\udcc3\udca4ufe")])
def test_the_c_locale_without_utf8(arguments: tuple[str, ...], trained) -> None:
    """The names of files are bytes that Python cannot decode in this locale."""
    _, _, env = trained
    done = run(*arguments, env=env | LOCALE_C, fresh=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii() and "ufe" in done.stdout
    content = run("runs", "--json", env=env | LOCALE_C, fresh=True).stdout
    assert json.loads(content)["steps"] == 1
