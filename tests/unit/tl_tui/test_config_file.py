"""Configuration files: what is written is read again, and problems are reported in a sentence."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tl_tui.protocol.config import (
    Augmentation,
    Execution,
    FeatureCaching,
    MemoryFormat,
    Optimizer,
    PlanName,
    Precision,
    RunConfig,
    Schedule,
)
from tl_tui.settings.config_file import (
    OPTIONS,
    ConfigFileProblem,
    read_config_file,
    write_config_file,
)

texts = st.text(min_size=1).filter(lambda text: "/" not in text and "." not in text)
"""Texts that are not paths."""
paths = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=3,
).map("/".join)
whole = st.integers(0, 2**63 - 1)
numbers = st.floats()
kinds: dict[str, st.SearchStrategy[Any]] = {
    "data": paths | paths.map(lambda path: f"/{path}"),
    "labels": paths,
    "columns": texts,
    "run_dir": paths | paths.map(lambda path: f"../{path}"),
    "weights": texts | paths.map(lambda path: f"{path}.pth"),
    "arch": texts,
    "strategy": texts,
    "device": texts,
    "trainable": st.lists(texts).map(tuple),
    "plan": st.sampled_from(get_args(PlanName)),
    "optimizer": st.sampled_from(get_args(Optimizer)),
    "lr_schedule": st.sampled_from(get_args(Schedule)),
    "augmentation": st.sampled_from(get_args(Augmentation)),
    "precision": st.sampled_from(get_args(Precision)),
    **dict.fromkeys(("balance", "tensorboard", "deterministic"), st.booleans()),
    **dict.fromkeys(("plan_epochs", "batch_size", "image_size", "epochs", "steps", "folds"), whole),
    **dict.fromkeys(("seed", "probe_every", "checkpoint_every"), whole),
    "execution": st.sampled_from(get_args(Execution)),
    "memory_format": st.sampled_from(get_args(MemoryFormat)),
    "feature_cache": st.sampled_from(get_args(FeatureCaching)),
    **dict.fromkeys(("feature_cache_gib", "checkpoint_seconds"), numbers),
    **dict.fromkeys(
        ("lr", "lr_pretrained", "lr_decay", "momentum", "weight_decay", "warmup"), numbers
    ),
}
configs = st.fixed_dictionaries({}, optional=kinds).map(lambda fields: RunConfig(**fields))


def absolute_fields(config: RunConfig) -> dict[str, Any]:
    """Return the fields of a configuration with absolute paths."""
    fields = {field: getattr(config, field) for field in OPTIONS}
    for field in ("data", "labels", "run_dir", "weights"):
        value = fields[field]
        if value and (field != "weights" or value.endswith(".pth")):
            fields[field] = str(Path(value).absolute())
    return fields


def same(a: Any, b: Any) -> bool:
    """Return whether two values are of one type and equal; NaN is equal to NaN."""
    return type(a) is type(b) and (a == b or (a != a and b != b))


def test_every_option_is_covered() -> None:
    assert (
        set(kinds)
        == set(OPTIONS)
        == set(RunConfig.__struct_fields__)
        - {
            "image_rules",
            "describe_only",
        }
    )


@given(configs)
@settings(deadline=None)
@example(RunConfig(data="~/images", arch='quote " and \\ and \x7f', lr=float("nan")))
@example(RunConfig(checkpoint_seconds=-0.0))  # equal to the default, so it is not written
def test_what_is_written_is_read_again(config: RunConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_config_file(config, Path(folder, "run.toml"))
        again = RunConfig(**read_config_file(Path(folder, "run.toml")))
    written, read = absolute_fields(config), absolute_fields(again)
    assert {f for f in OPTIONS if not same(written[f], read[f])} == set()


def test_paths_are_relative_to_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job").mkdir()
    monkeypatch.chdir(tmp_path)
    file = Path("job", "run.toml")
    config = RunConfig(data="job/flowers", labels="elsewhere.csv", weights="job/mine.pth")
    write_config_file(config, file)
    text = file.read_text()
    assert 'data = "flowers"' in text and 'weights = "mine.pth"' in text
    assert f'labels = "{tmp_path}/elsewhere.csv"' in text
    monkeypatch.chdir("/")
    fields = read_config_file(tmp_path / file)
    assert fields == {
        "data": str(tmp_path / "job" / "flowers"),
        "labels": str(tmp_path / "elsewhere.csv"),
        "weights": str(tmp_path / "job" / "mine.pth"),
    }


def test_a_tilde_at_the_beginning_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "run.toml").write_text('data = "~/flowers"\nrun-dir = "../~/x"')
    fields = read_config_file(tmp_path / "run.toml")
    assert fields["data"] == "/home/me/flowers"
    assert fields["run_dir"] == f"{tmp_path}/../~/x"


def test_weights_given_by_name_are_not_a_path(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('weights = "IMAGENET1K_V1"')
    assert read_config_file(tmp_path / "run.toml") == {"weights": "IMAGENET1K_V1"}


def test_an_integer_is_accepted_as_a_float(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("lr = 1\n")
    rate = read_config_file(tmp_path / "run.toml")["lr"]
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "there is no key 'epoch'; did you mean epochs?"),
        ("batch_size = 3", "did you mean batch-size?"),
        ("LR = 3", "did you mean lr?"),
        ("describe-only = true", "there is no key 'describe-only'"),
        ("[train]\nepochs = 3", "it has the table [train]; write the keys without tables"),
        ("zzz = 1", "the keys are those of data, labels, columns, arch"),
        ('epochs = "ten"', "epochs = 'ten': it must be a whole number."),
        ("epochs = 3.5", "epochs = 3.5: it must be a whole number."),
        ("epochs = true", "epochs = true: it must be a whole number."),
        ('lr = "high"', "lr = 'high': it must be a number."),
        ("balance = 1", "balance = 1: it must be true or false."),
        ("data = 1", "data = 1: it must be text in quotes."),
        ("weights = 1", "weights = 1: it must be text in quotes."),
        ('trainable = "fc"', 'it must be a list of names, such as ["layer2", "fc"].'),
        ("trainable = [1]", "it must be a list of names"),
        ("arch = 2020-01-01", "it must be text in quotes."),
        ('optimizer = "adam"', "one of sgd, adamw; did you mean adamw?"),
        ('lr-schedule = "cosin"', "one of constant, cosine, one-cycle; did you mean cosine?"),
        ('plan = "zzz"', "one of lp-ft, gradual; choose one."),
        ("lr 0.1", "it is not TOML:"),
        ("lr = 1\nlr = 2", "it is not TOML:"),
        ("data = " + "[" * 5000, "it is not TOML:"),
    ],
    ids=lambda text: text[:20],
)
def test_a_problem_is_reported_in_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigFileProblem) as refusal:
        read_config_file(file)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{file}: ") and message in sentence and "\n" not in sentence


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes('data = "Blüte"'.encode("latin-1"))
    for file, message in (
        (tmp_path / "nowhere.toml", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "latin.toml", "not UTF-8"),
    ):
        with pytest.raises(ConfigFileProblem, match=message):
            read_config_file(file)


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileProblem, match="cannot be written"):
        write_config_file(RunConfig(), tmp_path / "no folder" / "run.toml")
    file = tmp_path / "run.toml"
    write_config_file(RunConfig(seed=1), file)
    with pytest.raises(ConfigFileProblem, match="not UTF-8"):
        write_config_file(RunConfig(data=os.fsdecode(b"bl\xfcte")), file)
    assert read_config_file(file) == {"seed": 1}  # the old file is kept
