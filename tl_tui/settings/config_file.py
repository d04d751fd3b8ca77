"""Configuration files: the options of a run as TOML.

A key is the name of an option without the leading dashes; options that are left out have their
defaults. Paths (`data`, `labels`, `run-dir`, and `weights` if it is a file) are relative to the
folder of the configuration file, so that it can be moved together with the images.
"""

from __future__ import annotations

import difflib
import typing
from pathlib import Path
from typing import Any

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import RunConfig

_NOT_OPTIONS = ("image_rules", "describe_only")
OPTIONS = tuple(name for name in RunConfig.__struct_fields__ if name not in _NOT_OPTIONS)
"""The fields of `RunConfig` that are options and keys."""

_PATHS = ("data", "labels", "run_dir")
_WEIGHTS_FILES = (".pth", ".pt", ".safetensors", ".bin", ".ckpt", ".tar", ".th")
_HEADER = "# tl-tui train --config FILE; paths are relative to this file's folder.\n"
_TYPE_TEXT = {
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    bool: "true or false",
    tuple: 'a list of names, such as ["layer2", "fc"]',
}


class ConfigFileProblem(Problem):
    """A configuration file cannot be read or written; the text says why and what to do."""


def key_of(field: str) -> str:
    """Return the key of a field of `RunConfig`: its option without the leading dashes."""
    return field.replace("_", "-")


def read_config_file(path: str | Path) -> dict[str, Any]:
    """Return the options in a configuration file.

    Args:
        path: The file.

    Returns:
        The fields of `RunConfig` that the file contains, by name. Their types are checked, but not
        their ranges. Paths are absolute.

    Raises:
        ConfigFileProblem: It cannot be read, is not TOML, or has an unknown key or a wrong type.
    """
    import tomllib

    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigFileProblem(
            f"{path}: it cannot be read ({reason}); name a TOML file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigFileProblem(f"{path}: it is not TOML, because it is not UTF-8.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigFileProblem(f"{path}: it is not TOML: {error}.") from error
    folder = Path(path).absolute().parent
    types = typing.get_type_hints(RunConfig)
    fields: dict[str, Any] = {}
    for key, value in content.items():
        field = _field_of(path, key, value)
        fields[field] = _converted(path, key, value, types[field])
        if _is_path(field, fields[field]):
            fields[field] = _from_folder(folder, fields[field])
    return fields


def write_config_file(config: RunConfig, path: str | Path) -> None:
    """Write the options that differ from the defaults; replace an existing file.

    `RunConfig(**read_config_file(path))` returns `config` with absolute paths.

    Raises:
        ConfigFileProblem: It cannot be written.
    """
    import tomli_w

    folder = Path(path).absolute().parent
    defaults = RunConfig()
    options: dict[str, Any] = {}
    for field in OPTIONS:
        value = getattr(config, field)
        if value == getattr(defaults, field):
            continue
        options[key_of(field)] = _to_folder(folder, value) if _is_path(field, value) else value
    try:
        Path(path).write_bytes((_HEADER + tomli_w.dumps(options)).encode())
    except UnicodeEncodeError as error:
        raise ConfigFileProblem(
            f"{path}: a file name in it is not UTF-8, which TOML requires; rename that file."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise ConfigFileProblem(
            f"{path}: it cannot be written ({reason}); name another file."
        ) from error


def _field_of(path: str | Path, key: str, value: Any) -> str:
    keys = [key_of(field) for field in OPTIONS]
    if key in keys:
        return key.replace("-", "_")
    if isinstance(value, dict):
        raise ConfigFileProblem(f"{path}: it has the table [{key}]; write the keys without tables.")
    near = difflib.get_close_matches(key.replace("_", "-").lower(), keys, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the keys are those of {', '.join(keys)}."
    raise ConfigFileProblem(f"{path}: there is no key {key!r}; {hint}")


def _converted(path: str | Path, key: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        wrong = f"{path}: {key} = {_shown(value)}: it must be"
        names = _names_in(kind)
        if not names:
            raise ConfigFileProblem(f"{wrong} {_type_text(kind)}.") from error
        near = difflib.get_close_matches(str(value), names, n=1)
        hint = f"did you mean {near[0]}?" if near else "choose one."
        raise ConfigFileProblem(f"{wrong} one of {', '.join(names)}; {hint}") from error


def _shown(value: Any) -> str:
    """Return a value almost as the file has it, shortened to fit into a sentence."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _members(kind: Any) -> list[Any]:
    """Return the members of a union except `None`; a type that is no union is its only member."""
    return [part for part in typing.get_args(kind) or (kind,) if part is not type(None)]


def _names_in(kind: Any) -> list[str]:
    """Return the names of a `Literal`, also within a union; empty for other types."""
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    return [
        name
        for part in _members(kind)
        if typing.get_origin(part) is typing.Literal
        for name in typing.get_args(part)
    ]


def _type_text(kind: Any) -> str:
    part = kind if kind in _TYPE_TEXT else _members(kind)[0]
    return _TYPE_TEXT[typing.get_origin(part) or part]


def _is_path(field: str, value: Any) -> bool:
    """Return whether a value is a path. Weights are one if they have a `/` or a file ending."""
    if field == "weights":
        return "/" in value or Path(value).suffix in _WEIGHTS_FILES
    return field in _PATHS and value is not None


def _from_folder(folder: Path, value: str) -> str:
    path = Path(value)
    if path.parts[:1] == ("~",):
        path = path.expanduser()
    return str(folder / path)


def _to_folder(folder: Path, value: str) -> str:
    """Return a path relative to the folder if it lies within; otherwise absolute."""
    path = Path(value).absolute()
    if ".." in path.parts or not path.is_relative_to(folder):
        return str(path)
    inside = path.relative_to(folder)
    return str(path if inside.parts[:1] == ("~",) else inside)
