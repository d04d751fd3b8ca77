"""The lines of a script that train: optimizer, phases, schedule, validation, loop."""

from __future__ import annotations

from engine.export.script import snippets
from engine.export.script.needs import Lines, Needs, attribute

_OPTIMIZERS = {"sgd": "torch.optim.SGD", "adamw": "torch.optim.AdamW"}


def training_lines(needs: Needs) -> Lines:
    """From the optimizer to the best weights on the disk."""
    blocks: list[Lines] = []
    if needs.named:
        blocks.append(_parts(needs))
    blocks.append(_begin_phase(needs) if needs.multi else _optimizer(needs))
    if needs.named:
        blocks.append(_train_mode(needs))
    if needs.scheduled:
        blocks.append(_schedule(needs))
    if needs.returned:
        blocks.append(_put_back(needs))
    blocks += [_validate(needs), _loop(needs)]
    lines = blocks[0]
    for block in blocks[1:]:
        lines = [*lines, "", "", *block]
    return lines


# --- optimizer and modes ------------------------------------------------------------------------


def _parts(needs: Needs) -> Lines:
    if needs.model.single_parameters:
        needs.imports.add("from operator import attrgetter")
        what, found = "Modules and single parameters of the model", "attrgetter(name)(model)"
    else:
        what, found = "Modules of the model", "model.get_submodule(name)"
    return [
        "def parts(names):",
        f'    """{what}, by their names."""',
        f"    return [{found} for name in names.split()]",
    ]


def _optimizer(needs: Needs) -> Lines:
    kind = needs.recipe.optimizer
    if needs.head_only:
        what = f"{attribute(needs.model.head)}.parameters()"
        return _made(needs, f"{what}, lr=LEARNING_RATE", kind)
    if needs.whole:
        return _made(needs, "model.parameters(), lr=LEARNING_RATE", kind)
    return [*_groups(needs, "TRAINS"), *_made(needs, "groups", kind)]


def _made(needs: Needs, what: str, kind: str, indent: int = 0) -> Lines:
    def value(name: str) -> str:
        return f'phase["{name}"]' if name in needs.columns else name.upper()

    options = [what, f"weight_decay={value('weight_decay')}"]
    if kind == "sgd":
        options.insert(1, f"momentum={value('momentum')}")
    before, inside = " " * indent, ", ".join(options)
    line = f"{before}optimizer = {_OPTIMIZERS[kind]}({inside})"
    if len(line) <= 100:
        return [line]
    return [f"{before}optimizer = {_OPTIMIZERS[kind]}(", f"{before}    {inside}", f"{before})"]


def _groups(needs: Needs, trains: str) -> Lines:
    parameters = "part.parameters()"
    if needs.model.single_parameters:
        parameters = f"[part] if isinstance(part, nn.Parameter) else {parameters}"
    rate = '"lr": rate, "base_lr": rate' if needs.scheduled else '"lr": rate'
    return [
        "groups = []",
        f"for names, rate in {trains}:",
        "    parameters = []",
        "    for part in parts(names):",
        "        part.requires_grad_(True)",
        f"        parameters += {parameters}",
        f'    groups.append({{"params": parameters, {rate}}})',
    ]


def _begin_phase(needs: Needs) -> Lines:
    lines = [
        "def begin(phase, before):",
        '    """Freeze all but what trains, and make an optimizer for that."""',
        "    model.requires_grad_(False)",
        *(f"    {line}" for line in _groups(needs, 'phase["trains"]')),
    ]
    if needs.may_rest:
        lines += ["    if not groups:", "        return None  # nothing trains"]
    if "optimizer" in needs.columns:
        lines += [
            '    if phase["optimizer"] == "adamw":',
            *_made(needs, "groups", "adamw", 8),
            "    else:",
            *_made(needs, "groups", "sgd", 8),
            "    if type(before) is type(optimizer):",
        ]
    else:
        lines += [*_made(needs, "groups", needs.recipe.optimizer, 4), "    if before is not None:"]
    return [
        *lines,
        "        # What trained already goes on with what its optimizer knew, such as momentum.",
        "        for parameter in model.parameters():",
        "            if parameter.requires_grad and parameter in before.state:",
        "                optimizer.state[parameter] = before.state[parameter]",
        "    return optimizer",
    ]


def _train_mode(needs: Needs) -> Lines:
    signature, trains = ("phase", 'phase["trains"]') if needs.multi else ("", "TRAINS")
    lines = [
        f"def train_mode({signature}):",
        '    """Eval mode for all that is frozen: its BatchNorms must not follow the new data."""',
        "    model.eval()",
        f"    for names, _ in {trains}:",
        "        for part in parts(names):",
    ]
    if needs.model.single_parameters:
        lines += ["            if isinstance(part, nn.Module):", "                part.train()"]
    else:
        lines.append("            part.train()")
    if needs.modes:
        modes = 'phase.get("modes", {})' if needs.multi else "MODES"
        lines += [
            f"    for name, mode in {modes}.items():",
            '        model.get_submodule(name).train(mode == "train")',
        ]
    return lines


def _put_back(needs: Needs) -> Lines:
    *lines, forget = snippets.PUT_BACK.splitlines()
    if needs.may_rest:
        return [*lines, "                if optimizer is not None:", f"    {forget}"]
    return [*lines, forget]


def _schedule(needs: Needs) -> Lines:
    recipe = needs.recipe
    text = snippets.WARM_CONSTANT
    if recipe.schedule != "constant":
        needs.imports.add("import math")
        text = snippets.WARM_COSINE if recipe.warmup else snippets.COSINE
    return (snippets.ONE_CYCLE if recipe.schedule == "one-cycle" else text).splitlines()


# --- validation and loop ------------------------------------------------------------------------


def _forward(needs: Needs) -> Lines:
    if not needs.bf16:
        return ["answers = model(images)"]
    enabled = ', enabled=phase["bf16"]' if "bf16" in needs.columns else ""
    return [
        f"with torch.autocast(DEVICE, dtype=torch.bfloat16{enabled}):",
        "    answers = model(images)",
        "answers = answers.float()",
    ]


def _validate(needs: Needs) -> Lines:
    source = "val"
    lines = [
        "@torch.no_grad()",
        "def validate():",
        '    """How many validation images are recognised, of how many, and the mean loss."""',
        "    model.eval()",
        "    correct, loss = 0, 0.0",
    ]
    if needs.facts.unreadable:
        source = "readable"
        lines.append("    readable = [sample for sample in val if sample[0] not in UNREADABLE]")
    return [
        *lines,
        f"    for first in range(0, len({source}), BATCH_SIZE):",
        f"        images, labels = load({source}[first : first + BATCH_SIZE])",
        *(f"        {line}" for line in _forward(needs)),
        "        correct += (answers.argmax(1) == labels).sum().item()",
        '        loss += F.cross_entropy(answers, labels, reduction="sum").item()',
        f"    return correct, len({source}), loss / len({source})",
    ]


def _loop(needs: Needs) -> Lines:
    lines: Lines = []
    if needs.model.draws:
        lines.append("torch.manual_seed(SEED)  # for what dropout draws")
    if needs.returned:
        lines.append("first = {name: value.clone() for name, value in model.state_dict().items()}")
    if needs.multi:
        lines.append("optimizer = None")
    lines += ["step, epoch = 0, 0", "best = (-1, 0.0)", "while step < STEPS:"]
    if needs.head_only:
        lines.append(
            "    model.eval()  # all but the head is frozen: no BatchNorm follows the data"
        )
    elif needs.whole:
        lines.append("    model.train()")
    elif not needs.multi:
        lines.append("    train_mode()")
    order = "balanced_batches_of" if needs.recipe.balance else "batches_of"
    return [
        *lines,
        f"    for batch in {order}(epoch)[: STEPS - step]:",
        *(f"        {line}" for line in _step(needs)),
        "    epoch += 1",
        "    correct, count, loss = validate()",
        '    print(f"epoch {epoch}: {correct} of {count} validation images right, '
        'loss {loss:.4f}")',
        "    if (correct, -loss) > best:",
        "        best = (correct, -loss)",
        "        torch.save(model.state_dict(), BEST)",
    ]


def _step(needs: Needs) -> Lines:
    lines = ["step += 1"]
    if needs.returned:
        lines += ["if step - 1 in PUT_BACK:", "    put_back(PUT_BACK[step - 1])"]
    if needs.multi:
        lines += ["if step in PHASES:", "    phase = PHASES[step]"]
        lines += ["    optimizer = begin(phase, optimizer)", "train_mode(phase)"]
    pairs = needs.recipe.balance
    samples = f"[train[index] for {'index, _' if pairs else 'index'} in batch]"
    if needs.augmented:
        keys = "[(epoch + 1, index, 0) for index in batch]"
        if pairs:
            keys = "[(epoch + 1, index, again) for index, again in batch]"
        on = ' if phase["augment"] else None' if "augment" in needs.columns else ""
        lines += [f"keys = {keys}{on}", f"images, labels = load({samples}, keys)"]
    else:
        lines.append(f"images, labels = load({samples})")
    if needs.bf16:
        lines += [*_forward(needs), "loss = F.cross_entropy(answers, labels)"]
    else:
        lines.append("loss = F.cross_entropy(model(images), labels)")
    update = ["optimizer.zero_grad()", "loss.backward()"]
    if needs.scheduled:
        update += _rates(needs)
    update.append("optimizer.step()")
    if needs.may_rest:
        update = ["if optimizer is not None:", *(f"    {line}" for line in update)]
    return [*lines, *update, 'print(f"step {step}: loss {loss.item()}", flush=True)']


def _rates(needs: Needs) -> Lines:
    base = 'group["base_lr"]' if needs.named else "LEARNING_RATE"
    factor = "lr_factor(step - 1, HORIZON)"
    lines: Lines = []
    if "cycle" in needs.columns:
        lines.append('after, steps = phase["cycle"]')
        factor = "lr_factor(step - 1 - after, steps)"
    return [
        *lines,
        "for group in optimizer.param_groups:",
        f'    group["lr"] = {base} * {factor}',
    ]
