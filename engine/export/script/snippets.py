"""Functions of a script that are the same for every run that needs them."""

SEED_OF = '''\
def seed_of(*numbers):
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
'''

BATCHES = '''\
def batches_of(epoch):
    """The indices of the training images, batch by batch, in an order of this epoch's own."""
    generator = torch.Generator().manual_seed(seed_of(SEED, epoch))
    order = torch.randperm(len(train), generator=generator)
    batches = [batch.tolist() for batch in order.split(BATCH_SIZE)]
    return batches
'''

BALANCED_BATCHES = '''\
def balanced_batches_of(epoch):
    """(index of a training image, how often it came before in this epoch), batch by batch.

    Every class comes as often as any other, and no image of it again before all of it have come.
    """
    generator = torch.Generator().manual_seed(seed_of(SEED, epoch))
    labels = torch.tensor([label for _, label in train])
    extra = torch.randperm(len(CLASSES), generator=generator)[: len(train) % len(CLASSES)]
    drawn = []
    for label in range(len(CLASSES)):
        mine = (labels == label).nonzero().flatten()
        wanted = len(train) // len(CLASSES) + (label in extra.tolist())
        rounds = -(-wanted // len(mine))
        keys = torch.rand(rounds, len(mine), generator=generator, dtype=torch.float64)
        order = mine[keys.argsort(dim=1, stable=True).flatten()]
        again = torch.arange(rounds).repeat_interleave(len(mine))
        drawn.append(torch.stack([order, again], dim=1)[:wanted])
    drawn = torch.cat(drawn)
    drawn = drawn[torch.randperm(len(drawn), generator=generator)]
    batches = [batch.tolist() for batch in drawn.split(BATCH_SIZE)]
    return batches
'''

READABLE = """\
    batches = [[one for one in batch if train[one][0] not in UNREADABLE] for batch in batches]
    batches = [batch for batch in batches if len(batch) > 1]
"""

LAST_OF_ONE = """\
    if len(batches) > 1 and len(batches[-1]) == 1:  # BatchNorm cannot normalise over one image
        batches[-2:] = [batches[-2] + batches[-1]]
"""

AUGMENTED = '''\
def augmented(image, key):
    """An image to train on; `key` (epoch, index, how often it came before) decides about it."""
    generator = torch.Generator().manual_seed(seed_of(SEED, *key, 1))

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

AUGMENTED_END = """\
    return transforms.functional.normalize(transforms.functional.to_tensor(image), MEAN, STD)
"""

STANDARD_BOX = '''\
def crop_box(size, draw):
    """Top, left, height and width of a crop of 35 % of the image or more."""
    width, height = size
    for _ in range(10):
        area = width * height * draw(0.35, 1)
        aspect = math.exp(draw(-math.log(4 / 3), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            return int(draw(0, height - high + 1)), int(draw(0, width - wide + 1)), high, wide
    wide, high = min(width, round(height * (4 / 3))), min(height, round(width * (4 / 3)))
    return (height - high) // 2, (width - wide) // 2, high, wide
'''

LIGHT_BOX = '''\
def crop_box(size, draw):
    """Top, left, height and width: what validation sees, moved and scaled by a tenth at most."""
    width, height = size
    seen = min(size) * min(1.0, SIZE / RESIZE)
    side = max(1, min(round(seen * draw(0.9, 1.1)), *size))
    top = round((height - side) / 2 + seen * draw(-0.1, 0.1))
    left = round((width - side) / 2 + seen * draw(-0.1, 0.1))
    return min(max(top, 0), height - side), min(max(left, 0), width - side), side, side
'''

ONE_CYCLE = '''\
def lr_factor(done, steps):
    """What the rates are multiplied with after `done` steps: up and down again along cosines."""
    last = max(1, steps - 1)
    top = min(WARMUP * steps, last)
    if done < top:
        first, end, share = 1 / 25, 1.0, done / top
    else:
        first, end = 1.0, 1 / 25 / 1e4
        share = min(1.0, (done - top) / (last - top)) if last > top else 1.0
    return end + (first - end) * (1 + math.cos(math.pi * share)) / 2
'''

COSINE = '''\
def lr_factor(done, steps):
    """What the rates are multiplied with after `done` steps: half a cosine, from 1 to 0.01."""
    share = min(1.0, done / steps)
    return 0.01 + (1 - 0.01) * (1 + math.cos(math.pi * share)) / 2
'''

WARM_COSINE = '''\
def lr_factor(done, steps):
    """What the rates are multiplied with after `done` steps: a warm-up, then half a cosine."""
    rise = WARMUP * steps
    if done < rise:
        return (done + 1) / (rise + 1)
    share = min(1.0, (done - rise) / (steps - rise))
    return 0.01 + (1 - 0.01) * (1 + math.cos(math.pi * share)) / 2
'''

WARM_CONSTANT = '''\
def lr_factor(done, steps):
    """What the rates are multiplied with after `done` steps: a warm-up, then 1."""
    rise = WARMUP * steps
    return (done + 1) / (rise + 1) if done < rise else 1.0
'''

PUT_BACK = '''\
def put_back(modules):
    """Give modules their first values again; what the optimizer knows of them is dropped."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.rpartition(".")[0] in modules:
                tensor.copy_(first[name])
                optimizer.state.pop(tensor, None)
'''

CALIBRATE = """\
# BatchNorms of random weights know nothing of images: their statistics are estimated from the
# first training batches, as a plain mean over all of them.
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
