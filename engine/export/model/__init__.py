"""Export of a run's model as safetensors, .pth and ONNX files that do not need tl-tui."""
