"""Fig. 26: four noisy strings before the replicated network: its outputs, F6, and what Viterbi makes of them.

With the authors' PDF: its four, the answers of 1998 above ours.  Without it: the same strings of MNIST's test digits, a
tenth of the pixels inverted as in training (VII.B).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from lenet98.trunk1998 import pictures
from paper_figures._strings import LEFT, RIGHT, String, answers_to, draw_string, height, made
from paper_figures._style import style
from paper_figures._trained import STRINGS, Trained, trained

SEEDS = 4
"""So many networks at most."""
OURS = ("540", "1114", "678", "3514")
"""The strings without the PDF."""
INVERTED = 0.1
"""Share of pixels."""
HEAD, GAP = 7.0, 4.0
"""Above the panels, and between them, pixels of the input."""
UNIT = 0.043
"""Inches a pixel of the input."""


def figure(load: Loader, pdf: Path | None = None) -> Figure:
    """Draw Fig. 26 from published weights or results, with the paper's side if its PDF is named."""
    ours = trained(load, STRINGS, SEEDS)
    if pdf:
        return draw([String.of_1998(states) for states in pictures.fig26(pdf)], ours)
    mnist = load_mnist(None)
    return draw([made(mnist, string, share=INVERTED) for string in OURS], ours)


def draw(strings: Sequence[String], ours: Trained) -> Figure:
    """The panels, two a row."""
    columns, rows = 2, (len(strings) + 1) // 2
    tall = height(len(ours.nets) + (strings[0].theirs is not None))
    wide = max(string.width for string in strings) + LEFT + RIGHT
    whole = columns * wide, rows * (tall + GAP)
    right = 0
    with style():
        drawn = Figure(figsize=(whole[0] * UNIT, (whole[1] + HEAD) * UNIT))
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for number, string in enumerate(strings):
            answers = answers_to(string, ours)
            right += sum(states.answer == string.true for states in answers.values() if states is not string.theirs)
            draw_string(axes, string, answers, LEFT + number % columns * wide, number // columns * (tall + GAP))
        axes.text(
            whole[0] / 2, -HEAD + 1, f"{ours.described}: {right} of {len(strings) * len(ours.nets)} strings right",
            ha="center", va="top", fontsize=9,
        )  # fmt: skip
        axes.set(xlim=(0, whole[0]), ylim=(whole[1], -HEAD))
    return drawn
