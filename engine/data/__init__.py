"""Images: decoding, conversion, splits, augmentation and batches. Datasets are in `dataset/`."""
