"""Training in plain PyTorch, the reference for the engine's numbers."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.batch_order import Cursor
from engine.data.batches import Batch
from engine.model.layer_stack import Stack
from engine.training.trainer import Trainer
from tl_tui.protocol.config import Recipe

SGD = {"momentum": 0.9, "weight_decay": 1e-2}


class FixedBatches:
    """Random images, always the same at a position; replaces `TrainBatches`."""

    def __init__(self, size: int = 32, count: int = 4, classes: int = 2) -> None:
        self.size, self.count, self.classes = size, count, classes
        self.cursor = Cursor(0, 0)

    def at(self, position: int) -> Batch:
        generator = torch.Generator().manual_seed(position)
        images = torch.randn(self.count, 3, self.size, self.size, generator=generator)
        labels = torch.randint(0, self.classes, (self.count,), generator=generator)
        return Batch(images, labels, epoch=1)

    def take(self, *, within_epoch: bool = False) -> Batch:
        position = self.cursor.number
        self.cursor = Cursor(0, position + 1)
        return self.at(position)

    def put_back(self, cursor: Cursor) -> None:
        self.cursor = cursor

    def configure(self, *, augmentation: str, balance: bool) -> None:
        """Do nothing; these batches are never augmented."""


def make_trainer(
    model: nn.Module, *, lr_head: float = 0.01, lr_pretrained: float = 0.001, size: int = 32
) -> Trainer:
    """Return a trainer of a model, with momentum and weight decay."""
    stack = Stack(model, torch.zeros(1, 3, size, size))
    recipe = Recipe(lr_head=lr_head, lr_pretrained=lr_pretrained, **SGD)
    return Trainer(stack, FixedBatches(size), torch.device("cpu"), recipe)  # type: ignore[arg-type]


@dataclass
class PlainStep:
    """The result of a step in plain PyTorch."""

    loss: float
    grad: dict[str, Tensor]
    """The gradients by parameter name; parameters without one are absent."""
    before: dict[str, Tensor]
    """The parameters before the update."""
    after: dict[str, Tensor]
    """The parameters after the update."""
    arrives: dict[str, bool]
    """Whether a gradient arrives at a module's output, by module name."""


class PlainTraining:
    """A copy of a trainer's model, trained with an update rule that is written out."""

    def __init__(self, trainer: Trainer) -> None:
        self.model = copy.deepcopy(trainer.model)
        self.names = [owner.name for owner in trainer.stack.owners]
        self.heads = {
            trainer.stack.owners[owner].name
            for row in trainer.stack.rows
            if row.head
            for owner in row.owners
        }
        self.lr = {
            row.name: rate for row, rate in zip(trainer.stack.rows, trainer.rates, strict=True)
        }
        self.rows = {
            trainer.stack.owners[owner].name: row.name
            for row in trainer.stack.rows
            for owner in row.owners
        }
        self.velocity: dict[str, Tensor] = {}
        self.batches = trainer.batches

    def step(self, mask: frozenset[int], position: int) -> PlainStep:
        """Take one step of SGD with momentum and weight decay."""
        trainable = {self.names[index] for index in mask}
        self.model.train()
        for name in self.names:
            module = self.model.get_submodule(name)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(name in trainable)
                parameter.grad = None
            if isinstance(module, nn.BatchNorm2d):
                module.train(name in trainable)
        outputs: dict[str, Tensor] = {}

        def note(name: str, output: Tensor) -> None:
            # Checked in the hook, because `out += identity` after bn2 changes this tensor in place
            # and makes it require a gradient.
            if output.requires_grad:
                outputs[name] = output

        handles = [
            self.model.get_submodule(name).register_forward_hook(
                lambda module, args, output, name=name: note(name, output)
            )
            for name in self.names
        ]
        batch = self.batches.at(position)  # type: ignore[attr-defined]
        loss = F.cross_entropy(self.model(batch.images), batch.labels)
        for handle in handles:
            handle.remove()
        before = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        arrives = dict.fromkeys(self.names, False)
        if outputs:
            grads = torch.autograd.grad(
                loss, list(outputs.values()), retain_graph=True, allow_unused=True
            )
            arrives |= {name: g is not None for name, g in zip(outputs, grads, strict=True)}
        if loss.requires_grad:
            loss.backward()
        grad = {
            name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None
        }
        self._update()
        after = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        return PlainStep(float(loss.detach()), grad, before, after, arrives)

    def _update(self) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if parameter.grad is None:
                    self.velocity.pop(name, None)
                    continue
                change = parameter.grad + SGD["weight_decay"] * parameter
                if name in self.velocity:
                    change = SGD["momentum"] * self.velocity[name] + change
                self.velocity[name] = change
                owner = name.rpartition(".")[0]
                parameter -= self.lr[self.rows[owner]] * change


OWNERS = 25
"""Modules of `small_resnet` that own parameters."""


def small_resnet(seed: int = 0) -> nn.Module:
    """Return a small torchvision ResNet with one block per stage."""
    from torchvision.models.resnet import BasicBlock, ResNet

    torch.manual_seed(seed)
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)
