"""The images of a run: listing, splits, decoding, augmentation, batches in a seeded order."""

from engine.data.augmentation import Augmentation
from engine.data.batches import Batch, Decoder, TrainBatches
from engine.data.decoding import Transform, UnreadableImage, read_rgb
from engine.data.image_folder import (
    LabelledImages,
    images_below,
    list_folder,
    list_labelled,
    open_folder,
)
from engine.data.samples import DataProblem, ImageFolder, Sample, printable
from engine.data.splits import folds, yardstick_of

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
