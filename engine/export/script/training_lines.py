"""The section of a script that trains: optimizer, phases, schedule, validation and loop."""

from __future__ import annotations

from engine.export.script import snippets
from engine.export.script.literals import WIDTH
from engine.export.script.needs import Lines, Needs, attribute

_OPTIMIZERS = {"sgd": "torch.optim.SGD", "adamw": "torch.optim.AdamW"}


def training_lines(needs: Needs) -> Lines:
    """Return the lines, from the optimizer to saving the best weights."""
    blocks: list[Lines] = []
    if needs.by_name:
        blocks.append(_get_parts(needs))
    blocks.append(_start_phase(needs) if needs.multi_phase else _optimizer(needs))
    if needs.by_name:
        blocks.append(_set_train_mode(needs))
    if needs.scheduled:
        blocks.append(_schedule(needs))
    if needs.restored:
        blocks.append(_restore(needs))
    blocks += [_validate(needs), _loop(needs)]
    lines = blocks[0]
    for block in blocks[1:]:
        lines = [*lines, "", "", *block]
    return lines


# --- optimizer and modes ------------------------------------------------------------------------


def _get_parts(needs: Needs) -> Lines:
    if needs.model.single_parameters:
        needs.imports.add("from operator import attrgetter")
        what, part = "modules and parameters", "attrgetter(name)(model)"
    else:
        what, part = "modules", "model.get_submodule(name)"
    return [
        "def get_parts(names):",
        f'    """Return the {what} of the model with these names."""',
        f"    return [{part} for name in names.split()]",
    ]


def _optimizer(needs: Needs) -> Lines:
    kind = needs.recipe.optimizer
    if needs.head_only:
        parameters = f"{attribute(needs.model.head)}.parameters()"
        return _make_optimizer(needs, f"{parameters}, lr=LEARNING_RATE", kind)
    if needs.full:
        return _make_optimizer(needs, "model.parameters(), lr=LEARNING_RATE", kind)
    return [*_groups(needs, "TRAINABLE"), *_make_optimizer(needs, "groups", kind)]


def _make_optimizer(needs: Needs, first: str, kind: str, indent: int = 0) -> Lines:
    """Return the call of an optimizer, whose first arguments are given as source code."""

    def value(name: str) -> str:
        return f'phase["{name}"]' if name in needs.columns else name.upper()

    arguments = [first, f"weight_decay={value('weight_decay')}"]
    if kind == "sgd":
        arguments.insert(1, f"momentum={value('momentum')}")
    if needs.fused(kind):
        arguments.append("fused=True")
    margin, inside = " " * indent, ", ".join(arguments)
    line = f"{margin}optimizer = {_OPTIMIZERS[kind]}({inside})"
    if len(line) <= WIDTH:
        return [line]
    wrapped = [f"{margin}    {inside}"]
    if len(wrapped[0]) > WIDTH:
        wrapped = [f"{margin}    {argument}," for argument in ", ".join(arguments).split(", ")]
    return [f"{margin}optimizer = {_OPTIMIZERS[kind]}(", *wrapped, f"{margin})"]


def _groups(needs: Needs, trainable: str) -> Lines:
    """Return the lines that unfreeze parameters and make their groups for the optimizer."""
    parameters = "part.parameters()"
    if needs.model.single_parameters:
        parameters = f"[part] if isinstance(part, nn.Parameter) else {parameters}"
    rate = '"lr": rate, "base_lr": rate' if needs.scheduled else '"lr": rate'
    return [
        "groups = []",
        f"for names, rate in {trainable}:",
        "    parameters = []",
        "    for part in get_parts(names):",
        "        part.requires_grad_(True)",
        f"        parameters += {parameters}",
        f'    groups.append({{"params": parameters, {rate}}})',
    ]


def _start_phase(needs: Needs) -> Lines:
    lines = [
        "def start_phase(phase, previous):",
        '    """Freeze all except the trainable modules, and return an optimizer for these."""',
        "    model.requires_grad_(False)",
        *(f"    {line}" for line in _groups(needs, 'phase["trainable"]')),
    ]
    if needs.has_frozen_phase:
        lines += ["    if not groups:", "        return None  # everything is frozen"]
    if "optimizer" in needs.columns:
        lines += [
            '    if phase["optimizer"] == "adamw":',
            *_make_optimizer(needs, "groups", "adamw", 8),
            "    else:",
            *_make_optimizer(needs, "groups", "sgd", 8),
            "    if type(previous) is type(optimizer):",
        ]
    else:
        lines += [
            *_make_optimizer(needs, "groups", needs.recipe.optimizer, 4),
            "    if previous is not None:",
        ]
    lines += [
        "        # Parameters that were trained before keep their state, such as momentum.",
        "        for parameter in model.parameters():",
        "            if parameter.requires_grad and parameter in previous.state:",
        "                optimizer.state[parameter] = previous.state[parameter]",
    ]
    if needs.uses("sgd") and needs.fused("sgd"):
        # The fused kernel needs the momentum of all parameters of a group, or of none.
        is_sgd = " and isinstance(optimizer, torch.optim.SGD)" if needs.uses("adamw") else ""
        lines += [
            f"            elif parameter.requires_grad{is_sgd}:",
            "                buffer = torch.zeros_like(parameter)",
            '                optimizer.state[parameter]["momentum_buffer"] = buffer',
        ]
    return [*lines, "    return optimizer"]


def _set_train_mode(needs: Needs) -> Lines:
    signature, trainable = "", "TRAINABLE"
    if needs.multi_phase:
        signature, trainable = "phase", 'phase["trainable"]'
    lines = [
        f"def set_train_mode({signature}):",
        '    """Set trainable modules to train mode and frozen ones to eval mode.',
        "",
        "    In eval mode, BatchNorm keeps its running statistics.",
        '    """',
        "    model.eval()",
        f"    for names, _ in {trainable}:",
        "        for part in get_parts(names):",
    ]
    if needs.model.single_parameters:
        lines += ["            if isinstance(part, nn.Module):", "                part.train()"]
    else:
        lines.append("            part.train()")
    if needs.has_modes:
        modes = 'phase.get("modes", {})' if needs.multi_phase else "MODES"
        lines += [
            f"    for name, mode in {modes}.items():",
            '        model.get_submodule(name).train(mode == "train")',
        ]
    return lines


def _restore(needs: Needs) -> Lines:
    lines = snippets.RESTORE.splitlines()
    drop = snippets.DROP_STATE.splitlines()
    if needs.uses("sgd") and needs.fused("sgd"):
        # The fused kernel needs the momentum of all parameters of a group, or of none.
        drop = snippets.ZERO_MOMENTUM.splitlines()
        if needs.uses("adamw"):
            drop += ["else:", *(f"    {line}" for line in snippets.DROP_STATE.splitlines())]
    if needs.has_frozen_phase:
        drop = ["if optimizer is not None:", *(f"    {line}" for line in drop)]
    return [*lines, *(f"                {line}" for line in drop)]


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
        return ["outputs = model(images)"]
    enabled = ', enabled=phase["bf16"]' if "bf16" in needs.columns else ""
    return [
        f"with torch.autocast(DEVICE, dtype=torch.bfloat16{enabled}):",
        "    outputs = model(images)",
        "outputs = outputs.float()",
    ]


def _validate(needs: Needs) -> Lines:
    source = "val"
    lines = [
        "@torch.no_grad()",
        "def validate():",
        '    """Return the number of correct predictions, of images, and the mean loss."""',
        "    model.eval()",
        "    correct, loss = 0, 0.0",
    ]
    if needs.facts.unreadable:
        source = "readable"
        lines.append("    readable = [sample for sample in val if sample[0] not in UNREADABLE]")
    return [
        *lines,
        f"    for first in range(0, len({source}), BATCH_SIZE):",
        f"        images, labels = load_batch({source}[first : first + BATCH_SIZE])",
        *(f"        {line}" for line in _forward(needs)),
        "        correct += (outputs.argmax(1) == labels).sum().item()",
        '        loss += F.cross_entropy(outputs, labels, reduction="sum").item()',
        f"    return correct, len({source}), loss / len({source})",
    ]


def _loop(needs: Needs) -> Lines:
    lines: Lines = []
    if needs.model.is_random:
        lines.append("torch.manual_seed(SEED)  # for dropout")
    if needs.restored:
        lines.append(
            "initial_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}"
        )
    if needs.multi_phase:
        lines.append("optimizer = None")
    lines += ["step, epoch = 0, 0", "best = (-1, 0.0)", "while step < STEPS:"]
    if needs.head_only:
        lines.append("    model.eval()  # only the head is trained: BatchNorm keeps its statistics")
    elif needs.full:
        lines.append("    model.train()")
    elif not needs.multi_phase:
        lines.append("    set_train_mode()")
    make_batches = "make_balanced_batches" if needs.recipe.balance else "make_batches"
    return [
        *lines,
        f"    for batch in {make_batches}(epoch)[: STEPS - step]:",
        *(f"        {line}" for line in _step(needs)),
        "    epoch += 1",
        "    correct, count, loss = validate()",
        '    print(f"epoch {epoch}: {correct} of {count} validation images correct, '
        'loss {loss:.4f}")',
        "    if (correct, -loss) > best:",
        "        best = (correct, -loss)",
        "        torch.save(model.state_dict(), BEST)",
    ]


def _step(needs: Needs) -> Lines:
    lines = ["step += 1"]
    if needs.restored:
        lines += ["if step - 1 in RESTORE:", "    restore(RESTORE[step - 1])"]
    if needs.multi_phase:
        lines += ["if step in PHASES:", "    phase = PHASES[step]"]
        lines += ["    optimizer = start_phase(phase, optimizer)", "set_train_mode(phase)"]
    pairs = needs.recipe.balance
    samples = f"[train[index] for {'index, _' if pairs else 'index'} in batch]"
    if needs.augmented:
        keys = "[(epoch + 1, index, 0) for index in batch]"
        if pairs:
            keys = "[(epoch + 1, index, repeat) for index, repeat in batch]"
        condition = ' if phase["augment"] else None' if "augment" in needs.columns else ""
        lines += [f"keys = {keys}{condition}", f"images, labels = load_batch({samples}, keys)"]
    else:
        lines.append(f"images, labels = load_batch({samples})")
    if needs.bf16:
        lines += [*_forward(needs), "loss = F.cross_entropy(outputs, labels)"]
    else:
        lines.append("loss = F.cross_entropy(model(images), labels)")
    update = ["optimizer.zero_grad()", "loss.backward()"]
    if needs.scheduled:
        update += _rates(needs)
    update.append("optimizer.step()")
    if needs.has_frozen_phase:
        update = ["if optimizer is not None:", *(f"    {line}" for line in update)]
    return [*lines, *update, 'print(f"step {step}: loss {loss.item()}", flush=True)']


def _rates(needs: Needs) -> Lines:
    base = 'group["base_lr"]' if needs.by_name else "LEARNING_RATE"
    factor = "lr_factor(step - 1, SCHEDULE_STEPS)"
    lines: Lines = []
    if "schedule" in needs.columns:
        lines.append('start, steps = phase["schedule"]')
        factor = "lr_factor(step - 1 - start, steps)"
    return [
        *lines,
        "for group in optimizer.param_groups:",
        f'    group["lr"] = {base} * {factor}',
    ]
