"""Find the weights of an architecture in what a file holds, whatever surrounds them.

Training programs store a state dict in containers (`{"model_state_dict": ...}`), put a prefix
before its names (`module.backbone.conv1.weight`), and add tensors of other modules to it. The
weights are found by the names and shapes of the architecture: a container, a prefix and a naming
fit only if every tensor of the body is there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from engine.model.architectures import COUNTERS, body_tensors, find_head
from engine.model.weights_file import listed

CONTAINERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "backbone",
) + ("encoder", "module", "weights", "params", "teacher", "student")
"""The usual keys of containers; if several fit, the first of these is taken."""
_COPIES = frozenset(("ema", "averaged", "momentum", "target", "swa", "k", "key"))
"""Words that mark the second copy of a model: an average, or the target of self-supervision."""
_WRAPPERS = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""What torch.compile, FSDP and activation checkpointing insert into names, at any place."""
_PARAMETERS = (".weight", ".bias")
"""The last names of a linear layer's tensors."""
MAX_DEPTH = 6
"""How many containers are opened, one within another."""


@dataclass(frozen=True)
class Container:
    """The tensors that a file holds under one key, or at its top."""

    path: tuple[str, ...]
    """The keys that lead to it; empty at the top."""
    tensors: Mapping[str, Tensor]

    @property
    def key(self) -> str:
        """The keys, separated by dots."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Naming:
    """How the tensors of an architecture's body are named in files."""

    label: str
    """What the naming is of; empty for torchvision's."""
    names: Mapping[str, str]
    """The architecture's name of each tensor, by its name in the file."""

    @cached_property
    def modules(self) -> frozenset[str]:
        """The first parts of the names, such as `layer1`."""
        return frozenset(name.partition(".")[0] for name in self.names)


@dataclass(frozen=True)
class Fit:
    """How well the tensors of a container with a prefix fit an architecture."""

    container: Container
    prefix: str
    naming: Naming
    found: Mapping[str, Tensor]
    """The tensors of the body, by the architecture's names."""
    missing: tuple[str, ...]
    """The architecture's names of tensors that are not there."""
    mismatched: tuple[str, ...]
    """The architecture's names of tensors with another shape or kind of values, or without values.
    """
    unexpected: tuple[str, ...]
    """Names of tensors that belong to modules of the architecture, which has no such tensor."""
    head: Mapping[str, Tensor]
    """The tensors at the place of the head, by their names in the file; they are not used."""
    beside: tuple[str, ...]
    """Names of other tensors that do not belong to the architecture; they are not used."""

    @cached_property
    def names(self) -> dict[str, str]:
        """The name in the file of each tensor that was found, by the architecture's name."""
        inverse = {theirs: name for name, theirs in self.naming.names.items()}
        return {name: f"{self.prefix}{inverse[name]}" for name in self.found}

    @property
    def complete(self) -> bool:
        """Whether these are the weights of the architecture."""
        return not (self.missing or self.mismatched or self.unexpected)

    @property
    def rank(self) -> tuple[int, int]:
        """The order in which complete fits are preferred, the smallest first."""
        words = re.split(r"[^a-z0-9]+", f"{self.container.key}.{self.prefix}".lower())
        known = [CONTAINERS.index(key) for key in self.container.path if key in CONTAINERS]
        unknown = len(self.container.path) - len(known)
        return sum(word in _COPIES for word in words), sum(known) + unknown * len(CONTAINERS)

    @property
    def where(self) -> str:
        """Where the weights are, such as `under state_dict, with the prefix module.`."""
        parts = [f"under {self.container.key}"] if self.container.path else []
        parts += [f"with the prefix '{self.prefix}'"] if self.prefix else []
        parts += [f"with the names of {self.naming.label}"] if self.naming.label else []
        return ", ".join(parts) or "at the top"


def find_fits(loaded: object, model: nn.Module) -> list[Fit]:
    """Return how what a file holds fits an architecture, the best fit first.

    Args:
        loaded: What the file holds; see `weights_file.read_file`.
        model: The architecture, for example on the meta device.

    Returns:
        The complete fits, in the order in which they are preferred. If there is none, the fit with
        the most tensors. Empty if no name fits.
    """
    head = find_head(model)[0]
    body = body_tensors(model, head)
    namings = list(_namings(body, model))
    complete: list[Fit] = []
    best: Fit | None = None
    for container in containers(loaded):
        for naming in namings:
            for prefix in _prefixes(container, naming):
                fit = _fit(container, prefix, naming, body, head)
                if fit.complete:
                    complete.append(fit)
                if best is None or len(fit.found) > len(best.found):
                    best = fit
            if complete and complete[-1].container is container:
                break
    if complete:
        return sorted(complete, key=lambda fit: fit.rank)
    return [] if best is None else [best]


def containers(loaded: object) -> Iterator[Container]:
    """Yield what holds tensors in the content of a file, from the top down."""
    pending: list[tuple[tuple[str, ...], object]] = [((), loaded)]
    while pending:
        path, value = pending.pop(0)
        items = _items(value)
        tensors = {name: item for name, item in items if isinstance(item, Tensor)}
        if tensors:
            yield Container(path, _without_wrappers(tensors))
        if len(path) < MAX_DEPTH:
            pending += [((*path, name), item) for name, item in items if _items(item)]


def contents(loaded: object) -> str:
    """Return what a file holds, for a message: its keys, or the names and count of its tensors."""
    if isinstance(loaded, Tensor):
        return f"one tensor of the shape {tuple(loaded.shape)}"
    items = _items(loaded)
    if not items:
        return f"a value of the type {type(loaded).__name__.lstrip('_')}"
    tensors = [name for name, item in items if isinstance(item, Tensor)]
    if len(tensors) == len(items):
        return f"{counted(len(tensors))} ({listed(tensors)})"
    text = f"the keys {listed([name for name, _ in items], 8)}"
    inner = max(containers(loaded), key=lambda container: len(container.tensors), default=None)
    if inner is None:
        return f"{text}, and no tensors"
    where = f"under {inner.key}" if inner.path else "at the top"
    return (
        f"{text}; {where} there are {counted(len(inner.tensors))} ({listed(list(inner.tensors))})"
    )


def quantised(loaded: object) -> str:
    """Return what shows that a file holds a quantised model of PyTorch; empty if nothing does."""
    for container in containers(loaded):
        for name, tensor in container.tensors.items():
            full = ".".join((*container.path, name))
            if tensor.is_quantized:
                return f"{full} has the type {tensor.dtype}"
            if "_packed_params" in full:
                return f"it has {full}"
    return ""


def counted(tensors: int) -> str:
    """Return a number of tensors in words, such as `1 tensor`."""
    return "1 tensor" if tensors == 1 else f"{tensors:,} tensors"


def _items(value: object) -> list[tuple[str, object]]:
    """Return the items of a container by name; none for anything else."""
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(str(number), item) for number, item in enumerate(value)]
    return []


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without the wrappers in the middle of their names, unless two then agree."""
    plain = {}
    for name, tensor in tensors.items():
        first, *rest = name.split(".")
        plain[".".join([first, *(part for part in rest if part not in _WRAPPERS)])] = tensor
    return plain if len(plain) == len(tensors) else tensors


def _namings(shapes: Mapping[str, Tensor], model: nn.Module) -> Iterator[Naming]:
    """Yield the namings that files of an architecture can have."""
    yield Naming("", {name: name for name in shapes})
    # torchvision's own DenseNets are of 2017, when module names could contain dots.
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): name for name in shapes}
    if old.keys() != shapes.keys():
        yield Naming("torchvision before 0.3", old)
    numbers = {name: str(number) for number, (name, _) in enumerate(model.named_children())}
    numbered = {}
    for name in shapes:
        first, _, rest = name.partition(".")
        numbered[f"{numbers.get(first, first)}.{rest}"] = name
    yield Naming("nn.Sequential(*model.children())", numbered)
    if "layer4.0.conv1.weight" in shapes:
        yield Naming("transformers", {_of_transformers(name): name for name in shapes})


def _of_transformers(name: str) -> str:
    """Return the name of a ResNet's tensor in Hugging Face transformers."""
    kinds = {"conv": "convolution", "bn": "normalization"}
    if match := re.fullmatch(r"(conv|bn)1\.(\w+)", name):
        return f"embedder.embedder.{kinds[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", name):
        stage, block, kind, number, leaf = match.groups()
        inner = f"layer.{int(number) - 1}.{kinds[kind]}"
    elif match := re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])\.(\w+)", name):
        stage, block, number, leaf = match.groups()
        inner = f"shortcut.{'convolution' if number == '0' else 'normalization'}"
    else:
        return name
    return f"encoder.stages.{int(stage) - 1}.layers.{block}.{inner}.{leaf}"


def _prefixes(container: Container, naming: Naming) -> list[str]:
    """Return the prefixes before names of the architecture, the most frequent first."""
    votes: Counter[str] = Counter()
    for name in container.tensors:
        for end in range(len(name)):
            within = name[end].isdigit() and name[end - 1 : end].isalnum()  # `1.weight` in `11.`
            if name[end:] in naming.names and not within:
                votes[name[:end]] += 1
    return [prefix for prefix, _ in votes.most_common(8)]


def _fit(
    container: Container,
    prefix: str,
    naming: Naming,
    body: Mapping[str, Tensor],
    head: str,
) -> Fit:
    found: dict[str, Tensor] = {}
    of_head: dict[str, Tensor] = {}
    unexpected, beside = [], []
    for full, tensor in container.tensors.items():
        name = full.removeprefix(prefix)
        if not full.startswith(prefix):
            beside.append(full)
        elif name in naming.names:
            found[naming.names[name]] = tensor
        elif name.startswith(f"{head}.") and (tensor.numel() != 1 or name.endswith(_PARAMETERS)):
            of_head[full] = tensor
        elif name.partition(".")[0] in naming.modules and tensor.numel() != 1:
            unexpected.append(full)
        else:  # a counter has one element, such as the `total_ops` of a profiler
            beside.append(full)
    missing = (name for name in body if name not in found and not name.endswith(COUNTERS))
    mismatched = (name for name, value in found.items() if not _can_copy(value, body[name]))
    return Fit(
        container,
        prefix,
        naming,
        found,
        tuple(missing),
        tuple(mismatched),
        tuple(unexpected),
        of_head,
        tuple(beside),
    )


def _can_copy(tensor: Tensor, to: Tensor) -> bool:
    """Return whether the values of a tensor can become those of the architecture's tensor."""
    return tensor.shape == to.shape and has_values(tensor) and has_kind_of(tensor, to)


def has_values(tensor: Tensor) -> bool:
    """Return whether a tensor has values that can be copied."""
    return not (tensor.is_meta or tensor.is_quantized or tensor.layout is not torch.strided)


def has_kind_of(tensor: Tensor, to: Tensor) -> bool:
    """Return whether a tensor's values can stand for those of the architecture's tensor.

    A weight is a floating-point number; integers are quantised weights without their scale. A
    counter or an index is an integer, which averaging may have made a floating-point number.
    """
    return tensor.is_floating_point() or (
        not to.is_floating_point() and tensor.dtype != torch.bool and not tensor.is_complex()
    )
