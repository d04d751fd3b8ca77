"""The model: weights, layer stack and freezing."""
