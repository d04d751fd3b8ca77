"""The keys, in one place: the app binds them, the footer, the help screen and the README list them.

`python -m tui.keys` prints the README's table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One action and the keys that do it."""

    keys: tuple[str, ...]
    """As Textual names them; none if only the palette has it."""
    action: str
    shown: str
    """The keys as the user reads them."""
    does: str
    """In the help screen and the README."""
    short: str = ""
    """In the footer."""
    title: str = ""
    """In the palette; empty if it makes no sense there."""

    @property
    def told(self) -> str:
        """What it does, and under which name the palette has it if no key does it."""
        return self.does if self.keys else f"{self.title}: {self.does}"


KEYS: tuple[Key, ...] = (
    Key(("up", "k"), "screen.move(-1)", "up, k", "move up"),
    Key(("down", "j"), "screen.move(1)", "down, j", "move down"),
    Key(("home", "g"), "screen.home", "Home, g", "first line", title="Go to the top"),
    Key(("end", "G"), "screen.end", "End, G", "last line", title="Go to the bottom"),
    Key(("pageup",), "screen.page(-1)", "PgUp", "a page up"),
    Key(("pagedown",), "screen.page(1)", "PgDn", "a page down"),
    Key(("slash",), "find", "/", "find a layer by name", "find", "Find a layer"),
    Key(("left", "h"), "screen.collapse", "left, h", "fold the row or its stage", title="Fold"),
    Key(("right", "l"), "screen.expand", "right, l", "open the row or stage", title="Open"),
    Key(("enter",), "screen.toggle_fold", "Enter", "open or fold", title="Open or fold"),
    Key(
        ("space",),
        "freeze_or_train",
        "space",
        "freeze or train the row",
        "freeze",
        "Freeze or train",
    ),
    Key(
        ("f",),
        "freeze_below",
        "f",
        "freeze below: everything under the row is frozen, it and all above train",
        "freeze below",
        "Freeze below",
    ),
    Key(("1",), "strategy(0)", "1", "head only: feature extraction", title="Strategy: head only"),
    Key(("2",), "strategy(1)", "2", "last stage and head", title="Strategy: last stage"),
    Key(("3",), "strategy(2)", "3", "last two stages and head", title="Strategy: last two stages"),
    Key(("4",), "strategy(3)", "4", "everything: full fine-tuning", title="Strategy: full"),
    Key(
        ("5",),
        "strategy(4)",
        "5",
        "BatchNorms and head",
        title="Strategy: BatchNorms and head",
    ),
    Key(
        ("s",),
        "strategies",
        "s",
        "all strategies and plans, as a list",
        "plans",
        "Strategies and plans",
    ),
    Key(("u",), "undo", "u", "undo a mask change, a start over, a layer put back", "undo", "Undo"),
    Key(("U",), "redo", "U", "redo a mask change", title="Redo"),
    Key(("t",), "step", "t", "one real train step", "step", "Train one step"),
    Key(
        ("r",),
        "run",
        "r",
        "run to the end of the schedule, with a validation each epoch; again: pause",
        "run",
        "Run or pause",
    ),
    Key(
        ("left_square_bracket",),
        "rate(-1)",
        "[",
        "the layer's learning rate down: 1, 2, 5 of each power of ten",
        "rate",
        "Lower the layer's learning rate",
    ),
    Key(
        ("right_square_bracket",),
        "rate(1)",
        "]",
        "the layer's learning rate up",
        title="Raise the layer's learning rate",
    ),
    Key(
        (),
        "hold_still",
        "palette",
        "its learning rate is 0: it receives its gradient and does not move",
        title="Hold the row still",
    ),
    Key(
        (),
        "recipe_rate",
        "palette",
        "in place of one set by hand",
        title="Give the row its recipe's rate",
    ),
    Key(
        ("L",),
        "screen.rates_or_roles",
        "L",
        "below 100 columns: the stack's last column shows rates or roles",
        title="Show learning rates or roles",
    ),
    Key(
        ("c",),
        "begin_cycle",
        "c",
        "begin a new cycle of the learning-rate schedule with the next step",
        "cycle",
        "Begin a new cycle of the schedule",
    ),
    Key(
        ("full_stop",),
        "replay",
        ".",
        "show the last backward pass again; once more: four times slower",
        "replay",
        "Replay the last backward pass",
    ),
    Key(
        ("0",),
        "start_over",
        "0",
        "start over: everything as at the start, the curve stays as a ghost",
        "reset",
        "Start over",
    ),
    Key(
        ("b",),
        "norm_mode",
        "b",
        "the row's BatchNorms: as the mask says, or the other way",
        title="Switch the row's BatchNorm mode",
    ),
    Key(
        ("a",),
        "audit",
        "a",
        "audit: every frozen tensor against its state when frozen, and over one more step",
        title="Audit what is frozen",
    ),
    Key(
        ("e",),
        "results",
        "e",
        "results: curves, confusion, accuracy of each class, most wrong images",
        "results",
        "Results",
    ),
    Key(
        ("v",),
        "images",
        "v",
        "images: the coming batch as the model gets it, the most wrong",
        "images",
        "Images",
    ),
    Key(
        ("o",),
        "recipe",
        "o",
        "recipe: optimizer, rates, schedule, augmentation",
        "recipe",
        "Recipe",
    ),
    Key(
        (),
        "range_test",
        "palette",
        "on a copy; draws its curve and proposes a rate",
        title="Learning-rate range test",
    ),
    Key(
        (),
        "new_start",
        "palette",
        "random weights beside this start, which stays as a ghost and a checkpoint",
        title="New start",
    ),
    Key(
        (),
        "restore_layer",
        "palette",
        "asks first, u takes it back",
        title="Return the layer to its first weights",
    ),
    Key(
        (),
        "folds",
        "palette",
        "train and validate over several splits of all images",
        title="Cross-validate",
    ),
    Key(
        (),
        "save_choices",
        "palette",
        "for tl-tui train --config",
        title="Save the choices as a file",
    ),
    Key(
        (),
        "batch_script",
        "palette",
        "a SLURM job that goes on with this run until it is done",
        title="Save an sbatch script",
    ),
    Key(
        ("w",),
        "runs",
        "w",
        "all runs: their results and curves, one to go on with",
        title="Runs",
    ),
    Key(
        ("y",),
        "accept",
        "y",
        "accept the mask or batch proposed after a step ran out of memory",
        title="Accept what is proposed",
    ),
    Key(
        ("W",),
        "take_over",
        "W",
        "steer from here: the screen that did only watches then",
        title="Steer from this screen",
    ),
    Key(("R",), "restart", "R", "start a dead engine again", "restart", "Restart the engine"),
    Key(
        ("escape",),
        "understood",
        "Esc",
        "take a message away that stays until it was read",
    ),
    Key(
        ("colon", "ctrl+p"),
        "command_palette",
        ":, ctrl+p",
        "every action and the themes, by name",
        "all",
    ),
    Key(("question_mark",), "help", "?", "this page", "help", "Help and the lesson"),
    Key(
        ("q", "ctrl+c", "ctrl+q"),
        "leave",
        "q, ctrl+c",
        "leave, and let the run go on or end it (ctrl+c twice ends it and leaves at once)",
        "quit",
        "Leave",
    ),
)


def key_of(action: str) -> Key:
    """The key of an action, such as `step`."""
    return next(key for key in KEYS if key.action == action)


def markdown_table() -> str:
    """The keys as the README shows them."""
    rows = [f"| {key.shown} | {key.told} |" for key in KEYS]
    return "\n".join(["| keys | do |", "|---|---|", *rows])


if __name__ == "__main__":
    print(markdown_table())
