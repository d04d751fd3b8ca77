"""The section of a script that lists the images, loads them and puts them into batches."""

from __future__ import annotations

from engine.export import preprocessing
from engine.export.script import snippets
from engine.export.script.facts import DataSection
from engine.export.script.literals import literal
from engine.export.script.needs import Lines, Needs


def image_lines(needs: Needs, data: DataSection) -> Lines:
    """Return the lines, from the transform of the weights to the batches of an epoch."""
    needs.imports.add("from concurrent.futures import ThreadPoolExecutor")
    plain = needs.facts.plain_images
    if plain:
        needs.imports |= {"import numpy as np", "from PIL import Image, ImageOps"}
    else:
        needs.imports |= set(preprocessing.IMPORTS)
    heic = [] if plain else [*preprocessing.HEIC.splitlines(), ""]
    blocks = [[*heic, *_transform(needs)], data.code, snippets.MAKE_SEED.splitlines()]
    if needs.augmented:
        blocks += _augmentation(needs)
    if not plain:
        blocks.append(preprocessing.conversion_code().splitlines())
    blocks += [_load_image(needs), ["pool = ThreadPoolExecutor()"], _load_batch(needs)]
    if not needs.recipe.balance or needs.calibrates:
        blocks.append(_batches(needs, balanced=False))
    if needs.recipe.balance:
        blocks.append(_batches(needs, balanced=True))
    lines = blocks[0]
    for block in blocks[1:]:
        lines = [*lines, "", "", *block]
    return lines


def _transform(needs: Needs) -> Lines:
    """Return the lines that take the transform from the weights, or build the same one."""
    model, transform = needs.model, needs.model.transform
    mode = f"transforms.InterpolationMode.{transform['interpolation'].upper()}"
    lines: Lines = []
    if not model.entry or needs.augmented:
        needs.imports.add("from torchvision import transforms")
    if model.entry:
        default = model.default_transform
        changed = {name: value for name, value in transform.items() if default[name] != value}
        options = ", ".join(f"{name}={literal(value)}" for name, value in changed.items())
        lines += [
            f"weights = {model.enum}.{model.entry}",
            f"preprocess = weights.transforms({options})",
        ]
    mean, std = literal(transform["mean"]), literal(transform["std"])
    if needs.augmented:
        lines.append(f"SIZE = {transform['crop_size']}")
        if any(phase.recipe.augmentation == "light" for phase in needs.phases):
            lines.append(f"RESIZE = {transform['resize_size']}")
        lines += [f"INTERPOLATION = {mode}", f"MEAN, STD = {mean}, {std}"]
        mean, std = "MEAN", "STD"
    if not model.entry:
        resize = "" if transform["interpolation"] == "bilinear" else f", {mode}"
        resize += "" if transform["antialias"] else ", antialias=False"
        lines += [
            "preprocess = transforms.Compose(",
            "    [",
            f"        transforms.Resize({transform['resize_size']}{resize}),",
            f"        transforms.CenterCrop({transform['crop_size']}),",
            "        transforms.ToTensor(),",
            f"        transforms.Normalize({mean}, {std}),",
            "    ]",
            ")",
        ]
    return lines


def _augmentation(needs: Needs) -> list[Lines]:
    needs.imports.add("from torchvision.transforms.v2 import functional as v2")
    standard = any(phase.recipe.augmentation == "standard" for phase in needs.phases)
    text = snippets.AUGMENT
    if not needs.model.transform["antialias"]:
        text = text.replace("antialias=True", "antialias=False")
    if standard:
        needs.imports.add("import math")
        text += snippets.COLOURS
    text += snippets.AUGMENT_END
    box = snippets.STANDARD_BOX if standard else snippets.LIGHT_BOX
    return [box.splitlines(), text.splitlines()]


def _load_image(needs: Needs) -> Lines:
    signature, result, suffix = "path", "preprocess(image)", ""
    if needs.augmented:
        signature, suffix = "path, key", ", augmented if there is a key"
        result = "augment(image, key) if key else preprocess(image)"
    conversion = "to_rgb(image, RANGES)"
    if needs.facts.plain_images:
        conversion = 'ImageOps.exif_transpose(image).convert("RGB")'
    return [
        f"def load_image({signature}):",
        f'    """Load an image as a normalized tensor [3, height, width]{suffix}."""',
        "    with Image.open(path) as image:",
        f"        image = {conversion}",
        f"    return {result}",
    ]


def _load_batch(needs: Needs) -> Lines:
    lines = [
        f"def load_batch(samples{', keys=None' if needs.augmented else ''}):",
        '    """Load images [N, 3, height, width] and labels [N] for pairs (path, label)."""',
    ]
    if needs.augmented:
        lines.append("    keys = keys or [None] * len(samples)")
    more = ", keys" if needs.augmented else ""
    return [
        *lines,
        f"    images = pool.map(load_image, [path for path, _ in samples]{more})",
        "    labels = torch.tensor([label for _, label in samples])",
        "    return torch.stack(list(images)).to(DEVICE), labels.to(DEVICE)",
    ]


def _batches(needs: Needs, *, balanced: bool) -> Lines:
    facts, corrections = needs.facts, ""
    text = snippets.BALANCED_BATCHES if balanced else snippets.BATCHES
    if facts.unreadable and facts.full_batches:
        leave_out = snippets.LEAVE_OUT_BALANCED if balanced else snippets.LEAVE_OUT
        for old, new in leave_out.items():
            text = text.replace(old, new)
    lines = text.splitlines()
    if facts.train_images % facts.batch_size == 1:
        corrections += snippets.MERGE_LAST
    if facts.unreadable and not facts.full_batches:
        corrections += snippets.SKIP_UNREADABLE_BALANCED if balanced else snippets.SKIP_UNREADABLE
    if corrections:
        return [*lines[:-1], *corrections.splitlines(), lines[-1]]
    return [*lines[:-2], lines[-2].replace("batches =", "return")]
