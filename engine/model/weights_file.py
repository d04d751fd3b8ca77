"""Read a file of weights without running code from it; if that fails, say what the file is.

What a file is follows from its content, not from its name.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from engine.model.architectures import ModelProblem

FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""The files of a Hugging Face folder that hold its weights, or name the files that do."""
ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".th")
"""The endings of weights files."""
MAX_DEPTH = 4
"""How many levels of folders are searched for a weights file."""

_TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""The number at the beginning of files that torch.save wrote before version 1.6."""
_SIGNATURES = {
    b"\x1f\x8b": "a gzip archive; unpack it and pass the file in it",
    b"BZh": "a bzip2 archive; unpack it and pass the file in it",
    b"\xfd7zXZ": "an xz archive; unpack it and pass the file in it",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it and pass the file in it",
    b"Rar!": "a RAR archive; unpack it and pass the file in it",
    b"\x89HDF": "an HDF5 file, as Keras writes; pass a file of PyTorch weights",
    b"\x93NUMPY": "a NumPy array; pass a file of PyTorch weights",
    b"GGUF": "a GGUF file; pass a file of PyTorch weights",
    b"version https://git-lfs": "a Git LFS pointer, not the weights themselves; run `git lfs pull` "
    "where the file was cloned, or download it",
}
"""What a file is, and what to do, by its first bytes."""
_SETTINGS_PACKAGES = frozenset(
    ("argparse", "datetime", "easydict", "ml_collections", "mmengine", "numpy", "omegaconf")
    + ("pathlib", "types", "typing", "yacs")
)
"""Packages whose objects training scripts store beside the weights: arguments, settings, numbers.
They are replaced by `_LeftOut`; nothing of these packages is imported or called."""
_CONTAINERS = frozenset(
    ("collections.OrderedDict", "collections.Counter", "_codecs.encode")
    + ("builtins.set", "builtins.bytearray", "builtins.complex")
)
"""What pickles need for plain containers and bytes, besides torch's own names."""
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules that pickles name as Python 2 did."""
SAVE_HINT = "`torch.save(model.state_dict(), 'weights.pth')`"
"""How to write a file that can be read."""

_NUMPY_HINT = (
    "torch.save({{k: torch.from_numpy(v) for k, v in numpy.load({!r}).items()}}, 'weights.pth')"
)
"""How to write the arrays of a NumPy archive as a state dict."""
_TAG = re.IGNORECASE | re.DOTALL


class _LeftOut:
    """Stands for an object beside the weights, which is not made."""

    def __new__(cls, *_: object, **__: object) -> _LeftOut:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def find_file(path: Path) -> Path:
    """Return the weights file that a path names: itself, or the one in a folder.

    Raises:
        ModelProblem: There is no such file, or the folder holds none or several.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelProblem(f"--weights {path}: there is no such file.")
    for name in FOLDER_FILES:
        if (path / name).is_file():
            return path / name
    found = sorted(_weights_files(path))
    best = [file for file in found if file.name in FOLDER_FILES]
    if len(found) == 1 or len(best) == 1:
        return (best or found)[0]
    if not found:
        entries = sorted(entry.name for entry in path.iterdir())
        raise ModelProblem(
            f"--weights {path}: the folder holds no weights file ({', '.join(ENDINGS)}); it holds "
            f"{listed(entries) or 'nothing'}. Pass a file of weights."
        )
    names = [str(file.relative_to(path)) for file in found]
    raise ModelProblem(
        f"--weights {path}: the folder holds several weights files ({listed(names)}); pass one of "
        "them."
    )


def _weights_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        if len(Path(root).relative_to(folder).parts) >= MAX_DEPTH:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.endswith(ENDINGS) or name in FOLDER_FILES:
                yield Path(root, name)


def read_file(path: Path) -> object:
    """Return what a file holds: a state dict, or containers of one or more state dicts.

    Args:
        path: A file that torch.save or safetensors wrote, or the index of several such files.

    Raises:
        ModelProblem: The file cannot be read, or only by running code from it.
    """
    try:
        if path.name.endswith(".index.json"):
            return _read_parts(path)
        with path.open("rb") as file:
            head = file.read(512)
        what = _what(head, path)
        if what == "safetensors":
            return _read_safetensors(path)
        if what in ("zip", "torch"):
            return _read_torch(path, is_zip=what == "zip")
    except OSError as error:
        raise ModelProblem(
            f"--weights {path}: the file cannot be read ({error.strerror or error})."
        ) from error
    raise ModelProblem(f"--weights {path}: {what}.")


def listed(names: list[str], most: int = 5) -> str:
    """Return names separated by commas; with more than `most`, the number of the others."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _what(head: bytes, path: Path) -> str:
    """Return `safetensors`, `zip` or `torch`, or else a clause that says what the file is."""
    if not head:
        return "the file is empty; copy or download it again"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if _TORCH_MAGIC in head[:32]:
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30:
        return "safetensors"
    for signature, text in _SIGNATURES.items():
        if head.startswith(signature):
            return f"the file is {text}"
    if head[257:262] == b"ustar":
        return "the file is a tar archive; unpack it and pass the file in it"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return (
            "the file is a plain Python pickle, and loading it would run code. Load it where it "
            f"was made and save the state dict with {SAVE_HINT}"
        )
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if re.match(r"<(html|head|!doctype html)\b|<\?xml.*<(html|!doctype html)\b", text, _TAG):
        return "the file is a web page, not weights; download the file that the page is about"
    if re.match(r"(<\?xml[^>]*>\s*)?<Error\b", text):
        code = re.search(r"<Code>\s*(\w+)", text)
        return (
            f"the file is an error message of a server in XML{f' ({code[1]})' if code else ''}, "
            "not weights; download the file again, with the right address or access"
        )
    if not any(byte < 9 or byte == 0xFF for byte in head):
        first_line = next(iter(text.splitlines()), "")
        return (
            f"the file is text that begins with {first_line[:40]!r}, not weights; pass "
            "a file that torch.save or safetensors wrote"
        )
    return (
        f"the file begins with the bytes {head[:8].hex(' ')}, unlike those of torch.save and "
        "safetensors; it is damaged, or no file of PyTorch weights"
    )


# --- safetensors --------------------------------------------------------------------------------


def _read_parts(index: Path) -> dict[str, Tensor]:
    """Read the files that an index names, such as `model-00001-of-00002.safetensors`."""
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelProblem(
            f"--weights {index}: the file is no index of weights files, because it has no "
            "weight_map; pass a file of weights."
        ) from error
    state: dict[str, Tensor] = {}
    for name in names:
        part = index.parent / str(name)
        if not part.is_file():
            raise ModelProblem(
                f"--weights {index}: {name}, which it names, is missing; download it into the "
                "same folder."
            )
        content = read_file(part)
        state |= content if isinstance(content, dict) else {}
    return state


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length)
    try:
        tensors = {k: v for k, v in json.loads(header).items() if k != "__metadata__"}
        needed = 8 + length + max((v["data_offsets"][1] for v in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        needed = max(size, 8 + length)
    if size < needed:
        raise ModelProblem(_cut_short(path, f"it has {size:,} of at least {needed:,} bytes"))
    try:
        return load_file(path)
    except (SafetensorError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise ModelProblem(
            f"--weights {path}: the safetensors file is damaged; copy or download it again."
        ) from error


def _cut_short(path: Path, fact: str) -> str:
    return f"--weights {path}: the file is cut short ({fact}); copy or download it again."


# --- torch.save ---------------------------------------------------------------------------------


def _read_torch(path: Path, *, is_zip: bool) -> object:
    """Read a file of torch.save; objects of `_SETTINGS_PACKAGES` become `_LeftOut`."""
    if is_zip:
        _check_zip(path)
    globals_ = sorted(_globals_of(path, is_zip=is_zip))
    settings = [name for name in globals_ if name.partition(".")[0] in _SETTINGS_PACKAGES]
    stand_ins: list[object] = [(_LeftOut, name) for name in settings]
    try:
        # From a path, torch.load decides by the ending.
        with path.open("rb") as file, torch.serialization.safe_globals(stand_ins):  # type: ignore[arg-type]
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch, pickle and zip raise errors of many types
        intact = isinstance(error, pickle.UnpicklingError) and "" not in globals_
        foreign = [name for name in globals_ if name not in settings and not _of_torch(name)]
        if intact and foreign:
            raise ModelProblem(
                f"--weights {path}: the file is refused, because it holds more than tensors and "
                f"loading it would run code ({listed(foreign, 3)}). Load it where it was made, and "
                f"save only the state dict with {SAVE_HINT}."
            ) from None
        if intact:
            raise ModelProblem(
                f"--weights {path}: torch cannot load the file without running code. Load it "
                f"where it was made, and save only the state dict with {SAVE_HINT}."
            ) from None
        raise ModelProblem(
            f"--weights {path}: the file of torch.save is cut short or damaged; copy or download "
            "it again."
        ) from error


def _check_zip(path: Path) -> None:
    """Raise a ModelProblem if a zip archive is damaged, or not one that torch.save writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ModelProblem(
            _cut_short(path, "it begins as a zip archive, but the end of one is missing")
        ) from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise ModelProblem(
            f"--weights {path}: the file is a TorchScript archive, and loading it would run code. "
            f"Save only its state dict with `torch.save(torch.jit.load({path.name!r})"
            ".state_dict(), 'weights.pth')`."
        )
    if names and all(name.endswith(".npy") for name in names):
        raise ModelProblem(
            f"--weights {path}: the file holds NumPy arrays "
            f"({listed([name.removesuffix('.npy') for name in names], 3)}). If they are the "
            f"weights of a PyTorch model, save them with `{_NUMPY_HINT.format(path.name)}`."
        )
    if not any(name.endswith("/data.pkl") for name in names):
        raise ModelProblem(
            f"--weights {path}: the file is a zip archive that torch.save did not write; it holds "
            f"{listed(names, 3) or 'nothing'}. Unpack it and pass a file of weights."
        )


def _globals_of(path: Path, *, is_zip: bool) -> set[str]:
    """Return the functions and classes that a file's pickles name, such as `argparse.Namespace`.

    The name is empty if a pickle is damaged. Nothing is imported.
    """
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            try:
                return _globals_in(io.BytesIO(archive.read(name)))
            except (zipfile.BadZipFile, OSError, EOFError):
                return {""}
    with path.open("rb") as file:  # a magic number, a version, the system, and the object
        return set().union(*(_globals_in(file) for _ in range(4)))


def _globals_in(file: BinaryIO) -> set[str]:
    """Return the names in one pickle, and leave the file at its end."""
    found: set[str] = set()
    memo: dict[int, object] = {}
    recent: list[object] = []  # the last values that were pushed; a name has its module before it
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name in ("GLOBAL", "INST"):
                module, _, name = str(argument).partition(" ")
                found.add(f"{_RENAMED.get(module, module)}.{name}")
                recent.append(None)
            elif opcode.name == "STACK_GLOBAL":
                found.add(".".join(str(part) for part in recent[-2:]))
                recent.append(None)
            elif opcode.name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                index = len(memo) if argument is None else int(argument)
                memo[index] = recent[-1] if recent else None
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                recent.append(memo.get(int(argument or 0)))
            elif opcode.stack_after:
                recent.append(argument)
    except Exception:  # a damaged pickle raises errors of many types
        found.add("")
    return found


def _of_torch(name: str) -> bool:
    """Return whether a name in a pickle is one that torch's tensors and containers need."""
    return name in _CONTAINERS or (
        name.startswith(("torch._utils.", "torch.storage.", "torch._tensor."))
        or (name.startswith("torch.") and name.count(".") == 1)
        or name in ("torch.nn.parameter.Parameter", "torch.serialization._get_layout", "")
    )
