"""The engine process: PyTorch training, controlled through `tl_tui.protocol`."""
