"""The text of a script: its docstring, imports and the sections settings, images, model, training.

A script contains only what its run needs: no schedule if the learning rate is constant, no table of
phases if there is only one, and no augmentation if there was none.
"""

from __future__ import annotations

import textwrap

from engine.export.script.facts import DataSection, RunFacts
from engine.export.script.image_lines import image_lines
from engine.export.script.literals import WIDTH, literal, quoted
from engine.export.script.model_lines import model_lines
from engine.export.script.needs import Lines, Needs, group_by_rate
from engine.export.script.training_lines import training_lines
from tl_tui.settings.schedule import ONE_CYCLE_WARMUP

_STANDARD_LIBRARY = {"concurrent", "csv", "math", "operator", "os", "pathlib", "random", "sys"}


def script_text(facts: RunFacts, data: DataSection) -> str:
    """Return the text of the script."""
    needs = Needs(facts)
    needs.imports |= data.imports | {"from pathlib import Path"}
    sections = {
        "Settings": _settings(needs, data),
        "The images": image_lines(needs, data),
        "The model": model_lines(needs),
        "Training": training_lines(needs),
    }
    lines = _docstring(needs, facts.listing_file if data.listing else "")
    lines += ["", *_imports(needs.imports)]
    for title, section in sections.items():
        gap = [""] if title == "Settings" else ["", ""]
        # Formatters want two empty lines before a definition.
        below = ["", ""] if section[0].startswith(("def ", "@")) else [""]
        lines += [*gap, f"# --- {title} ---", *below, *section]
    return "\n".join(lines) + "\n"


def _docstring(needs: Needs, listing: str) -> Lines:
    facts = needs.facts
    files = " and ".join(name for name in (facts.weights_file, listing) if name)
    how = "step by step, in plain PyTorch" if needs.multi_phase else "in plain PyTorch"
    pillow = "NumPy, Pillow and pillow-heif" if facts.heif else "NumPy and Pillow"
    paragraphs = [
        f"This script repeats the {facts.steps:,} training steps of the run {facts.name}, with the "
        "same images in the same order, the same initial weights and the same frozen layers. It "
        f"prints the loss of every step. It needs torch, torchvision, {pillow}"
        f"{f', and {files} in the same folder' if files else ''}. "
        f"The run was trained with tl-tui {facts.version} on {facts.date}.",
        *facts.notes,
    ]
    lines = [f'"""Transfer learning with {needs.model.arch}, {how}.']
    for paragraph in paragraphs:
        plain = paragraph.replace("\\", "/").replace('"', "'")
        lines += ["", *textwrap.wrap(plain, WIDTH, break_on_hyphens=False)]
    return [*lines, '"""']


def _imports(imports: set[str]) -> Lines:
    def order(line: str) -> tuple[bool, str]:
        return line.startswith("from"), line.split()[1].lower()

    standard = {line for line in imports if line.split()[1].split(".")[0] in _STANDARD_LIBRARY}
    return [*sorted(standard, key=order), "", *sorted(imports - standard, key=order)]


def _settings(needs: Needs, data: DataSection) -> Lines:
    facts, recipe = needs.facts, needs.recipe
    lines = list(data.settings)
    if facts.unreadable:
        lines.append("# These images could not be read and are skipped.")
        lines.append(f"UNREADABLE = {literal(set(facts.unreadable), 13)}")
    if facts.weights_file:
        name = quoted(facts.weights_file)
        lines.append(f"WEIGHTS = Path(__file__).with_name({name})  # the initial weights")
    if facts.ranges:
        lines.append("# By kind of image with more than 8 bits: the values that become 0 and 255.")
    if not facts.plain_images:
        lines.append(f"RANGES = {literal(facts.ranges, 9)}")
    lines.append('BEST = Path("best.pth")  # the weights with the best validation accuracy')
    other = "cpu" if facts.device != "cpu" else "cuda"
    lines.append(f"DEVICE = {quoted(facts.device)}  # or {quoted(other)}")
    lines += [f"SEED = {facts.seed}", f"BATCH_SIZE = {facts.batch_size}"]
    lines.append(f"STEPS = {facts.steps}{_epochs(facts)}")
    if not needs.by_name:
        lines.append(f"LEARNING_RATE = {literal(next(iter(needs.phases[0].trainable.values())))}")
    if "momentum" not in needs.columns and needs.uses("sgd"):
        lines.append(f"MOMENTUM = {literal(recipe.momentum)}")
    if "weight_decay" not in needs.columns:
        lines.append(f"WEIGHT_DECAY = {literal(recipe.weight_decay)}")
    if needs.scheduled:
        if "schedule" not in needs.columns:
            steps = needs.phases[0].cycle.steps
            lines.append(f"SCHEDULE_STEPS = {steps}  # length of the learning-rate schedule")
        if recipe.warmup or recipe.schedule == "one-cycle":
            warmup = literal(recipe.warmup or ONE_CYCLE_WARMUP)
            lines.append(f"WARMUP = {warmup}  # as a fraction of the schedule")
    if facts.device == "cpu":
        lines += ["", f"torch.set_num_threads({facts.threads})  # sums depend on it"]
    if facts.deterministic:
        lines.append("")
        if facts.device == "cuda":
            needs.imports.add("import os")
            lines.append('os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")')
        lines.append("torch.use_deterministic_algorithms(True)")
    if needs.multi_phase:
        lines += ["", *_phase_table(needs)]
    elif needs.by_name:
        trainable = group_by_rate(needs.phases[0].trainable)
        lines += [
            "",
            "# The trainable modules, by learning rate. The rest is frozen.",
        ]
        lines.append(f"TRAINABLE = {literal(trainable, 12)}")
        if needs.has_modes:
            lines.append(
                "# Trainable modules are in train mode and frozen ones in eval mode, except for:"
            )
            lines.append(f"MODES = {literal(needs.phases[0].modes, 8)}")
    if needs.restored:
        lines += ["", "# After these steps, these modules are restored to their initial values."]
        lines.append("RESTORE = {")
        for after, names in needs.restored.items():
            lines.append(f"    {after}: {literal(names, 8 + len(str(after)), 4)},")
        lines.append("}")
    return lines


def _epochs(facts: RunFacts) -> str:
    epochs, rest = divmod(facts.steps, facts.batches_per_epoch)
    if rest:
        return f"  # one epoch has {facts.batches_per_epoch}"
    return f"  # {epochs} epoch{'' if epochs == 1 else 's'} of {facts.batches_per_epoch} steps"


def _phase_table(needs: Needs) -> Lines:
    paragraphs = [
        "The phases of the training, by the step with which each one begins.",
        "trainable: the trainable modules, by learning rate; the rest is frozen.",
    ]
    if "schedule" in needs.columns:
        paragraphs.append("schedule: the step after which the schedule begins, and its length.")
    if "modes" in needs.columns:
        paragraphs.append(
            "modes: exceptions to the rule (train mode if trainable, otherwise eval mode)."
        )
    if "augment" in needs.columns:
        paragraphs.append("augment: whether training images are augmented.")
    if "bf16" in needs.columns:
        paragraphs.append("bf16: whether the forward pass uses bfloat16.")
    lines = [f"# {paragraph}" for paragraph in paragraphs]
    lines.append("PHASES = {")
    for phase in needs.phases:
        values = {name: value(phase) for name, value in needs.columns.items()}
        if not phase.modes:
            values.pop("modes", None)
        row = ", ".join(f"{name}={literal(value)}" for name, value in values.items())
        if len(row) + len(str(phase.first)) + 13 <= WIDTH and "\n" not in row:
            lines.append(f"    {phase.first}: dict({row}),")
            continue
        lines.append(f"    {phase.first}: dict(")
        for name, value in values.items():
            lines.append(f"        {name}={literal(value, 10 + len(name), 8)},")
        lines.append("    ),")
    return [*lines, "}"]
