"""All keys. The app binds them; the footer, the help screen and the README list them.

`python -m tui.keys` prints the README's table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One action and the keys that trigger it."""

    keys: tuple[str, ...]
    """Textual's names of the keys; empty if the action is only in the command palette."""
    action: str
    names: tuple[str, ...]
    """The names of the keys that the user reads."""
    does: str
    """The description for the help screen and the README."""
    short: str = ""
    """The label in the footer."""
    title: str = ""
    """The title in the command palette; empty if the action is not there."""

    @property
    def shown(self) -> str:
        """The names of the keys as a list."""
        return ", ".join(self.names)

    @property
    def description(self) -> str:
        """What the action does, with its title in the command palette if it has no key."""
        return self.does if self.keys else f"{self.title}: {self.does}"


KEYS: tuple[Key, ...] = (
    Key(("up", "k"), "screen.move(-1)", ("up", "k"), "move up"),
    Key(("down", "j"), "screen.move(1)", ("down", "j"), "move down"),
    Key(("home", "g"), "screen.home", ("Home", "g"), "first line", title="Go to the top"),
    Key(("end", "G"), "screen.end", ("End", "G"), "last line", title="Go to the bottom"),
    Key(("pageup",), "screen.page(-1)", ("PgUp",), "a page up"),
    Key(("pagedown",), "screen.page(1)", ("PgDn",), "a page down"),
    Key(("slash",), "find", ("/",), "find a layer by name", "find", "Find a layer"),
    Key(("left", "h"), "screen.collapse", ("left", "h"), "fold the row or its stage", title="Fold"),
    Key(("right", "l"), "screen.expand", ("right", "l"), "open the row or stage", title="Open"),
    Key(("enter",), "screen.toggle_fold", ("Enter",), "open or fold", title="Open or fold"),
    Key(
        ("space",),
        "freeze_or_train",
        ("space",),
        "freeze or train the row",
        "freeze",
        "Freeze or train",
    ),
    Key(
        ("f",),
        "freeze_below",
        ("f",),
        "freeze below: freeze all rows below this one, train it and all above",
        "freeze below",
        "Freeze below",
    ),
    Key(
        ("1",), "strategy(0)", ("1",), "head only: feature extraction", title="Strategy: head only"
    ),
    Key(("2",), "strategy(1)", ("2",), "last stage and head", title="Strategy: last stage"),
    Key(
        ("3",), "strategy(2)", ("3",), "last two stages and head", title="Strategy: last two stages"
    ),
    Key(("4",), "strategy(3)", ("4",), "everything: full fine-tuning", title="Strategy: full"),
    Key(
        ("5",),
        "strategy(4)",
        ("5",),
        "BatchNorms and head",
        title="Strategy: BatchNorms and head",
    ),
    Key(
        ("s",),
        "strategies",
        ("s",),
        "all strategies and plans, as a list",
        "plans",
        "Strategies and plans",
    ),
    Key(
        ("u",),
        "undo",
        ("u",),
        "undo a mask change, a start over or the reset of a layer",
        "undo",
        "Undo",
    ),
    Key(("U",), "redo", ("U",), "redo a mask change", title="Redo"),
    Key(("t",), "step", ("t",), "one real train step", "step", "Train one step"),
    Key(
        ("r",),
        "run",
        ("r",),
        "train to the end of the schedule, validating after each epoch; press again to pause",
        "run",
        "Run or pause",
    ),
    Key(
        ("left_square_bracket",),
        "rate(-1)",
        ("[",),
        "lower the layer's learning rate: 1, 2, 5 of each power of ten",
        "rate",
        "Lower the layer's learning rate",
    ),
    Key(
        ("right_square_bracket",),
        "rate(1)",
        ("]",),
        "raise the layer's learning rate",
        title="Raise the layer's learning rate",
    ),
    Key(
        (),
        "hold_still",
        ("palette",),
        "set its learning rate to 0: it receives a gradient and does not change",
        title="Hold the row still",
    ),
    Key(
        (),
        "recipe_rate",
        ("palette",),
        "replace a rate that was set by hand",
        title="Give the row its recipe's rate",
    ),
    Key(
        ("L",),
        "screen.rates_or_roles",
        ("L",),
        "below 100 columns: switch the stack's last column between rates and roles",
        title="Show learning rates or roles",
    ),
    Key(
        ("c",),
        "begin_cycle",
        ("c",),
        "begin a new cycle of the learning-rate schedule with the next step",
        "cycle",
        "Begin a new cycle of the schedule",
    ),
    Key(
        ("full_stop",),
        "replay",
        (".",),
        "replay the last backward pass; press again for four times slower",
        "replay",
        "Replay the last backward pass",
    ),
    Key(
        ("0",),
        "start_over",
        ("0",),
        "start over from the first weights; the curve stays as a ghost",
        "reset",
        "Start over",
    ),
    Key(
        ("b",),
        "norm_mode",
        ("b",),
        "switch the mode of the row's BatchNorms",
        title="Switch the row's BatchNorm mode",
    ),
    Key(
        ("a",),
        "audit",
        ("a",),
        "audit: check that no frozen tensor has changed, and that one more step changes none",
        title="Audit what is frozen",
    ),
    Key(
        ("e",),
        "results",
        ("e",),
        "results: curves, confusion matrix, accuracy per class, most wrong images",
        "results",
        "Results",
    ),
    Key(
        ("v",),
        "images",
        ("v",),
        "images: the next batch as the model gets it, and the most wrong ones",
        "images",
        "Images",
    ),
    Key(
        ("o",),
        "recipe",
        ("o",),
        "recipe: optimizer, rates, schedule, augmentation",
        "recipe",
        "Recipe",
    ),
    Key(
        (),
        "dataset",
        ("palette",),
        "images per class, where validation comes from, what was left out and why",
        title="Dataset",
    ),
    Key(
        (),
        "range_test",
        ("palette",),
        "test on a copy of the model, draw the curve and propose a rate",
        title="Learning-rate range test",
    ),
    Key(
        (),
        "new_start",
        ("palette",),
        "start from other weights; this start stays as a ghost and a checkpoint",
        title="New start",
    ),
    Key(
        (),
        "restore_layer",
        ("palette",),
        "asks first; u undoes it",
        title="Return the layer to its first weights",
    ),
    Key(
        (),
        "folds",
        ("palette",),
        "train and validate over several splits of all images",
        title="Cross-validate",
    ),
    Key(
        (),
        "save_choices",
        ("palette",),
        "a configuration file for tl-tui train --config",
        title="Save the choices as a file",
    ),
    Key(
        (),
        "batch_script",
        ("palette",),
        "a SLURM job that continues this run until it is done",
        title="Save an sbatch script",
    ),
    Key(
        ("w",),
        "runs",
        ("w",),
        "all runs with their results and curves; resume one of them",
        title="Runs",
    ),
    Key(
        ("y",),
        "accept",
        ("y",),
        "accept the mask or batch size proposed after a step ran out of memory",
        title="Accept what is proposed",
    ),
    Key(
        ("W",),
        "take_over",
        ("W",),
        "steer from this screen; the other screen only watches from then on",
        title="Steer from this screen",
    ),
    Key(
        ("R",),
        "restart",
        ("R",),
        "start the engine again after it died",
        "restart",
        "Restart the engine",
    ),
    Key(
        ("escape",),
        "understood",
        ("Esc",),
        "dismiss a message that stays until it is read",
    ),
    Key(
        ("colon", "ctrl+p"),
        "command_palette",
        (":", "ctrl+p"),
        "command palette: every action and the themes, by name",
        "all",
    ),
    Key(
        ("M",),
        "messages",
        ("M",),
        "every message of this session in full, the newest first",
        title="Messages",
    ),
    Key(
        ("ctrl+z",),
        "suspend_process",
        ("ctrl+z",),
        "suspend the screen and return to the shell; fg continues, and the engine is not affected",
        title="Suspend the screen",
    ),
    Key(("question_mark",), "help", ("?",), "this page", "help", "Help and the lesson"),
    Key(
        ("q", "ctrl+c", "ctrl+q"),
        "leave",
        ("q", "ctrl+c"),
        "leave, and let the run continue or end it (ctrl+c twice ends it and leaves at once)",
        "quit",
        "Leave",
    ),
)


def key_of(action: str) -> Key:
    """Return the key of an action, such as `step`."""
    return next(key for key in KEYS if key.action == action)


def markdown_table() -> str:
    """Return the keys as the README's table."""
    rows = [f"| {key.shown} | {key.description} |" for key in KEYS]
    return "\n".join(["| keys | do |", "|---|---|", *rows])


if __name__ == "__main__":
    print(markdown_table())
