"""`tl-tui doctor`: report what tl-tui can use on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import click

from tl_tui import __version__
from tl_tui.common.host import this_host
from tl_tui.connect import slurm
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.logind import logout_sentence
from tui.cli.output.names import printable
from tui.cli.output.table import output_width
from tui.cli.printing import print_json, suit_terminal, unbroken_lines
from tui.drawing.terminal import TerminalInfo, detect_terminal

LIMIT_S = 300
"""Seconds in which torch must answer: a cold disk takes a minute, a hanging driver never ends."""
LABEL_CELLS = 10
"""The width of the first column of the report."""
_COLOURS = {
    "none": "without colours",
    "16": "in 16 colours",
    "256": "in 256 colours",
    "truecolor": "in all colours",
}


@click.command("doctor", cls=SectionedCommand)
@click.option(
    "--json", "as_json", cls=Option, section="Output", is_flag=True, help="Print one JSON object."
)
def command(as_json: bool) -> int:
    """Check torch, the GPUs, the weights cache and the terminal by using them, and report what
    tl-tui will do. The exit code is 2 if there is a problem."""
    terminal = detect_terminal()
    findings = _torch_findings()
    plan = _plan_sentences(findings, terminal)
    if as_json:
        report = {
            "tl_tui": __version__,
            **findings,
            "terminal": dataclasses.asdict(terminal),
            "will": plan,
        }
        print_json(report)
    else:
        _print(findings, terminal, plan)
    return exit_codes.BAD_INPUT if findings["problems"] else exit_codes.DONE


def _torch_findings() -> dict[str, Any]:
    """Return what a process that imports and uses torch reports, or how it failed."""
    from tl_tui.connect.client import engine_command

    try:
        process = subprocess.run(
            engine_command("doctor"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return {"problems": [f"torch did not answer within {LIMIT_S} s."]}
    if process.returncode == 0:
        findings: dict[str, Any] = json.loads(process.stdout)
        return findings
    errors = [line for line in process.stderr.splitlines() if line.strip()]
    how = f"signal {-process.returncode}" if process.returncode < 0 else "an error"
    last = f": {errors[-1].strip()}" if errors else ""
    return {"problems": [f"Importing and using torch ends with {how}{last}. Reinstall torch."]}


def _plan_sentences(findings: dict[str, Any], terminal: TerminalInfo) -> list[str]:
    """Return what tl-tui will do on this machine, one sentence per item."""
    sentences = []
    if device := findings.get("device"):
        if device["warning"]:
            sentences.append(
                "The screen trains on the CPU and displays a warning; tl-tui train refuses to "
                "start without --device cpu."
            )
        else:
            sentences.append(f"tl-tui trains on {device['chosen']}.")
    if weights := findings.get("weights"):
        whole = [file for file in weights["files"] if file["whole"]]
        if any(file["arch"] == "resnet18" for file in whole):
            sentences.append("It starts from ImageNet weights; those of resnet18 are in the cache.")
        else:
            sentences.append(
                "It downloads the weights of resnet18 at the first start (45 MB). Without "
                "internet, the embedded demo runs without them and reports it."
            )
    if terminal.is_terminal:
        glyphs = "Unicode" if terminal.unicode else "ASCII"
        sentences.append(f"It draws with {glyphs} {_COLOURS[terminal.colours]}.")
        if terminal.width < 80 or terminal.height < 24:
            sentences.append(
                "This window is smaller than 80x24: it has no room for curves and inspector."
            )
    else:
        sentences.append(
            "The screen needs a terminal, and this is a pipe or a file: only commands such as "
            "tl-tui train and tl-tui layers work."
        )
    if sentence := logout_sentence():
        sentences.append(sentence)
    sentences += slurm.doctor_sentences(this_host.job, os.environ)
    return sentences


def _print(findings: dict[str, Any], terminal: TerminalInfo, plan: list[str]) -> None:
    facts = _facts(findings, terminal)
    facts += [("" if number else "plan", sentence) for number, sentence in enumerate(plan)]
    facts += [("problem", sentence) for sentence in findings["problems"]]
    suit_terminal(sys.stdout)
    width = output_width()
    for name, text in facts:
        room = width and width - LABEL_CELLS
        first, *rest = unbroken_lines(printable(text), room)
        print(f"{name:<{LABEL_CELLS}}{first}".rstrip())
        for line in rest:
            print(" " * LABEL_CELLS + line)
    if not findings["problems"]:
        print("No problems found.")


def _facts(findings: dict[str, Any], terminal: TerminalInfo) -> list[tuple[str, str]]:
    """Return the rows of the report: pairs of a name and a text."""
    facts = [("tl-tui", __version__)]
    if "python" in findings:
        facts.append(("python", f"{findings['python']}, {findings['cores']} cores"))
    if torch := findings.get("torch"):
        built = f"built for CUDA {torch['cuda']}" if torch["cuda"] else "built without CUDA"
        pair = findings.get("torchvision")
        match = (
            f"with torchvision {pair['version']}, which matches"
            if pair
            else "torchvision does not match"
        )
        facts.append(("torch", f"{torch['version']} ({built}), {match}"))
    if nvidia := findings.get("nvidia"):
        names = ", ".join(nvidia["names"]) or "devices without a name"
        driver = nvidia["driver"] or "unknown"
        facts.append(("nvidia", f"driver {driver}: {names}" if nvidia["present"] else "none found"))
    for device in findings.get("device", {}).get("cuda", []):
        if not device["problem"]:
            free, total = device["free"] / 1e9, device["total"] / 1e9
            facts.append(
                ("device", f"{device['name']}: {free:.1f} of {total:.1f} GB free, a kernel ran")
            )
    if weights := findings.get("weights"):
        files = [
            f"{file['file']} ({file['arch']} {file['entry']}"
            f"{', intact' if file['whole'] else ', DAMAGED'})"
            for file in weights["files"]
        ]
        facts.append(("weights", f"{weights['folder']}: {', '.join(files) or 'no files yet'}"))
    inside = f" in {terminal.multiplexer}" if terminal.multiplexer else ""
    size = f"{terminal.width}x{terminal.height}"
    facts += [
        ("terminal", f"{terminal.term or 'unknown'}{inside}, {size}"),
        ("colours", f"{terminal.colours} ({terminal.colours_why})"),
        ("unicode", f"{'yes' if terminal.unicode else 'no'} ({terminal.unicode_why})"),
    ]
    return facts
