"""Lists of the painters of the class `not_hot_dog`, and of the objects around both classes."""

from __future__ import annotations

from collections.abc import Callable

from tools.draw_demo.breads import (
    baguette,
    burger,
    croissant,
    doughnut,
    open_roll,
    pizza,
    pretzel,
    roll_and_sausage,
    sandwich,
    taco,
)
from tools.draw_demo.foods import bananas, carrots, corn, egg, fries, sausages, tomatoes
from tools.draw_demo.painter import Frame, Scene
from tools.draw_demo.things import (
    books,
    bottle,
    bottles,
    cup,
    dishes,
    dog_toy,
    fork,
    leaves,
    pencils,
    sauce_pot,
)

# The images of `not_hot_dog` cycle through this list.
OTHERS: list[Callable[[Scene, Frame], None]] = [
    burger, pizza, sausages, open_roll, baguette, croissant, bananas, doughnut, carrots, taco,
    roll_and_sausage, fries, bottles, sandwich, tomatoes, dog_toy, dishes, books, pencils, pretzel,
    corn, egg, burger, pizza, fries,
]  # fmt: skip

LONG_OTHERS = [open_roll, baguette, bananas, corn]
HELD_OTHERS = [open_roll, baguette, bananas, corn, taco, burger, doughnut, croissant, sausages]

DISTRACTORS: list[Callable[[Scene, Frame], None]] = [
    cup, leaves, sauce_pot, fork, fries, tomatoes, bottle, pretzel, bottle, fork,
]  # fmt: skip
