"""Export of a run as one training script in plain PyTorch, which repeats the steps of the run.

`settings_history` (in `tl_tui/runs`) reads the settings of each step from the journal.
`model_facts` adds what only torch knows of the model, `data_section` the lines that list the
images, and `script` makes the text, according to what the run `needs`. `writing` runs all of it as
a job of the engine and writes the files.
"""
