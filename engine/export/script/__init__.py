"""A run as one plain PyTorch training script, and the check that it trains the same.

`history` reads what the run did, step by step; `model_facts` adds what only torch knows of its
model; `data_section` finds words for its images; `script` writes the text, of what it `needs`;
`writing` does all this in the engine; `checking` runs the script.
"""
