"""The engine: real PyTorch training, in a process of its own, spoken to through `engine.protocol`.

Nothing here knows of colours or keys, and nothing here imports Textual. `protocol`, `client`,
`prediction` and `strict_json` import no torch, so that a screen can use them.
"""

__version__ = "0.1.0"
