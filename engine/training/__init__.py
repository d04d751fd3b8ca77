"""The training step: optimizer, measurements, checkpoints, feature cache and CUDA graphs."""
