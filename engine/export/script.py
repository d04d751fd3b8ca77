"""The text of a script: settings, data, transform, weights, freeze, new head, loop. No torch.

Only what a run needs stands in it: no schedule where the rate is constant, no table of phases where
there is one, no augmentation where there was none.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

from ..protocol import Recipe
from . import snippets
from .data_section import DataSection
from .facts import Phase, RunFacts, has_schedule
from .literals import WIDTH, literal, quoted

Lines = list[str]

_OPTIMIZERS = {"sgd": "torch.optim.SGD", "adamw": "torch.optim.AdamW"}


def script_text(facts: RunFacts, data: DataSection) -> str:
    """The whole script."""
    return _Script(facts, data).text()


class _Script:
    """Writes section after section, and remembers what they import."""

    def __init__(self, facts: RunFacts, data: DataSection) -> None:
        self.facts, self.model, self.data = facts, facts.model, data
        self.phases = facts.model.phases
        self.recipe = self.phases[-1].recipe
        self.imports = {"import torch", "import torch.nn.functional as F", "from torch import nn"}
        self.imports |= data.imports
        self.multi = len(self.phases) > 1
        self.columns = self._columns()
        self.scheduled = any(has_schedule(phase.recipe) for phase in self.phases)
        self.augments = [p.recipe.augmentation != "none" for p in self.phases]
        self.bf16 = any(phase.recipe.precision == "bf16" for phase in self.phases)
        self.head_only = not self.multi and self._is_head_only(self.phases[0])
        self.whole = not self.multi and self._is_whole(self.phases[0])
        self.table = self.multi or not (self.head_only or self.whole)
        self.may_rest = any(not phase.trains for phase in self.phases)
        """In some steps nothing trains."""
        self.returned = {
            after: names for after, names in self.model.returned.items() if 0 < after < facts.steps
        }

    # --- what differs between phases ------------------------------------------------------------

    def _columns(self) -> dict[str, Callable[[Phase], Any]]:
        """What the table of phases says, by name."""
        every: dict[str, Callable[[Phase], Any]] = {
            "trains": lambda phase: phase.trains,
            "modes": lambda phase: phase.modes,
            "cycle": lambda phase: (phase.cycle.after_step, phase.cycle.steps),
            "optimizer": lambda phase: phase.recipe.optimizer,
            "momentum": lambda phase: phase.recipe.momentum,
            "weight_decay": lambda phase: phase.recipe.weight_decay,
            "augment": lambda phase: phase.recipe.augmentation != "none",
            "bf16": lambda phase: phase.recipe.precision == "bf16",
        }
        scheduled = any(has_schedule(phase.recipe) for phase in self.phases)
        kept = {}
        for name, value in every.items():
            differs = any(value(phase) != value(self.phases[0]) for phase in self.phases)
            if name == "cycle":
                differs = scheduled and (differs or self.phases[0].cycle.after_step > 0)
            if name == "momentum":
                differs = differs and any(p.recipe.optimizer == "sgd" for p in self.phases)
            if name == "modes":
                differs = any(phase.modes for phase in self.phases)
            if differs or (name == "trains" and self.multi):
                kept[name] = value
        return kept

    def _is_head_only(self, phase: Phase) -> bool:
        return list(phase.trains) == [self.model.head] and not phase.modes

    def _is_whole(self, phase: Phase) -> bool:
        same = set(phase.trains) == set(self.model.everything) and not phase.modes
        return same and len(set(phase.trains.values())) == 1

    # --- the whole ------------------------------------------------------------------------------

    def text(self) -> str:
        settings = self._settings()
        sections = [
            ("The images", self._data()),
            ("The model", self._model()),
            ("Training", self._training()),
        ]
        lines = [*self._docstring(), "", *self._imports(), "", *settings]
        for title, section in sections:
            lines += ["", "", *_heading(title), "", *section]
        text = "\n".join(lines)
        while "\n\n\n\n" in text:
            text = text.replace("\n\n\n\n", "\n\n\n")
        return text.rstrip("\n") + "\n"

    def _docstring(self) -> Lines:
        facts = self.facts
        what = "as a plain PyTorch script" if not self.multi else "step by step, in plain PyTorch"
        beside = [name for name in (facts.weights_file, self._listing_name()) if name]
        needs = "It needs torch, torchvision and Pillow"
        if beside:
            needs += f", and {' and '.join(beside)} beside it"
        paragraphs = [
            f"It takes the {facts.steps:,} train steps of the run {facts.name} again, on the same "
            "images in the same order, and prints the loss of every step. "
            f"{needs}. Written by tl-tui {facts.version} on {facts.date}.",
            *facts.notes,
        ]
        lines = [f'"""Transfer learning with {self.model.arch}, {what}.']
        for paragraph in paragraphs:
            lines += ["", *textwrap.wrap(paragraph, WIDTH)]
        return [*(line.replace("\\", "/") for line in lines), '"""']

    def _listing_name(self) -> str:
        return self.facts.listing_file if self.data.listing else ""

    def _imports(self) -> Lines:
        standard = {"csv", "math", "os", "random", "pathlib", "concurrent", "operator"}
        own = [line for line in self.imports if line.split()[1].split(".")[0] in standard]
        theirs = [line for line in self.imports if line not in own]

        def order(line: str) -> tuple[bool, str]:
            return line.startswith("from"), line.split()[1]

        return [*sorted(own, key=order), "", *sorted(theirs, key=order)]

    # --- settings -------------------------------------------------------------------------------

    def _settings(self) -> Lines:
        facts, recipe = self.facts, self.recipe
        self.imports.add("from pathlib import Path")
        lines = [*_heading("Settings"), "", *self.data.settings]
        if facts.unreadable:
            names = literal(set(facts.unreadable), 13)
            lines += [
                "# Images that could not be read; they are left out.",
                f"UNREADABLE = {names}",
            ]
        if facts.weights_file:
            name = quoted(facts.weights_file)
            lines.append(f"WEIGHTS = Path(__file__).with_name({name})  # what the run began from")
        lines.append('BEST = Path("best.pth")  # the weights of the best validation go here')
        other = "cpu" if facts.device != "cpu" else "cuda"
        lines.append(f"DEVICE = {quoted(facts.device)}  # or {quoted(other)}")
        lines += [f"SEED = {facts.seed}", f"BATCH_SIZE = {facts.batch_size}"]
        lines.append(f"STEPS = {facts.steps}{self._epochs()}")
        if self.head_only or self.whole:
            lines.append(f"LEARNING_RATE = {next(iter(self.phases[0].trains.values()))!r}")
        if "momentum" not in self.columns and self._uses("sgd"):
            lines.append(f"MOMENTUM = {recipe.momentum!r}")
        if "weight_decay" not in self.columns:
            lines.append(f"WEIGHT_DECAY = {recipe.weight_decay!r}")
        if self.scheduled:
            if "cycle" not in self.columns:
                steps = self.phases[0].cycle.steps
                lines.append(f"HORIZON = {steps}  # steps until the schedule is at its end")
            if recipe.warmup or recipe.schedule == "one-cycle":
                lines.append(f"WARMUP = {recipe.warmup or 0.3!r}  # of these steps")
        if facts.deterministic:
            lines += ["", "torch.use_deterministic_algorithms(True)"]
            if facts.device == "cuda":
                self.imports.add("import os")
                lines.insert(-1, 'os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")')
        if self.multi:
            lines += ["", *self._phase_table()]
        elif self.table:
            lines += ["", "# What trains, and at which learning rate; all else is frozen."]
            lines.append(f"TRAINS = {literal(self.phases[0].trains, 9)}")
            if self.phases[0].modes:
                lines += [*_MODES_COMMENT, f"MODES = {literal(self.phases[0].modes, 8)}"]
        if self.returned:
            lines += ["", "# After these steps these tensors were put back to their first values."]
            lines += ["PUT_BACK = {"]
            for after, names in self.returned.items():
                lines.append(f"    {after}: {literal(names, 8 + len(str(after)), 4)},")
            lines.append("}")
        return [part for line in lines for part in line.split("\n")]

    def _epochs(self) -> str:
        per_epoch = self.facts.batches_per_epoch
        epochs, rest = divmod(self.facts.steps, per_epoch)
        if rest:
            return f"  # an epoch has {per_epoch}"
        return f"  # {epochs} epoch{'' if epochs == 1 else 's'} of {per_epoch}"

    def _uses(self, optimizer: str) -> bool:
        return any(phase.recipe.optimizer == optimizer for phase in self.phases)

    def _phase_table(self) -> Lines:
        about = [
            "What the run did: from this step on, this trains, each part at its learning rate;"
        ]
        about.append("all else is frozen.")
        if "cycle" in self.columns:
            about.append("cycle: after which step the schedule began, and over how many steps.")
        if "modes" in self.columns:
            about.append("modes: BatchNorms that were switched to another mode by hand.")
        if "augment" in self.columns:
            about.append("augment: whether the training images are augmented.")
        lines = [f"# {line}" for line in textwrap.wrap(" ".join(about), WIDTH - 2)]
        lines.append("PHASES = {")
        for phase in self.phases:
            values = {name: value(phase) for name, value in self.columns.items()}
            row = ", ".join(f"{name}={literal(value)}" for name, value in values.items())
            if len(row) + len(str(phase.first)) + 13 <= WIDTH:
                lines.append(f"    {phase.first}: dict({row}),")
                continue
            lines.append(f"    {phase.first}: dict(")
            for name, value in values.items():
                lines.append(f"        {name}={literal(value, 10 + len(name), 8)},")
            lines.append("    ),")
        return [*lines, "}"]

    # --- the images -----------------------------------------------------------------------------

    def _data(self) -> Lines:
        self.imports.add("from concurrent.futures import ThreadPoolExecutor")
        lines = [*self.data.code]
        lines += ["", "", *self._reading()]
        lines += ["", "", *snippets.SEED_OF.splitlines()]
        self.imports.add("import numpy as np")
        if not self.recipe.balance or self._calibrates():
            lines += ["", "", *self._batches(snippets.BATCHES)]
        if self.recipe.balance:
            lines += ["", "", *self._batches(snippets.BALANCED_BATCHES)]
        return lines

    def _batches(self, text: str) -> Lines:
        lines, facts = text.splitlines(), self.facts
        changes = ""
        if facts.train_images % facts.batch_size == 1:
            changes += snippets.LAST_OF_ONE
        if facts.unreadable:
            drawn = "one[0]" if text is snippets.BALANCED_BATCHES else "one"
            changes += snippets.READABLE.replace("train[one]", f"train[{drawn}]")
        if changes:
            return [*lines[:-1], *changes.splitlines(), lines[-1]]
        return [*lines[:-2], lines[-2].replace("batches =", "return")]

    def _calibrates(self) -> bool:
        return self.facts.random_weights and self.model.keeps_statistics

    def _reading(self) -> Lines:
        self.imports.add("from PIL import Image, ImageOps")
        lines = [
            "def read_rgb(path):",
            '    """An image in 8-bit RGB, upright."""',
            "    with Image.open(path) as image:",
            "        image = ImageOps.exif_transpose(image)",
        ]
        images = self.facts.images
        if images.deep:
            self.imports.add("import numpy as np")
            lines += [
                '        if image.mode.startswith("I;16"):  # Pillow itself would clip it white',
                "            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))",
            ]
        if images.transparent:
            lines += [
                "        if image.has_transparency_data:  # shown on white",
                '            image = image.convert("RGBA")',
                '            white = Image.new("RGBA", image.size, "white")',
                "            image = Image.alpha_composite(white, image)",
            ]
        if images.strips:
            lines += [
                '        image = image.convert("RGB")',
                "    width, height = image.size",
                "    most = 32 * min(width, height)  # of a strip the far ends are left out",
                "    if max(width, height) <= most:",
                "        return image",
                "    left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)",
                "    return image.crop((left, top, min(width, left + most), "
                "min(height, top + most)))",
            ]
        else:
            lines.append('        return image.convert("RGB")')
        if any(self.augments):
            lines += ["", "", *self._augmentation()]
            one = ["def prepared(path, key):"]
            one += ['    """An image as the model takes it; augmented if there is a key for it."""']
            one += ["    return augmented(path, key) if key else preprocess(read_rgb(path))"]
            lines += ["", "", *one]
        lines += ["", "", "pool = ThreadPoolExecutor()", "", ""]
        signature = "samples, keys=None" if any(self.augments) else "samples"
        lines += [
            f"def load({signature}):",
            '    """Images [N, 3, height, width] and labels [N] of pairs (path, label)."""',
        ]
        if any(self.augments):
            lines.append("    keys = keys or [None] * len(samples)")
            lines.append("    images = pool.map(prepared, [path for path, _ in samples], keys)")
        else:
            lines.append(
                "    images = pool.map(lambda sample: preprocess(read_rgb(sample[0])), samples)"
            )
        lines += [
            "    labels = torch.tensor([label for _, label in samples])",
            "    return torch.stack(list(images)).to(DEVICE), labels.to(DEVICE)",
        ]
        return lines

    def _augmentation(self) -> Lines:
        self.imports |= {
            "import numpy as np",
            "from torchvision.transforms.v2 import functional as v2",
        }
        names = {phase.recipe.augmentation for phase in self.phases} - {"none"}
        (name,) = names
        if name == "standard":
            self.imports.add("import math")
        box = snippets.STANDARD_BOX if name == "standard" else snippets.LIGHT_BOX
        text = snippets.AUGMENTED + (snippets.COLOURS if name == "standard" else "")
        words = self.model.transform
        text = text.replace("antialias=True", f"antialias={words['antialias']}")
        text += snippets.AUGMENTED_END
        return [*box.splitlines(), "", "", *text.splitlines()]

    # --- the model ------------------------------------------------------------------------------

    def _model(self) -> Lines:
        model, facts = self.model, self.facts
        options = "".join(f", {name}={value!r}" for name, value in model.options.items())[2:]
        lines: Lines = []
        self.imports.add(f"from torchvision.models import {model.arch}")
        if model.entry:
            self.imports.discard(f"from torchvision.models import {model.arch}")
            self.imports.add(f"from torchvision.models import {model.enum}, {model.arch}")
            lines.append(f"weights = {model.enum}.{model.entry}")
            if model.options:
                lines.append(f"model = {model.arch}({options})")
                lines.append("model.load_state_dict(weights.get_state_dict(), strict=False)")
            else:
                lines.append(f"model = {model.arch}(weights=weights)")
        else:
            if facts.random_weights:
                lines.append("torch.manual_seed(SEED)")
            lines.append(f"model = {model.arch}({options})")
            if facts.weights_file:
                lines += [
                    "# All but the head, which is replaced below.",
                    "state = torch.load(WEIGHTS, weights_only=True)",
                    "model.load_state_dict(state, strict=False)",
                ]
        lines += ["", *self._transform()]
        if not self.whole:
            lines += [
                "",
                "for parameter in model.parameters():",
                "    parameter.requires_grad = False",
            ]
        head = _attribute(model.head)
        lines += [
            "",
            "torch.manual_seed(SEED)  # the new head does not depend on how the rest came to be",
            f"{head} = nn.Linear({head}.in_features, len(CLASSES))",
            "model.to(DEVICE)",
        ]
        if self._calibrates():
            lines += ["", *self._calibration()]
        return lines

    def _transform(self) -> Lines:
        model, words = self.model, self.model.transform
        usual = model.usual_transform
        lines: Lines = []
        if model.entry:
            changed = {name: value for name, value in words.items() if usual[name] != value}
            lines.append("# The transform that belongs to the weights.")
            options = ", ".join(f"{name}={literal(value)}" for name, value in changed.items())
            lines.append(f"preprocess = weights.transforms({options})")
            if any(self.augments):
                lines.append("MEAN, STD = preprocess.mean, preprocess.std")
        if not model.entry or any(self.augments):
            self.imports.add("from torchvision import transforms")
        if any(self.augments):
            lines.append(f"SIZE = {words['crop_size']}")
            if any(phase.recipe.augmentation == "light" for phase in self.phases):
                lines.append(f"RESIZE = {words['resize_size']}")
            mode = f"transforms.InterpolationMode.{words['interpolation'].upper()}"
            lines.append(f"INTERPOLATION = {mode}")
        if not model.entry:
            lines += [f"MEAN, STD = {literal(words['mean'])}, {literal(words['std'])}"]
            resize = str(words["resize_size"])
            if words["interpolation"] != "bilinear":
                resize += f", transforms.InterpolationMode.{words['interpolation'].upper()}"
            if not words["antialias"]:
                resize += ", antialias=False"
            lines += [
                "preprocess = transforms.Compose(",
                "    [",
                f"        transforms.Resize({resize}),",
                f"        transforms.CenterCrop({words['crop_size']}),",
                "        transforms.ToTensor(),",
                "        transforms.Normalize(MEAN, STD),",
                "    ]",
                ")",
            ]
        return lines

    def _calibration(self) -> Lines:
        return [
            *snippets.CALIBRATE.splitlines(),
            f"    for batch in batches_of(0)[:{self.facts.calibration_batches}]:",
            "        images, _ = load([train[index] for index in batch])",
            "        model(images)",
            *snippets.CALIBRATE_END.splitlines(),
        ]

    # --- training -------------------------------------------------------------------------------

    def _training(self) -> Lines:
        lines: Lines = []
        if self.multi:
            lines += [*self._begin_phase(), "", ""]
        else:
            lines += [*self._optimizer(), "", ""]
        if self.table:
            lines += [*self._train_mode(), "", ""]
        if self.scheduled:
            if self.recipe.schedule != "constant":
                self.imports.add("import math")
            lines += [*_schedule(self.recipe).splitlines(), "", ""]
        if self.returned:
            lines += [*snippets.PUT_BACK.splitlines(), "", ""]
        lines += [*self._validate(), "", "", *self._loop()]
        return lines

    def _optimizer(self) -> Lines:
        recipe = self.recipe
        if self.head_only:
            what = f"{_attribute(self.model.head)}.parameters(), lr=LEARNING_RATE"
            return [f"optimizer = {self._made(what, recipe.optimizer)}"]
        if self.whole:
            what = "model.parameters(), lr=LEARNING_RATE"
            return [f"optimizer = {self._made(what, recipe.optimizer)}"]
        return [*self._groups("TRAINS"), f"optimizer = {self._made('groups', recipe.optimizer)}"]

    def _made(self, what: str, kind: str) -> str:
        def value(name: str) -> str:
            return f'phase["{name}"]' if name in self.columns else name.upper()

        options = f"weight_decay={value('weight_decay')}"
        if kind == "sgd":
            options = f"momentum={value('momentum')}, {options}"
        return f"{_OPTIMIZERS[kind]}({what}, {options})"

    def _groups(self, trains: str) -> Lines:
        lines = ["groups = []", f"for name, rate in {trains}.items():"]
        rate = '"lr": rate, "base_lr": rate' if self.scheduled else '"lr": rate'
        if self.model.single_parameters:
            self.imports.add("from operator import attrgetter")
            return [
                *lines,
                "    part = attrgetter(name)(model).requires_grad_(True)",
                "    its = [part] if isinstance(part, nn.Parameter) else list(part.parameters())",
                f'    groups.append({{"params": its, {rate}}})',
            ]
        return [
            *lines,
            "    part = model.get_submodule(name).requires_grad_(True)",
            f'    groups.append({{"params": list(part.parameters()), {rate}}})',
        ]

    def _begin_phase(self) -> Lines:
        lines = [
            "def begin(phase, before):",
            '    """Freeze all but what trains; what `before` knows of that goes on."""',
            "    for parameter in model.parameters():",
            "        parameter.requires_grad = False",
        ]
        lines += [f"    {line}" for line in self._groups('phase["trains"]')]
        if self.may_rest:
            lines += ["    if not groups:", "        return None  # nothing trains"]
        if "optimizer" in self.columns:
            lines += [
                '    if phase["optimizer"] == "adamw":',
                f"        optimizer = {self._made('groups', 'adamw')}",
                "    else:",
                f"        optimizer = {self._made('groups', 'sgd')}",
                "    if type(before) is not type(optimizer):",
                "        return optimizer",
            ]
        else:
            lines.append(f"    optimizer = {self._made('groups', self.recipe.optimizer)}")
            lines += ["    if before is None:", "        return optimizer"]
        return [
            *lines,
            "    for group in optimizer.param_groups:",
            '        for parameter in group["params"]:',
            "            if parameter in before.state:",
            "                optimizer.state[parameter] = before.state[parameter]",
            "    return optimizer",
        ]

    def _train_mode(self) -> Lines:
        trains = 'phase["trains"]' if self.multi else "TRAINS"
        modes = 'phase["modes"]' if self.multi else "MODES"
        lines = [
            f"def train_mode({'phase' if self.multi else ''}):",
            '    """Eval mode for all that is frozen: no BatchNorm there follows the data."""',
            "    model.eval()",
            f"    for name in {trains}:",
        ]
        if self.model.single_parameters:
            lines += [
                "        part = attrgetter(name)(model)",
                "        if isinstance(part, nn.Module):",
                "            part.train()",
            ]
        else:
            lines.append("        model.get_submodule(name).train()")
        if any(phase.modes for phase in self.phases):
            lines += [
                f"    for name, mode in {modes}.items():",
                '        model.get_submodule(name).train(mode == "train")',
            ]
        return lines

    def _validate(self) -> Lines:
        left_out = []
        if self.facts.unreadable:
            left_out = [
                "        samples = [sample for sample in samples if sample[0] not in UNREADABLE]",
                "        if not samples:",
                "            continue",
            ]
        return [
            "@torch.no_grad()",
            "def validate():",
            '    """How many validation images are recognised, of how many, and the mean loss."""',
            "    model.eval()",
            "    correct, count, total = 0, 0, 0.0",
            "    for first in range(0, len(val), BATCH_SIZE):",
            "        samples = val[first : first + BATCH_SIZE]",
            *left_out,
            "        images, labels = load(samples)",
            *self._forward("        ", "answers"),
            "        correct += (answers.argmax(1) == labels).sum().item()",
            '        total += F.cross_entropy(answers, labels, reduction="sum").item()',
            "        count += len(labels)",
            "    return correct, count, total / count",
        ]

    def _forward(self, indent: str, name: str) -> Lines:
        if not self.bf16:
            return [f"{indent}{name} = model(images)"]
        enabled = ', enabled=phase["bf16"]' if "bf16" in self.columns else ""
        return [
            f"{indent}with torch.autocast(DEVICE, dtype=torch.bfloat16{enabled}):",
            f"{indent}    {name} = model(images)",
            f"{indent}{name} = {name}.float()",
        ]

    def _loop(self) -> Lines:
        lines: Lines = []
        if self.model.draws:
            lines.append("torch.manual_seed(SEED)  # for what dropout draws")
        if self.returned:
            lines.append("first = {n: t.clone() for n, t in model.state_dict().items()}")
        if self.multi:
            lines.append("optimizer = None")
        lines += [
            "step, epoch = 0, 0",
            "best = (-1, 0.0)",
            "while step < STEPS:",
        ]
        if not self.multi:
            lines += [f"    {line}" for line in self._mode_lines()]
        order = "balanced_batches_of" if self.recipe.balance else "batches_of"
        lines.append(f"    for batch in {order}(epoch)[: STEPS - step]:")
        lines += [f"        {line}" for line in self._step()]
        return [
            *lines,
            "    epoch += 1",
            "    correct, count, loss = validate()",
            '    print(f"epoch {epoch}: {correct} of {count} validation images right, '
            'loss {loss:.4f}")',
            "    if (correct, -loss) > best:",
            "        best = (correct, -loss)",
            "        torch.save(model.state_dict(), BEST)",
        ]

    def _step(self) -> Lines:
        lines = ["step += 1"]
        if self.returned:
            lines += ["if step - 1 in PUT_BACK:", "    put_back(PUT_BACK[step - 1])"]
        if self.multi:
            lines += [
                "if step in PHASES:",
                "    phase = PHASES[step]",
                "    optimizer = begin(phase, optimizer)",
                "train_mode(phase)",
            ]
        index = "index, _" if self.recipe.balance else "index"
        samples = f"[train[index] for {index} in batch]"
        if any(self.augments):
            keys = "(epoch + 1, index, 0) for index in batch"
            if self.recipe.balance:
                keys = "(epoch + 1, index, again) for index, again in batch"
            on = ' if phase["augment"] else None' if "augment" in self.columns else ""
            lines += [f"keys = [{keys}]{on}", f"images, labels = load({samples}, keys)"]
        else:
            lines.append(f"images, labels = load({samples})")
        if self.bf16:
            lines += [*self._forward("", "answers"), "loss = F.cross_entropy(answers, labels)"]
        else:
            lines.append("loss = F.cross_entropy(model(images), labels)")
        update = [*(self._rates() if self.scheduled else []), "optimizer.zero_grad()"]
        update += ["loss.backward()", "optimizer.step()"]
        if self.may_rest:
            update = ["if optimizer is not None:", *(f"    {line}" for line in update)]
        return [*lines, *update, 'print(f"step {step}: loss {loss.item()}", flush=True)']

    def _mode_lines(self) -> Lines:
        if self.head_only:
            return ["model.eval()  # all but the head is frozen: no BatchNorm follows the new data"]
        return ["model.train()"] if self.whole else ["train_mode()"]

    def _rates(self) -> Lines:
        lines: Lines = []
        if "cycle" in self.columns:
            lines += [
                'after, steps = phase["cycle"]',
                "factor = lr_factor(step - 1 - after, steps)",
            ]
        else:
            lines.append("factor = lr_factor(step - 1, HORIZON)")
        group = "for group in optimizer.param_groups:"
        base = "LEARNING_RATE" if self.head_only or self.whole else 'group["base_lr"]'
        rate = f'group["lr"] = {base} * factor'
        lines += [group, f"    {rate}"]
        return lines


_MODES_COMMENT = ["# BatchNorms that were switched to another mode by hand."]


def _heading(title: str) -> Lines:
    return [f"# --- {title} {'-' * (WIDTH - 7 - len(title))}"]


def _attribute(path: str) -> str:
    """`model.classifier[1]` for the path `classifier.1`."""
    parts = (f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))
    return "model" + "".join(parts)


def _schedule(recipe: Recipe) -> str:
    if recipe.schedule == "one-cycle":
        return snippets.ONE_CYCLE
    if recipe.schedule == "cosine":
        return snippets.WARM_COSINE if recipe.warmup else snippets.COSINE
    return snippets.WARM_CONSTANT
