"""Colours and glyphs.

Red is only used for the gradient, green and bright blue only for the mask, and dim for layers that
were not reached. Frozen layers are bright blue because plain blue on black is hard to read.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from tl_tui.common.plain_text import plain


@dataclass(frozen=True)
class Palette:
    """The colours of one theme, as rich style definitions by their meaning."""

    name: str
    description: str
    text: str
    dim: str
    strong: str
    trainable: str
    """The edges of a trainable layer's brick."""
    trainable_name: str
    frozen: str
    frozen_name: str
    unreached: str
    """Layers that the gradient did not reach."""
    gradient: str
    alarm: str
    """Values that are not finite, and warnings."""
    chosen: str
    """The current strategy; a key in the footer."""
    background: str | None = None

    def style(self, what: str) -> Style:
        """Return the rich style of one of the fields above, such as `style("gradient")`."""
        style = Style.parse(getattr(self, what))
        if self.background and style.bgcolor is None:
            style = Style(bgcolor=self.background) + style
        return style


PALETTES = {
    palette.name: palette
    for palette in (
        Palette(
            name="terminal",
            description="the terminal's own 16 colours and background",
            text="default",
            dim="dim",
            strong="bold",
            trainable="green",
            trainable_name="bold green",
            frozen="bright_blue",
            frozen_name="bright_blue",
            unreached="dim",
            gradient="bright_red",
            alarm="bold reverse",
            chosen="reverse",
        ),
        Palette(
            name="light",
            description="dark on white, for a projector or a lecture room",
            text="#1c1c1c",
            dim="#6c6c6c",
            strong="bold #000000",
            trainable="#00875f",
            trainable_name="bold #00875f",
            frozen="#005fd7",
            frozen_name="#005fd7",
            unreached="#767676",
            gradient="#d70000",
            alarm="bold #ffffff on #d70000",
            chosen="#ffffff on #303030",
            background="#ffffff",
        ),
        Palette(
            name="high-contrast",
            description="white on black, nothing dim",
            text="#ffffff",
            dim="#d0d0d0",
            strong="bold #ffffff",
            trainable="#00ff00",
            trainable_name="bold #00ff00",
            frozen="#5fafff",
            frozen_name="#87d7ff",
            unreached="#bcbcbc",
            gradient="#ff5f5f",
            alarm="bold #000000 on #ffff00",
            chosen="bold #000000 on #ffffff",
            background="#000000",
        ),
        Palette(
            # Orange, sky blue and reddish purple of Okabe and Ito's palette, which can be
            # distinguished with every common kind of colour blindness.
            name="red-green-safe",
            description="orange and blue, purple dots; for red-green blindness",
            text="default",
            dim="dim",
            strong="bold",
            trainable="#e69f00",
            trainable_name="bold #e69f00",
            frozen="#56b4e9",
            frozen_name="#56b4e9",
            unreached="dim",
            gradient="#d787d7",
            alarm="bold reverse",
            chosen="reverse",
        ),
    )
}
"""The themes by name; `terminal` is the default."""


@dataclass(frozen=True)
class Glyphs:
    """The characters to draw with, in Unicode or in ASCII."""

    solid: str
    """The edge of a trainable brick."""
    shade: str
    """The edge of a frozen brick, and the middle of a brick that was not reached."""
    cached: str
    updated: str
    passed: str
    vanished: str
    nonfinite: str
    cut_off: str
    cursor: str
    bar: str
    bar_half: str
    wall: str
    wall_brick: str
    wall_dashed: str
    loss: str
    images: str
    pending: str
    no_gradient: str
    """In place of a number where a frozen layer passed the gradient on."""
    unreached: str
    """In place of a number where the gradient did not arrive."""
    by_hand: str
    """Marks a learning rate that was set by hand."""
    expanded: str
    collapsed: str
    branch: str
    last_branch: str
    rule: str
    above: str
    below: str
    """Arrows that point to a wall that is off screen."""
    role_alone: str
    role_first: str
    role_middle: str
    role_last: str
    """Brackets that join the layers of one role."""
    norm: str
    ratio: str
    """Column headings of the gradient norm and the update ratio."""
    ellipsis: str
    plain: bool = False
    """Whether only ASCII may be printed."""

    def text(self, text: str) -> str:
        """Return a text in characters that this terminal has."""
        return plain(text) if self.plain else text


UNICODE = Glyphs(
    solid="█",
    shade="░",
    cached="▒",
    updated="●",
    passed="○",
    vanished="·",
    nonfinite="!",
    cut_off="?",
    cursor="▸",
    bar="━",
    bar_half="╸",
    wall="━",
    wall_brick="▀",
    wall_dashed="╍",
    loss="▼",
    images="▲",
    pending="→",
    no_gradient="–",
    unreached="·",
    by_hand="•",
    expanded="▾",
    collapsed="▸",
    branch="├",
    last_branch="└",
    rule="─",
    above="↑",
    below="↓",
    role_alone="─",
    role_first="╮",
    role_middle="│",
    role_last="╯",
    norm="‖g‖",
    ratio="Δw/w",
    ellipsis="…",
)

ASCII = Glyphs(
    solid="#",
    shade=":",
    cached="%",
    updated="*",
    passed="o",
    vanished=".",
    nonfinite="!",
    cut_off="?",
    cursor=">",
    bar="=",
    bar_half="-",
    wall="-",
    wall_brick="#",
    wall_dashed="~",
    loss="v",
    images="^",
    pending="->",
    no_gradient="-",
    unreached=".",
    by_hand="*",
    expanded="v",
    collapsed=">",
    branch="|",
    last_branch="`",
    rule="-",
    above="^",
    below="v",
    role_alone="-",
    role_first=".",
    role_middle="|",
    role_last="'",
    norm="|g|",
    ratio="dw/w",
    ellipsis="~",
    plain=True,
)
