"""Say which weights of a file were taken, and which of its tensors were not used."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from engine.model.state_dicts import Fit, counted
from engine.model.weights_file import listed


def note(fits: list[Fit], file: str, head: nn.Linear) -> str:
    """Return which weights of a file were taken and what was not used; empty if that is clear.

    Args:
        fits: The complete fits, the one that is taken first.
        file: The name of the file.
        head: The architecture's head for the 1,000 classes of ImageNet.
    """
    taken, *others = fits
    sentences = []
    if taken.container.path or taken.prefix or taken.naming.label or taken.beside:
        sentences.append(_taken(taken, others, file))
    if taken.head and not _is_like(head, taken):
        sentences.append(_head_not_used(taken.head, file))
    return " ".join(sentences)


def _is_like(head: nn.Linear, fit: Fit) -> bool:
    """Return whether a fit's head has the shape of the one for ImageNet, which nobody expects."""
    shapes = {_last(name): tensor.shape for name, tensor in fit.head.items()}
    return len(fit.head) == len(shapes) and shapes == {
        name: parameter.shape for name, parameter in head.named_parameters()
    }


def _head_not_used(head: Mapping[str, Tensor], file: str) -> str:
    """Return the sentence about a file's head, which a new one replaces."""
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in head))
    outputs = [tensor.shape[0] for tensor in head.values() if tensor.ndim == 2]
    facts = listed(modules, 3) + (f"; {outputs[-1]:,} outputs" if outputs else "")
    facts = facts.replace("; 1 outputs", "; 1 output")
    return f"The head in {file} ({facts}) is not used: the model gets a new head."


def _taken(taken: Fit, others: list[Fit], file: str) -> str:
    """Return the sentence about the place of the weights and the tensors beside them."""
    sentence = f"The weights in {file} are those {taken.where}"
    if others:
        sentence += f"; those {listed([other.where for other in others], 2)} would fit as well"
    if taken.beside:
        sentence += f"; not used: {listed(_beside(taken), 4)} ({counted(len(taken.beside))})"
    return f"{sentence}."


def _beside(fit: Fit) -> list[str]:
    """Return what is beside a fit's weights: modules, and single tensors of modules in use.

    Tensors of many modules with one last name, such as a profiler's `total_ops`, are one entry.
    """
    beside = frozenset(fit.beside)
    shared = {
        ".".join(parts[:end])
        for name in fit.container.tensors
        if name not in beside
        for parts in [name.split(".")]
        for end in range(1, len(parts))
    }
    module_of = {name: _module_beside(name, fit.prefix) for name in fit.beside}
    added = {_last(name) for name, module in module_of.items() if module in shared}
    modules: dict[str, None] = {}
    tensors: dict[str, list[str]] = {}
    for name, module in module_of.items():
        if module in shared or _last(name) in added:
            tensors.setdefault(_last(name), []).append(name)
        else:
            modules[module] = None
    alike = [
        names[0] if len(names) == 1 else f"{last} of {len(names):,} modules"
        for last, names in tensors.items()
    ]
    return [*modules, *alike]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _module_beside(name: str, prefix: str) -> str:
    """Return the module of a name that does not begin with a prefix, as far as they differ."""
    parts, others = name.split("."), prefix.split(".")[:-1]
    same = 0
    while same < min(len(parts) - 1, len(others)) and parts[same] == others[same]:
        same += 1
    return ".".join(parts[: same + 1])
