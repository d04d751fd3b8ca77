"""The section of a script that builds the model: weights, freezing and the new head."""

from __future__ import annotations

from engine.export.script import snippets
from engine.export.script.needs import Lines, Needs, attribute


def model_lines(needs: Needs) -> Lines:
    """Return the lines; with random weights they also estimate the BatchNorm statistics."""
    model, facts = needs.model, needs.facts
    options = ", ".join(f"{name}={value!r}" for name, value in model.options.items())
    build = f"model = {model.arch}({options})"
    lines: Lines = []
    names = model.arch
    if model.entry:
        names = f"{model.enum}, {model.arch}"
        if options:
            lines = [build, "model.load_state_dict(weights.get_state_dict(), strict=False)"]
        else:
            lines = [f"model = {model.arch}(weights=weights)"]
    elif facts.weights_file:
        lines = [
            build,
            "# These are all weights except those of the head, which is replaced below.",
            "model.load_state_dict(torch.load(WEIGHTS, weights_only=True), strict=False)",
        ]
    else:
        lines = ["torch.manual_seed(SEED)", f"{build}  # random weights"]
    needs.imports.add(f"from torchvision.models import {names}")
    if not needs.full:
        lines += ["", "for parameter in model.parameters():", "    parameter.requires_grad = False"]
    head = attribute(model.head)
    lines += [
        "",
        "torch.manual_seed(SEED)  # the new head must not depend on how the model was built",
        f"{head} = nn.Linear({head}.in_features, len(CLASSES))",
        "model.to(DEVICE, memory_format=torch.channels_last)"
        if facts.memory_format == "channels-last"
        else "model.to(DEVICE)",
    ]
    if needs.calibrates:
        lines += [
            "",
            *snippets.CALIBRATE.splitlines(),
            f"    for batch in make_batches(0)[:{facts.calibration_batches}]:",
            "        images, _ = load_batch([train[index] for index in batch])",
            "        model(images)",
            *snippets.CALIBRATE_END.splitlines(),
        ]
    return lines
