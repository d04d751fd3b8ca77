"""Faults injected into a real engine in its own process, repeatedly and from a random seed.

    python -m tests.faults                     every fault once
    python -m tests.faults --full              every fault as often as docs/reliability.md has it
    python -m tests.faults --only killed       the rows whose name has this word
    python -m tests.faults --seed 7            other moments, layers, names

A fault is a function in one of the modules here, with `@fault(NAME, full=TIMES)` above it. It gets
a `Place`, does its harm, and asserts what must hold afterwards; `Place.leave` asserts for all of
them that no process is left.
"""
