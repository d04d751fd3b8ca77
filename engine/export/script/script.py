"""The text of a script: settings, images, model, training. Imports no torch.

Only what a run needs stands in it: no schedule where the rate is constant, no table of phases where
there is one, no augmentation where there was none.
"""

from __future__ import annotations

import textwrap

from engine.export.script.facts import DataSection, RunFacts
from engine.export.script.image_lines import image_lines
from engine.export.script.literals import WIDTH, literal, quoted
from engine.export.script.model_lines import model_lines
from engine.export.script.needs import Lines, Needs, groups
from engine.export.script.training_lines import training_lines
from tl_tui.settings.schedule import ONE_CYCLE_WARMUP

_STANDARD = {"concurrent", "csv", "math", "operator", "os", "pathlib", "random"}


def script_text(facts: RunFacts, data: DataSection) -> str:
    """The whole script."""
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
        # Two empty lines before a definition, as formatters want it.
        begins = ["", ""] if section[0].startswith(("def ", "@")) else [""]
        lines += [*gap, f"# --- {title} ---", *begins, *section]
    return "\n".join(lines) + "\n"


def _docstring(needs: Needs, listing: str) -> Lines:
    facts = needs.facts
    beside = " and ".join(name for name in (facts.weights_file, listing) if name)
    what = "step by step, in plain PyTorch" if needs.multi else "in plain PyTorch"
    paragraphs = [
        f"This takes the {facts.steps:,} train steps of the run {facts.name} again: the same "
        "images in the same order, the same start, the same layers frozen. Every step prints its "
        "loss. It needs torch, torchvision and Pillow"
        f"{f', and {beside} beside it' if beside else ''}. "
        f"Written by tl-tui {facts.version} of a run of {facts.date}.",
        *facts.notes,
    ]
    lines = [f'"""Transfer learning with {needs.model.arch}, {what}.']
    for paragraph in paragraphs:
        lines += ["", *textwrap.wrap(paragraph.replace("\\", "/").replace('"', "'"), WIDTH)]
    return [*lines, '"""']


def _imports(imports: set[str]) -> Lines:
    def order(line: str) -> tuple[bool, str]:
        return line.startswith("from"), line.split()[1].lower()

    own = {line for line in imports if line.split()[1].split(".")[0] in _STANDARD}
    return [*sorted(own, key=order), "", *sorted(imports - own, key=order)]


def _settings(needs: Needs, data: DataSection) -> Lines:
    facts, recipe = needs.facts, needs.recipe
    lines = list(data.settings)
    if facts.unreadable:
        lines.append("# Images that could not be read; they are left out.")
        lines.append(f"UNREADABLE = {literal(set(facts.unreadable), 13)}")
    if facts.weights_file:
        name = quoted(facts.weights_file)
        lines.append(f"WEIGHTS = Path(__file__).with_name({name})  # what the run began from")
    lines.append('BEST = Path("best.pth")  # the weights of the best validation go here')
    other = "cpu" if facts.device != "cpu" else "cuda"
    lines.append(f"DEVICE = {quoted(facts.device)}  # or {quoted(other)}")
    lines += [f"SEED = {facts.seed}", f"BATCH_SIZE = {facts.batch_size}"]
    lines.append(f"STEPS = {facts.steps}{_epochs(facts)}")
    if not needs.named:
        lines.append(f"LEARNING_RATE = {literal(next(iter(needs.phases[0].trains.values())))}")
    if "momentum" not in needs.columns and needs.uses("sgd"):
        lines.append(f"MOMENTUM = {literal(recipe.momentum)}")
    if "weight_decay" not in needs.columns:
        lines.append(f"WEIGHT_DECAY = {literal(recipe.weight_decay)}")
    if needs.scheduled:
        if "cycle" not in needs.columns:
            lines.append(f"HORIZON = {needs.phases[0].cycle.steps}  # steps of the schedule")
        if recipe.warmup or recipe.schedule == "one-cycle":
            lines.append(
                f"WARMUP = {literal(recipe.warmup or ONE_CYCLE_WARMUP)}  # of the schedule's steps"
            )
    if facts.deterministic:
        lines.append("")
        if facts.device == "cuda":
            needs.imports.add("import os")
            lines.append('os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")')
        lines.append("torch.use_deterministic_algorithms(True)")
    if needs.multi:
        lines += ["", *_phase_table(needs)]
    elif needs.named:
        lines += [
            "",
            "# What trains, each group of parts at its learning rate; all else is frozen.",
        ]
        lines.append(f"TRAINS = {literal(groups(needs.phases[0].trains), 9)}")
        if needs.modes:
            lines.append(
                "# What trains is in train mode, all else in eval mode, but for these modules."
            )
            lines.append(f"MODES = {literal(needs.phases[0].modes, 8)}")
    if needs.returned:
        lines += ["", "# After these steps these modules were put back to their first values."]
        lines.append("PUT_BACK = {")
        for after, names in needs.returned.items():
            lines.append(f"    {after}: {literal(names, 8 + len(str(after)), 4)},")
        lines.append("}")
    return lines


def _epochs(facts: RunFacts) -> str:
    epochs, rest = divmod(facts.steps, facts.batches_per_epoch)
    if rest:
        return f"  # an epoch has {facts.batches_per_epoch}"
    return f"  # {epochs} epoch{'' if epochs == 1 else 's'} of {facts.batches_per_epoch}"


def _phase_table(needs: Needs) -> Lines:
    about = "What the run did: from step 1 on this trains, each group of modules at its learning "
    about += "rate, from the next step named on that; all else is frozen."
    if "cycle" in needs.columns:
        about += " cycle: after which step the schedule began, and over how many steps."
    if "modes" in needs.columns:
        about += " modes: modules in another mode than train for what trains and eval for the rest."
    if "augment" in needs.columns:
        about += " augment: whether training images are augmented."
    lines = [f"# {line}" for line in textwrap.wrap(about, WIDTH - 2)]
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
