"""`tl-tui doctor`: what this machine offers, and what tl-tui will do with it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from typing import Any

import click

from tl_tui import __version__
from tl_tui.common import json_codec
from tl_tui.common.host import this_host
from tl_tui.connect import slurm
from tl_tui.connect.client import engine_command
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.logind import logout_sentence
from tui.drawing.terminal import TerminalInfo, detect_terminal

LIMIT_S = 300
"""Seconds for looking at torch; a cold disk takes a minute, a driver that hangs for ever."""
_COLOURS = {
    "none": "without colours",
    "16": "in 16 colours",
    "256": "in 256 colours",
    "truecolor": "in all colours",
}


@click.command("doctor", cls=SectionedCommand)
@click.option(
    "--json", "as_json", cls=Option, section="Output", is_flag=True, help="One JSON object."
)
def command(as_json: bool) -> int:
    """Look at torch, the GPUs, the weights cache and the terminal by using them, and say what
    tl-tui will do. Exit code 2 if something stands in its way."""
    terminal = detect_terminal()
    found = _torch_findings()
    will = _will(found, terminal)
    if as_json:
        whole = {
            "tl_tui": __version__,
            **found,
            "terminal": dataclasses.asdict(terminal),
            "will": will,
        }
        print(json_codec.dumps(whole), flush=True)
    else:
        _print(found, terminal, will)
    return exit_codes.BAD_INPUT if found["problems"] else exit_codes.DONE


def _torch_findings() -> dict[str, Any]:
    """What the process that imports torch found; if it crashed, that."""
    try:
        process = subprocess.run(
            engine_command("doctor"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return {"problems": [f"Looking at torch has not come to an end in {LIMIT_S} s."]}
    if process.returncode == 0:
        findings: dict[str, Any] = json.loads(process.stdout)
        return findings
    words = [line for line in process.stderr.splitlines() if line.strip()]
    how = f"signal {-process.returncode}" if process.returncode < 0 else "an error"
    last = f": {words[-1].strip()}" if words else ""
    return {"problems": [f"Importing and using torch ends with {how}{last}. Install it anew."]}


def _will(found: dict[str, Any], terminal: TerminalInfo) -> list[str]:
    said = []
    if device := found.get("device"):
        if device["warning"]:
            said.append(
                "On the screen it trains on the CPU and says so all the time; tl-tui train "
                "refuses until --device cpu insists."
            )
        else:
            said.append(f"It trains on {device['chosen']}.")
    if weights := found.get("weights"):
        whole = [file for file in weights["files"] if file["whole"]]
        if any(file["arch"] == "resnet18" for file in whole):
            said.append("It starts from ImageNet weights, which are here for resnet18.")
        else:
            said.append(
                "It downloads the weights of resnet18 at the first start (45 MB); without internet "
                "the embedded demo goes on without them, and says so."
            )
    if terminal.is_terminal:
        glyphs = "Unicode" if terminal.unicode else "ASCII"
        said.append(f"It draws with {glyphs} {_COLOURS[terminal.colours]}.")
        if terminal.width < 80 or terminal.height < 24:
            said.append("This window is smaller than 80x24: curves and inspector are left out.")
    else:
        said.append("There is no screen here (a pipe or a file): tl-tui train and layers work.")
    if sentence := logout_sentence():
        said.append(sentence)
    said += slurm.doctor_sentences(this_host.job, os.environ)
    return said


def _print(found: dict[str, Any], terminal: TerminalInfo, will: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    from tui.cli.printing import console

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in _facts(found, terminal):
        table.add_row(name, Text(text))
    for number, sentence in enumerate(will):
        table.add_row("" if number else "so", Text(sentence))
    for sentence in found["problems"]:
        table.add_row(Text("problem", style="bold red"), Text(sentence))
    out = console()
    out.print(table)
    if not found["problems"]:
        out.print("Nothing stands in the way.")


def _facts(found: dict[str, Any], terminal: TerminalInfo) -> list[tuple[str, str]]:
    facts = [("tl-tui", __version__)]
    if "python" in found:
        facts.append(("python", f"{found['python']}, {found['cores']} cores"))
    if torch := found.get("torch"):
        built = f"built for CUDA {torch['cuda']}" if torch["cuda"] else "built without CUDA"
        pair = found.get("torchvision")
        fits = (
            f"torchvision {pair['version']}, and they fit" if pair else "torchvision does not fit"
        )
        facts.append(("torch", f"{torch['version']} ({built}) with {fits}"))
    if nvidia := found.get("nvidia"):
        names = ", ".join(nvidia["names"]) or "devices without a name"
        driver = nvidia["driver"] or "unknown"
        facts.append(
            ("nvidia", f"driver {driver}: {names}" if nvidia["present"] else "none to be seen")
        )
    for device in found.get("device", {}).get("cuda", []):
        if not device["problem"]:
            free, total = device["free"] / 1e9, device["total"] / 1e9
            facts.append(
                ("device", f"{device['name']}: {free:.1f} of {total:.1f} GB free, a kernel ran")
            )
    if weights := found.get("weights"):
        files = [
            f"{file['file']} ({file['arch']} {file['entry']}"
            f"{', whole' if file['whole'] else ', DAMAGED'})"
            for file in weights["files"]
        ]
        facts.append(("weights", f"{weights['folder']}: {', '.join(files) or 'nothing there yet'}"))
    inside = f" in {terminal.multiplexer}" if terminal.multiplexer else ""
    size = f"{terminal.width}x{terminal.height}"
    facts += [
        ("terminal", f"{terminal.term or 'unknown'}{inside}, {size}"),
        ("colours", f"{terminal.colours} ({terminal.colours_why})"),
        ("unicode", f"{'yes' if terminal.unicode else 'no'} ({terminal.unicode_why})"),
    ]
    return facts
