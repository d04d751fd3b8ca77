"""The images of a run: listing, splits, decoding, augmentation, batches in a seeded order."""

from .augmentation import Augmentation
from .batches import Batch, Decoder, TrainBatches
from .decoding import Transform, UnreadableImage, read_rgb
from .image_folder import (
    LabelledImages,
    images_below,
    list_folder,
    list_labelled,
    open_folder,
)
from .samples import DataProblem, ImageFolder, Sample, printable
from .splits import folds, yardstick_of

__all__ = [
    "Augmentation",
    "Batch",
    "DataProblem",
    "Decoder",
    "ImageFolder",
    "LabelledImages",
    "Sample",
    "TrainBatches",
    "Transform",
    "UnreadableImage",
    "folds",
    "images_below",
    "list_folder",
    "list_labelled",
    "open_folder",
    "printable",
    "read_rgb",
    "yardstick_of",
]
