"""Datasets: listing, splitting, decoding, augmentation and batching of images."""
