"""The training loop: a ResNet-18 learns to reproduce the teacher's features.

A linear layer maps the student's pooled features to the teacher's standardised features. The loss
is the sum of three terms:

- the mean squared error between the two;
- half the Kullback-Leibler divergence between the logits that the teacher's classifier computes
  from the teacher's features and from the student's;
- for each of the four stages, the mean squared error between the teacher's feature maps of that
  size, standardised per channel, and the student's maps after a 1 x 1 convolution.

A first attempt without the third term had learnt almost nothing after 39,000 views, although it
also differed in other ways.

Each process has one thread, its own share of the batch and its own optimizer. The weights are
averaged over all processes every few steps. On a shared machine this is several times as fast as
two threads that wait for each other in every layer. All random numbers depend on the seed, the step
and the process. After a crash, a run resumes from its last checkpoint, which holds only the first
process's optimizer; every process starts from it.
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
"""The share of the views during which the learning rate rises."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The normalisation of the student's pixels: ImageNet's, as in torchvision."""
CHECKPOINT_SECONDS = 90.0
AVERAGE_EVERY = 4
"""The number of steps between two averagings of the weights over the processes."""
DRAWING_CROPS = 16
"""The number of crops per drawing."""
STATISTICS_VIEWS = 2048
"""The number of views for the mean and standard deviation of the teacher's features."""


@dataclass(frozen=True)
class Settings:
    """The settings of a training run."""

    work: Path
    views: int
    """The total number of views; the cosine schedule ends there. May differ in a resumed run."""
    crops: int
    """The number of crops of photographs."""
    batch: int
    """The batch size over all processes."""
    side: int
    """The side of a view in pixels."""
    lr: float
    weight_decay: float
    seed: int
    workers: int
    """The number of processes."""
    minutes: float
    """The time in minutes after which the run saves a checkpoint and stops; 0 means never."""


class Student(nn.Module):
    """A ResNet-18 without its head, with layers that map its outputs to the teacher's."""

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
        """Predict the teacher's standardised features and maps.

        Args:
            pixels: [N, 3, H, W] in 0..1.

        Returns:
            The features [N, 1280], and one map [N, C, H', W'] per stage.
        """
        net, maps = self.net, []
        x = net.maxpool(net.relu(net.bn1(net.conv1((pixels - self.mean) / self.std))))
        for stage, to_map in zip(
            (net.layer1, net.layer2, net.layer3, net.layer4), self.to_maps, strict=True
        ):
            x = stage(x)
            maps.append(to_map(x))
        return self.to_teacher(net.avgpool(x).flatten(1)), maps


def learning_rate(settings: Settings, done: int) -> float:
    """Return the learning rate after `done` views: a linear warm-up, then a cosine down to 0."""
    share = done / settings.views
    if share < WARM_UP:
        return settings.lr * (share + 1e-3) / WARM_UP
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def train(settings: Settings) -> Path:
    """Train from the start, or resume from the checkpoint if there is one.

    Returns:
        The path of the checkpoint.
    """
    settings.work.mkdir(parents=True, exist_ok=True)
    _pools(settings)
    meeting = settings.work / f"meeting-{os.getpid()}"
    spawn(_work, (settings, str(meeting)), nprocs=settings.workers)
    meeting.unlink(missing_ok=True)
    return settings.work / "checkpoint.pt"


def _pools(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the crops of photographs and of drawings; the first call makes them."""
    work, seed, workers = settings.work, settings.seed, settings.workers
    photographs = crops.pool(work, count=settings.crops, seed=seed, workers=workers)
    file = work / f"crops-{settings.crops}-{seed}.npy"
    drawn = drawings.pool(work, each=DRAWING_CROPS, seed=seed, workers=workers, photographs=file)
    return photographs, drawn


def _work(rank: int, settings: Settings, meeting: str) -> None:
    """Run the training loop of one process; `meeting` is the file where the processes connect."""
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
        betas=(0.9, 0.98),  # in a short run the second moment has to adapt faster
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

    started = logged_at = saved_at = time.monotonic()
    begun_at, sums = done, torch.zeros(6)
    counted = 0
    student.train()
    while done < settings.views:
        random = np.random.default_rng((settings.seed, step, rank))
        pixels = views.batch(*pools, share, settings.side, random)
        target, target_maps = teacher(pixels)
        guess, maps = student(pixels)
        error = F.mse_loss(guess, (target - mean) / std)
        divergence = F.kl_div(
            F.log_softmax(teacher.classifier(guess * std + mean) / TEMPERATURE, 1),
            F.log_softmax(teacher.classifier(target) / TEMPERATURE, 1),
            log_target=True,
            reduction="batchmean",
        )
        map_errors = torch.stack(
            [
                F.mse_loss(own, (other - middle) / width)
                for own, other, (middle, width) in zip(maps, target_maps, map_scales, strict=True)
            ]
        )
        optimizer.zero_grad(set_to_none=True)
        (error + KL_SHARE * divergence + map_errors.sum()).backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, done)
        optimizer.step()
        step, done, counted = step + 1, done + share * settings.workers, counted + 1
        sums += torch.cat([error[None], divergence[None], map_errors]).detach()

        if step % AVERAGE_EVERY and done < settings.views:
            continue
        _average([p.data for p in parameters], settings.workers)
        now = time.monotonic()
        over = settings.minutes and now - started > 60 * settings.minutes
        # Clocks differ between processes, so the first process decides for all of them.
        due = torch.tensor(
            [now - saved_at > CHECKPOINT_SECONDS or done >= settings.views or over, over]
        )
        due = due.to(torch.int32)
        dist.broadcast(due, 0)
        if rank == 0 and (now - logged_at > 30 or done >= settings.views):
            logged_at = now
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
            saved_at = now
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
    """Return mean and standard deviation of the teacher's features and, per channel, its maps."""
    random = np.random.default_rng((settings.seed, 1_000_000, rank))
    sums: list[list[Tensor]] = []
    batches = STATISTICS_VIEWS // (64 * settings.workers)
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
    """Replace the tensors in place by their mean over the processes."""
    if workers == 1:
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    flat /= workers
    at = 0
    for tensor in tensors:
        tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
        at += tensor.numel()
