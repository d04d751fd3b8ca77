"""The images of a run: listing, splits, decoding, augmentation, batches in a seeded order."""

from .augmentation import Augmentation
from .batches import Batch, Decoder, TrainBatches
from .decoding import Transform, UnreadableImage, read_rgb
from .image_folder import list_folder, open_folder
from .samples import DataProblem, ImageFolder, Sample, printable
from .splits import folds, yardstick_of

__all__ = [
    "Augmentation",
    "Batch",
    "DataProblem",
    "Decoder",
    "ImageFolder",
    "Sample",
    "TrainBatches",
    "Transform",
    "UnreadableImage",
    "folds",
    "list_folder",
    "open_folder",
    "printable",
    "read_rgb",
    "yardstick_of",
]
