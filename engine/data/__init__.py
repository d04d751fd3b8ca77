"""The images of a run: listing, splits, decoding, augmentation, batches in a seeded order."""
