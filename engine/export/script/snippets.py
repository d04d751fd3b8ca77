"""Code of the exported script that is the same for every run that needs it."""

MAKE_SEED = '''\
def make_seed(*numbers):
    """Combine several numbers into one seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
'''

BATCHES = '''\
def make_batches(epoch):
    """Return the indices of the training images in batches, in a different order per epoch."""
    generator = torch.Generator().manual_seed(make_seed(SEED, epoch))
    order = torch.randperm(len(train), generator=generator)
    batches = [batch.tolist() for batch in order.split(BATCH_SIZE)]
    return batches
'''

BALANCED_BATCHES = '''\
def make_balanced_batches(epoch):
    """Return batches in which every class is equally frequent, in a different order per epoch.

    An entry of a batch is the index of a training image and the number of times it was drawn before
    in this epoch. No image is drawn again before all images of its class were drawn.
    """
    generator = torch.Generator().manual_seed(make_seed(SEED, epoch))
    labels = torch.tensor([label for _, label in train])
    extra = torch.randperm(len(CLASSES), generator=generator)[: len(train) % len(CLASSES)]
    drawn = []
    for label in range(len(CLASSES)):
        in_class = (labels == label).nonzero().flatten()
        count = len(train) // len(CLASSES) + (label in extra.tolist())
        rounds = -(-count // len(in_class))
        keys = torch.rand(rounds, len(in_class), generator=generator, dtype=torch.float64)
        order = in_class[keys.argsort(dim=1, stable=True).flatten()]
        repeats = torch.arange(rounds).repeat_interleave(len(in_class))
        drawn.append(torch.stack([order, repeats], dim=1)[:count])
    drawn = torch.cat(drawn)
    drawn = drawn[torch.randperm(len(drawn), generator=generator)]
    batches = [batch.tolist() for batch in drawn.split(BATCH_SIZE)]
    return batches
'''

LEAVE_OUT = {
    "    batches = [": """\
    order = order[[train[index][0] not in UNREADABLE for index in order.tolist()]]
    batches = [""",
}
"""What changes in `BATCHES` if unreadable images are left out before the order is split."""

LEAVE_OUT_BALANCED = {
    "    labels = torch.tensor([label for _, label in train])": """\
    labels = torch.tensor([-1 if path in UNREADABLE else label for path, label in train])
    classes = sorted(set(labels.tolist()) - {-1})
    total = int((labels >= 0).sum())""",
    "torch.randperm(len(CLASSES), generator=generator)[: len(train) % len(CLASSES)]": (
        "torch.randperm(len(classes), generator=generator)[: total % len(classes)]"
    ),
    "for label in range(len(CLASSES)):": "for number, label in enumerate(classes):",
    "len(train) // len(CLASSES) + (label in": "total // len(classes) + (number in",
}
"""The same for `BALANCED_BATCHES`."""

SKIP_UNREADABLE = """\
    batches = [[i for i in batch if train[i][0] not in UNREADABLE] for batch in batches]
    batches = [batch for batch in batches if len(batch) > 1]
"""

SKIP_UNREADABLE_BALANCED = """\
    batches = [[(i, n) for i, n in batch if train[i][0] not in UNREADABLE] for batch in batches]
    batches = [batch for batch in batches if len(batch) > 1]
"""

MERGE_LAST = """\
    if len(batches) > 1 and len(batches[-1]) == 1:  # BatchNorm cannot train on a single image
        batches[-2:] = [batches[-2] + batches[-1]]
"""

AUGMENT = '''\
def augment(image, key):
    """Return an augmented image as a normalized tensor [3, SIZE, SIZE].

    The augmentation is random but depends only on `key`: the epoch, the index of the image and the
    number of times it was drawn before in this epoch.
    """
    generator = torch.Generator().manual_seed(make_seed(SEED, *key, 1))

    def draw(low, high):
        return low + (high - low) * torch.rand((), generator=generator).item()

    box = crop_box(image.size, draw)
    image = v2.resized_crop(image, *box, [SIZE, SIZE], INTERPOLATION, antialias=True)
    if draw(0, 1) < 0.5:
        image = v2.horizontal_flip(image)
'''

COLOURS = """\
    image = v2.adjust_brightness(image, draw(0.8, 1.2))
    image = v2.adjust_contrast(image, draw(0.8, 1.2))
    image = v2.adjust_saturation(image, draw(0.8, 1.2))
"""

AUGMENT_END = """\
    return transforms.functional.normalize(transforms.functional.to_tensor(image), MEAN, STD)
"""

STANDARD_BOX = '''\
def crop_box(size, draw):
    """Return top, left, height and width of a random crop of at least 35 % of the image's area."""
    width, height = size
    for _ in range(10):
        area = width * height * draw(0.35, 1)
        aspect = math.exp(draw(-math.log(4 / 3), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(draw(0, height - h + 1)), int(draw(0, width - w + 1)), h, w
    w, h = min(width, round(height * (4 / 3))), min(height, round(width * (4 / 3)))
    return (height - h) // 2, (width - w) // 2, h, w
'''

LIGHT_BOX = '''\
def crop_box(size, draw):
    """Return top, left, height and width of the central crop, shifted and scaled by up to 10 %."""
    width, height = size
    central = min(size) * min(1.0, SIZE / RESIZE)
    side = max(1, min(round(central * draw(0.9, 1.1)), *size))
    top = round((height - side) / 2 + central * draw(-0.1, 0.1))
    left = round((width - side) / 2 + central * draw(-0.1, 0.1))
    return min(max(top, 0), height - side), min(max(left, 0), width - side), side, side
'''

ONE_CYCLE = '''\
def lr_factor(done, steps):
    """Return the factor for the learning rates after `done` steps: the one-cycle schedule."""
    last = max(1, steps - 1)
    peak = min(WARMUP * steps, last)
    if done < peak:
        start, end, progress = 1 / 25, 1.0, done / peak
    else:
        start, end = 1.0, 1 / 25 / 1e4
        progress = min(1.0, (done - peak) / (last - peak)) if last > peak else 1.0
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
'''

COSINE = '''\
def lr_factor(done, steps):
    """Return the factor for the learning rates after `done` steps: a cosine from 1 to 0.01."""
    progress = min(1.0, done / steps)
    return 0.01 + (1 - 0.01) * (1 + math.cos(math.pi * progress)) / 2
'''

WARM_COSINE = '''\
def lr_factor(done, steps):
    """Return the factor for the learning rates after `done` steps: a warm-up, then a cosine."""
    warmup_steps = WARMUP * steps
    if done < warmup_steps:
        return (done + 1) / (warmup_steps + 1)
    progress = min(1.0, (done - warmup_steps) / (steps - warmup_steps))
    return 0.01 + (1 - 0.01) * (1 + math.cos(math.pi * progress)) / 2
'''

WARM_CONSTANT = '''\
def lr_factor(done, steps):
    """Return the factor for the learning rates after `done` steps: a warm-up, then 1."""
    warmup_steps = WARMUP * steps
    return (done + 1) / (warmup_steps + 1) if done < warmup_steps else 1.0
'''

RESTORE = '''\
def restore(modules):
    """Restore the initial values of modules, and drop their optimizer state."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.rpartition(".")[0] in modules:
                tensor.copy_(initial_state[name])
'''

DROP_STATE = """\
optimizer.state.pop(tensor, None)
"""

ZERO_MOMENTUM = """\
if "momentum_buffer" in optimizer.state.get(tensor, {}):
    optimizer.state[tensor]["momentum_buffer"].zero_()
"""

CALIBRATE = """\
# With random weights, BatchNorm has no useful running statistics yet. Estimate them as the mean
# over the first training batches (momentum=None is a cumulative average).
norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
momenta = {norm: norm.momentum for norm in norms}
model.eval()
for norm in norms:
    norm.momentum = None
    norm.train()
with torch.no_grad():
"""

CALIBRATE_END = """\
for norm, momentum in momenta.items():
    norm.momentum = momentum
"""
