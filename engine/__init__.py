"""The engine: PyTorch training in a process of its own, reached through `tl_tui.protocol`.

Nothing here knows of colours or keys, and nothing here imports Textual.
"""
