"""The lines of a script that list its images, read them, and put them into batches."""

from __future__ import annotations

from engine.export.script import snippets
from engine.export.script.facts import DataSection
from engine.export.script.literals import literal
from engine.export.script.needs import Lines, Needs


def image_lines(needs: Needs, data: DataSection) -> Lines:
    """From the transform that belongs to the weights to the batches of an epoch."""
    needs.imports |= {
        "import numpy as np",
        "from PIL import Image, ImageOps",
        "from concurrent.futures import ThreadPoolExecutor",
    }
    blocks = [_transform(needs), data.code, snippets.SEED_OF.splitlines()]
    if needs.augmented:
        blocks += _augmentation(needs)
    blocks += [_prepared(needs), ["threads = ThreadPoolExecutor()"], _load(needs)]
    if not needs.recipe.balance or needs.calibrates:
        blocks.append(_batches(needs, snippets.BATCHES))
    if needs.recipe.balance:
        blocks.append(_batches(needs, snippets.BALANCED_BATCHES))
    lines = blocks[0]
    for block in blocks[1:]:
        lines = [*lines, "", "", *block]
    return lines


def _transform(needs: Needs) -> Lines:
    """The weights with their transform, or the same transform spelt out."""
    model, words = needs.model, needs.model.transform
    mode = f"transforms.InterpolationMode.{words['interpolation'].upper()}"
    lines: Lines = []
    if not model.entry or needs.augmented:
        needs.imports.add("from torchvision import transforms")
    if model.entry:
        usual = model.usual_transform
        changed = {name: value for name, value in words.items() if usual[name] != value}
        options = ", ".join(f"{name}={literal(value)}" for name, value in changed.items())
        lines += [
            f"weights = {model.enum}.{model.entry}",
            f"preprocess = weights.transforms({options})",
        ]
    mean, std = literal(words["mean"]), literal(words["std"])
    if needs.augmented:
        lines.append(f"SIZE = {words['crop_size']}")
        if any(phase.recipe.augmentation == "light" for phase in needs.phases):
            lines.append(f"RESIZE = {words['resize_size']}")
        lines += [f"INTERPOLATION = {mode}", f"MEAN, STD = {mean}, {std}"]
        mean, std = "MEAN", "STD"
    if not model.entry:
        resize = "" if words["interpolation"] == "bilinear" else f", {mode}"
        resize += "" if words["antialias"] else ", antialias=False"
        lines += [
            "preprocess = transforms.Compose(",
            "    [",
            f"        transforms.Resize({words['resize_size']}{resize}),",
            f"        transforms.CenterCrop({words['crop_size']}),",
            "        transforms.ToTensor(),",
            f"        transforms.Normalize({mean}, {std}),",
            "    ]",
            ")",
        ]
    return lines


def _augmentation(needs: Needs) -> list[Lines]:
    needs.imports.add("from torchvision.transforms.v2 import functional as v2")
    standard = any(phase.recipe.augmentation == "standard" for phase in needs.phases)
    text = snippets.AUGMENTED
    if not needs.model.transform["antialias"]:
        text = text.replace("antialias=True", "antialias=False")
    if standard:
        needs.imports.add("import math")
        text += snippets.COLOURS
    text += snippets.AUGMENTED_END
    box = snippets.STANDARD_BOX if standard else snippets.LIGHT_BOX
    return [box.splitlines(), text.splitlines()]


def _prepared(needs: Needs) -> Lines:
    images = needs.facts.images
    steps: Lines = []
    if images.deep:
        steps += [
            'if image.mode.startswith("I;16"):  # 16 bits, which Pillow itself would clip',
            "    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))",
        ]
    if images.transparent:
        steps += [
            "if image.has_transparency_data:  # shown on white",
            '    image = image.convert("RGBA")',
            '    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)',
        ]
    if images.strips:
        steps += [
            "most = 32 * min(image.size)  # of a strip the far ends are left out",
            "left, top = (max(0, (side - most) // 2) for side in image.size)",
            "right, bottom = min(image.width, left + most), min(image.height, top + most)",
            "image = image.crop((left, top, right, bottom))",
        ]
    if steps:
        steps = ["image = ImageOps.exif_transpose(image)", *steps, 'image = image.convert("RGB")']
    else:
        steps = ['image = ImageOps.exif_transpose(image).convert("RGB")']
    signature, end, also = "path", "preprocess(image)", ""
    if needs.augmented:
        signature, also = "path, key", "; augmented if there is a key"
        end = "augmented(image, key) if key else preprocess(image)"
    return [
        f"def prepared({signature}):",
        f'    """An image as the model takes it, [3, height, width]{also}."""',
        "    with Image.open(path) as image:",
        *(f"        {line}" for line in steps),
        f"    return {end}",
    ]


def _load(needs: Needs) -> Lines:
    lines = [
        f"def load(samples{', keys=None' if needs.augmented else ''}):",
        '    """Images [N, 3, height, width] and labels [N] of pairs (path, label)."""',
    ]
    if needs.augmented:
        lines.append("    keys = keys or [None] * len(samples)")
    more = ", keys" if needs.augmented else ""
    return [
        *lines,
        f"    images = threads.map(prepared, [path for path, _ in samples]{more})",
        "    labels = torch.tensor([label for _, label in samples])",
        "    return torch.stack(list(images)).to(DEVICE), labels.to(DEVICE)",
    ]


def _batches(needs: Needs, text: str) -> Lines:
    lines, facts = text.splitlines(), needs.facts
    changes = ""
    if facts.train_images % facts.batch_size == 1:
        changes += snippets.LAST_OF_ONE
    if facts.unreadable:
        drawn = "one[0]" if text is snippets.BALANCED_BATCHES else "one"
        changes += snippets.READABLE.replace("train[one]", f"train[{drawn}]")
    if changes:
        return [*lines[:-1], *changes.splitlines(), lines[-1]]
    return [*lines[:-2], lines[-2].replace("batches =", "return")]
