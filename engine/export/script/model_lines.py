"""The lines of a script that make its model: weights, freeze, new head."""

from __future__ import annotations

from engine.export.script import snippets
from engine.export.script.needs import Lines, Needs, attribute


def model_lines(needs: Needs) -> Lines:
    """The lesson's recipe; and BatchNorm statistics, where the weights are random."""
    model, facts = needs.model, needs.facts
    options = ", ".join(f"{name}={value!r}" for name, value in model.options.items())
    made = f"model = {model.arch}({options})"
    lines: Lines = []
    names = model.arch
    if model.entry:
        names = f"{model.enum}, {model.arch}"
        if options:
            lines = [made, "model.load_state_dict(weights.get_state_dict(), strict=False)"]
        else:
            lines = [f"model = {model.arch}(weights=weights)"]
    elif facts.weights_file:
        lines = [
            made,
            "# All but the head, which is replaced below.",
            "model.load_state_dict(torch.load(WEIGHTS, weights_only=True), strict=False)",
        ]
    else:
        lines = ["torch.manual_seed(SEED)", f"{made}  # random weights"]
    needs.imports.add(f"from torchvision.models import {names}")
    if not needs.whole:
        lines += ["", "for parameter in model.parameters():", "    parameter.requires_grad = False"]
    head = attribute(model.head)
    lines += [
        "",
        "torch.manual_seed(SEED)  # the new head does not depend on how the rest came to be",
        f"{head} = nn.Linear({head}.in_features, len(CLASSES))",
        "model.to(DEVICE, memory_format=torch.channels_last)"
        if facts.memory_format == "channels-last"
        else "model.to(DEVICE)",
    ]
    if needs.calibrates:
        lines += [
            "",
            *snippets.CALIBRATE.splitlines(),
            f"    for batch in batches_of(0)[:{facts.calibration_batches}]:",
            "        images, _ = load([train[index] for index in batch])",
            "        model(images)",
            *snippets.CALIBRATE_END.splitlines(),
        ]
    return lines
