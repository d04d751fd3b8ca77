"""Transfer learning with shufflenet_v2_x0_5, step by step, in plain PyTorch.

This takes the 10 train steps of the run run again: the same images in the same order, the same
start, the same layers frozen. Every step prints its loss. It needs torch, torchvision and Pillow.
Written by tl-tui 0.1.0 of a run of 28 November 2026.

The run was started over; this is the last of its 2 starts, and steps are counted from there.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn
from torchvision import transforms
from torchvision.models import shufflenet_v2_x0_5

# --- Settings ---

DATA = Path("/data/golden/images")  # train/ and val/, with a folder a class in each
CLASSES = ["dark", "light"]
ENDINGS = {".png"}
BEST = Path("best.pth")  # the weights of the best validation go here
DEVICE = "cpu"  # or "cuda"
SEED = 0
BATCH_SIZE = 8
STEPS = 10  # 5 epochs of 2
MOMENTUM = 0.9
WEIGHT_DECAY = 0.0001

# What the run did: from step 1 on this trains, each group of modules at its learning rate, from the
# next step named on that; all else is frozen. modes: modules in another mode than train for what
# trains and eval for the rest.
PHASES = {
    1: dict(trains=[("fc", 0.003)]),
    3: dict(trains=[("conv1 stage2 stage3 stage4 conv5 fc", 0.003)]),
    5: dict(trains=[("conv5 fc", 0.003)]),
    6: dict(
        trains=[("conv5", 0.002), ("fc", 0.003)],
        modes={
            "stage4.3.branch2.1": "train",
            "stage4.3.branch2.4": "train",
            "stage4.3.branch2.6": "train",
        },
    ),
    7: dict(
        trains=[
            ("stage4.2.branch2.4 stage4.2.branch2.5 stage4.2.branch2.6 stage4.3 fc", 0.003),
            ("conv5", 0.002),
        ],
    ),
}

# After these steps these modules were put back to their first values.
PUT_BACK = {
    7: ["conv5.1"],
}


# --- The images ---

preprocess = transforms.Compose(
    [
        transforms.Resize(37),
        transforms.CenterCrop(32),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def images_in(folder):
    """(path, label) of every image: class by class, in the order of their names."""
    return [
        (str(path), label)
        for label, name in enumerate(CLASSES)
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in ENDINGS
    ]


train, val = images_in(DATA / "train"), images_in(DATA / "val")


def seed_of(*numbers):
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def prepared(path):
    """An image as the model takes it, [3, height, width]."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
    return preprocess(image)


threads = ThreadPoolExecutor()


def load(samples):
    """Images [N, 3, height, width] and labels [N] of pairs (path, label)."""
    images = threads.map(prepared, [path for path, _ in samples])
    labels = torch.tensor([label for _, label in samples])
    return torch.stack(list(images)).to(DEVICE), labels.to(DEVICE)


def batches_of(epoch):
    """The indices of the training images, batch by batch, in an order of this epoch's own."""
    generator = torch.Generator().manual_seed(seed_of(SEED, epoch))
    order = torch.randperm(len(train), generator=generator)
    return [batch.tolist() for batch in order.split(BATCH_SIZE)]


# --- The model ---

torch.manual_seed(SEED)
model = shufflenet_v2_x0_5()  # random weights

for parameter in model.parameters():
    parameter.requires_grad = False

torch.manual_seed(SEED)  # the new head does not depend on how the rest came to be
model.fc = nn.Linear(model.fc.in_features, len(CLASSES))
model.to(DEVICE)

# BatchNorms of random weights know nothing of images: their statistics are estimated from the
# first training batches, as a plain mean over all of them.
norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
momenta = {norm: norm.momentum for norm in norms}
model.eval()
for norm in norms:
    norm.momentum = None
    norm.train()
with torch.no_grad():
    for batch in batches_of(0)[:2]:
        images, _ = load([train[index] for index in batch])
        model(images)
for norm, momentum in momenta.items():
    norm.momentum = momentum


# --- Training ---


def parts(names):
    """Modules of the model, by their names."""
    return [model.get_submodule(name) for name in names.split()]


def begin(phase, before):
    """Freeze all but what trains, and make an optimizer for that."""
    model.requires_grad_(False)
    groups = []
    for names, rate in phase["trains"]:
        parameters = []
        for part in parts(names):
            part.requires_grad_(True)
            parameters += part.parameters()
        groups.append({"params": parameters, "lr": rate})
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    if before is not None:
        # What trained already goes on with what its optimizer knew, such as momentum.
        for parameter in model.parameters():
            if parameter.requires_grad and parameter in before.state:
                optimizer.state[parameter] = before.state[parameter]
    return optimizer


def train_mode(phase):
    """Eval mode for all that is frozen: its BatchNorms must not follow the new data."""
    model.eval()
    for names, _ in phase["trains"]:
        for part in parts(names):
            part.train()
    for name, mode in phase.get("modes", {}).items():
        model.get_submodule(name).train(mode == "train")


def put_back(modules):
    """Give modules their first values again; what the optimizer knows of them is dropped."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.rpartition(".")[0] in modules:
                tensor.copy_(first[name])
                optimizer.state.pop(tensor, None)


@torch.no_grad()
def validate():
    """How many validation images are recognised, of how many, and the mean loss."""
    model.eval()
    correct, loss = 0, 0.0
    for first in range(0, len(val), BATCH_SIZE):
        images, labels = load(val[first : first + BATCH_SIZE])
        answers = model(images)
        correct += (answers.argmax(1) == labels).sum().item()
        loss += F.cross_entropy(answers, labels, reduction="sum").item()
    return correct, len(val), loss / len(val)


first = {name: value.clone() for name, value in model.state_dict().items()}
optimizer = None
step, epoch = 0, 0
best = (-1, 0.0)
while step < STEPS:
    for batch in batches_of(epoch)[: STEPS - step]:
        step += 1
        if step - 1 in PUT_BACK:
            put_back(PUT_BACK[step - 1])
        if step in PHASES:
            phase = PHASES[step]
            optimizer = begin(phase, optimizer)
        train_mode(phase)
        images, labels = load([train[index] for index in batch])
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step}: loss {loss.item()}", flush=True)
    epoch += 1
    correct, count, loss = validate()
    print(f"epoch {epoch}: {correct} of {count} validation images right, loss {loss:.4f}")
    if (correct, -loss) > best:
        best = (correct, -loss)
        torch.save(model.state_dict(), BEST)
