"""The training: ResNet-18 learns what the teacher sees in a view.

The student's pooled features go through a linear layer to the teacher's, which are standardised;
the loss is the mean squared error there, plus half a Kullback-Leibler divergence between the
logits that the teacher's own classifier gives for either, plus for each of the four stages the mean
squared error between the teacher's maps of that size, standardised by channel, and the stage's own
through a 1 x 1 convolution. A first attempt without the maps had learnt
almost nothing by 39,000 views; other things differed too.

Each process has one thread, its own share of the batch and its own optimizer; every few steps the
weights are averaged over all. On a shared machine this is several times as fast as two threads that
wait for one another in every layer. All that is drawn depends on seed, step and process; after a
crash a run goes on from its last checkpoint, in which the first process's optimizer stands for all.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from tools.demo_backbone import crops, drawings, views
from tools.demo_backbone.teacher import FEATURES, MAPS, Teacher

TEMPERATURE = 3.0
KL_SHARE = 0.5
WARM_UP = 0.03
"""Share of the views over which the learning rate rises."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What the student's pixels are normalised with: ImageNet's, as torchvision does."""
CHECKPOINT_SECONDS = 90.0
TOGETHER = 4
"""After so many steps the processes average their weights."""
DRAWING_CROPS = 16
"""Of every drawing."""
STATISTICS = 2048
"""Views from which mean and spread of the teacher's features are taken."""


@dataclass(frozen=True)
class Settings:
    """What a run is made with."""

    work: Path
    views: int
    """In all; the cosine ends there. A resumed run may be given another number."""
    crops: int
    batch: int
    """Over all processes."""
    side: int
    """Of the views in pixels."""
    lr: float
    weight_decay: float
    seed: int
    workers: int
    minutes: float
    """Stop and write a checkpoint after this time, wherever the run is; 0 is never."""


class Student(nn.Module):
    """ResNet-18 without its head, and the linear layer to the teacher's features."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = torchvision.models.resnet18()
        self.net.fc = nn.Identity()
        self.to_teacher = nn.Linear(512, FEATURES)
        widths = zip((64, 128, 256, 512), MAPS.values(), strict=True)
        self.to_maps = nn.ModuleList(nn.Conv2d(own, other, 1) for own, other in widths)
        mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The teacher's standardised features and maps, as guessed from pixels in 0..1."""
        net, maps = self.net, []
        x = net.maxpool(net.relu(net.bn1(net.conv1((pixels - self.mean) / self.std))))
        for stage, to_map in zip(
            (net.layer1, net.layer2, net.layer3, net.layer4), self.to_maps, strict=True
        ):
            x = stage(x)
            maps.append(to_map(x))
        return self.to_teacher(net.avgpool(x).flatten(1)), maps


def learning_rate(settings: Settings, done: int) -> float:
    """A rise over the first views, then half a cosine down to nothing."""
    share = done / settings.views
    if share < WARM_UP:
        return settings.lr * (share + 1e-3) / WARM_UP
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def train(settings: Settings) -> Path:
    """Train, or go on where a checkpoint is.

    Returns:
        The checkpoint's path.
    """
    settings.work.mkdir(parents=True, exist_ok=True)
    _pools(settings)
    meeting = settings.work / f"meeting-{os.getpid()}"
    spawn(_work, (settings, str(meeting)), nprocs=settings.workers)
    meeting.unlink(missing_ok=True)
    return settings.work / "checkpoint.pt"


def _pools(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Crops of photographs and of drawings, cut on the first call."""
    work, seed, workers = settings.work, settings.seed, settings.workers
    photographs = crops.pool(work, count=settings.crops, seed=seed, workers=workers)
    below = work / f"crops-{settings.crops}-{seed}.npy"
    drawn = drawings.pool(work, each=DRAWING_CROPS, seed=seed, workers=workers, photographs=below)
    return photographs, drawn


def _work(rank: int, settings: Settings, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=settings.workers
    )
    pools = _pools(settings)
    share = settings.batch // settings.workers
    torch.manual_seed(settings.seed)
    teacher = Teacher()
    student = Student().to(memory_format=torch.channels_last)
    parameters = list(student.parameters())
    decayed = [p for p in parameters if p.ndim > 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=settings.lr,
        betas=(0.9, 0.98),  # a short run: the second moment must not lag behind
        fused=True,
    )
    path = settings.work / "checkpoint.pt"
    step, done, before = 0, 0, 0.0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        student.load_state_dict(saved["student"])
        optimizer.load_state_dict(saved["optimizer"])
        step, done, before = saved["step"], saved["done"], saved["seconds"]
        scales = saved["scales"]
    else:
        scales = _scales(teacher, pools, rank, settings)
    (mean, std), map_scales = scales[0], scales[1:]

    started = told = kept = time.monotonic()
    begun_at, sums = done, torch.zeros(6)
    counted = 0
    student.train()
    while done < settings.views:
        random = np.random.default_rng((settings.seed, step, rank))
        pixels = views.batch(*pools, share, settings.side, random)
        target, target_maps = teacher(pixels)
        guess, maps = student(pixels)
        error = F.mse_loss(guess, (target - mean) / std)
        apart = F.kl_div(
            F.log_softmax(teacher.classifier(guess * std + mean) / TEMPERATURE, 1),
            F.log_softmax(teacher.classifier(target) / TEMPERATURE, 1),
            log_target=True,
            reduction="batchmean",
        )
        off = torch.stack(
            [
                F.mse_loss(own, (other - middle) / width)
                for own, other, (middle, width) in zip(maps, target_maps, map_scales, strict=True)
            ]
        )
        optimizer.zero_grad(set_to_none=True)
        (error + KL_SHARE * apart + off.sum()).backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, done)
        optimizer.step()
        step, done, counted = step + 1, done + share * settings.workers, counted + 1
        sums += torch.cat([error[None], apart[None], off]).detach()

        if step % TOGETHER and done < settings.views:
            continue
        _average([p.data for p in parameters], settings.workers)
        now = time.monotonic()
        over = settings.minutes and now - started > 60 * settings.minutes
        # The same for all processes: the first one says what is due.
        due = torch.tensor(
            [now - kept > CHECKPOINT_SECONDS or done >= settings.views or over, over]
        )
        due = due.to(torch.int32)
        dist.broadcast(due, 0)
        if rank == 0 and (now - told > 30 or done >= settings.views):
            told = now
            rate = (done - begun_at) / (now - started)
            line = {
                "views": done,
                "of": settings.views,
                "feature_error": round(float(sums[0]) / counted, 4),
                "kl": round(float(sums[1]) / counted, 4),
                "map_errors": [round(float(value) / counted, 3) for value in sums[2:]],
                "lr": round(learning_rate(settings, done), 6),
                "seconds": round(before + now - started),
            }
            sums.zero_()
            counted = 0
            with (settings.work / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            left = (settings.views - done) / rate / 60
            print(f"{line}  {rate:.0f} views/s, {left:.0f} min left", flush=True)
        if due[0]:
            kept = now
            _average([b for b in student.buffers() if b.is_floating_point()], settings.workers)
            if rank == 0:
                state = {
                    "student": student.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "done": done,
                    "seconds": before + now - started,
                    "scales": scales,
                }
                torch.save(state, path.with_suffix(".part"))
                path.with_suffix(".part").replace(path)
            dist.barrier()
        if due[1]:
            break
    dist.destroy_process_group()


def _scales(
    teacher: Teacher,
    pools: tuple[np.ndarray, np.ndarray],
    rank: int,
    settings: Settings,
) -> list[tuple[Tensor, Tensor]]:
    """Mean and spread of the teacher's features, and by channel of its maps."""
    random = np.random.default_rng((settings.seed, 1_000_000, rank))
    sums: list[list[Tensor]] = []
    batches = STATISTICS // (64 * settings.workers)
    for _ in range(batches):
        target, maps = teacher(views.batch(*pools, 64, settings.side, random))
        for index, values in enumerate([target[:, :, None, None], *maps]):
            if len(sums) <= index:
                sums.append([torch.zeros(values.shape[1]), torch.zeros(values.shape[1])])
            sums[index][0] += values.mean((0, 2, 3)) / batches
            sums[index][1] += values.square().mean((0, 2, 3)) / batches
    scales: list[tuple[Tensor, Tensor]] = []
    for first, second in sums:
        _average([first, second], settings.workers)
        spread = (second - first.square()).clamp_min(1e-6).sqrt()
        shape = (1, -1) if not scales else (1, -1, 1, 1)
        scales.append((first.view(shape), spread.view(shape)))
    return scales


def _average(tensors: list[Tensor], workers: int) -> None:
    """Replace tensors by their mean over the processes."""
    if workers == 1:
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    flat /= workers
    at = 0
    for tensor in tensors:
        tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
        at += tensor.numel()
