"""The figures that show digits, codes and networks at work."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.harness.loader import Loader, NoResults
from lenet98.data.fields import pad_and_scale
from lenet98.decoding import BLANK, decode
from lenet98.displacement import penalties, wide
from lenet98.modules import Net
from lenet98.networks import LENET5, TABLE_I
from lenet98.prototypes import ascii_codes, bitmaps
from lenet98.trunk1998.numbers import recovered
from paper_figures import fig01_modules as fig01
from paper_figures import fig03_codes as fig03
from paper_figures import fig04_examples as fig04
from paper_figures import fig13_unusual as fig13
from paper_figures import fig23_replicated as fig23
from paper_figures import fig24_interpretation as fig24
from paper_figures import fig25_string as fig25
from paper_figures import fig26_strings as fig26
from paper_figures import table1
from paper_figures.__main__ import main
from paper_figures._display import MARGIN, field_of, label_gray, shown, state_gray
from paper_figures._strings import digits_of, made, row
from paper_figures._trained import STRINGS, Trained, trained

ROOT = Path(__file__).parents[2]


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.fixture(scope="module")
def published():
    """The published LeNet-5."""
    return trained(Loader(("reference",), ROOT / "results", ROOT / "reference"), ("fig9/lenet5",), 1)


# --- without a network


def test_fig01_splits_all_parameters_in_two():
    (axes,) = fig01.figure(None).axes
    counts = [int(found[1].replace(",", "")) for text in texts(axes) if (found := re.search(r"([\d,]+) par", text))]
    assert sum(counts) == LENET5.parameters
    assert "120 states" in texts(axes)


def test_table1_has_the_sixty_crosses():
    (axes,) = table1.figure(None).axes
    (crosses,) = (line for line in axes.lines if line.get_marker() == "X")
    marked = {(int(x), int(y)) for x, y in zip(*crosses.get_data(), strict=True)}
    assert marked == {(m, source) for m, sources in enumerate(TABLE_I) for source in sources}


def test_fig03_has_the_96_codes_in_the_order_of_ascii():
    (axes,) = fig03.figure(None).axes
    drawn = np.array([image.get_array() for image in axes.images]).reshape(96, 84)
    np.testing.assert_array_equal(drawn, ascii_codes())
    np.testing.assert_array_equal(drawn[16:26], bitmaps())
    assert "".join(texts(axes)[1:-1]) == "".join(map(chr, range(33, 127)))


def test_fig04_shows_the_papers_digits(mnist):
    # Read off the figure, row by row.
    rows = (
        "3681796691 6757863485 2179712845 4819018894 7618641560 7592658197 2222234480 0238073857 0146460243 7128769861"
    )
    index = list(fig04.FIG4_TRAINING_INDEX)
    assert "".join(map(str, mnist.train_labels[index])) == rows.replace(" ", "")
    (axes,) = fig04.draw(fig04.digits(mnist.train_images)).axes
    sheet = axes.images[0].get_array()
    np.testing.assert_array_equal(sheet[32:64, :32], pad_and_scale(mnist.train_images[index[10:11]])[0, 0])
    assert axes.get_title().startswith("Training digits")


def test_fig23_has_the_shapes_of_a_replicated_net(mnist):
    string = made(mnist, "4295", 3)
    with torch.no_grad():
        states = Net(LENET5).states(torch.from_numpy(string.field)[None, None])[1:]
    widths = [one.columns for one in wide(LENET5, string.field.shape[1])]
    assert widths[:-1] == [state.shape[3] for state in states]
    (axes,) = fig23.draw(string).axes
    assert f"output: 10@1x{widths[-1]}" in texts(axes)
    (line,) = (text for text in texts(axes) if "outputs for" in text)
    replicated, apart = map(float, re.findall(r"(\d+\.\d+) million", line))
    assert replicated < apart / 2


# --- the display


def test_what_is_shown_is_that_of_windows_four_pixels_apart(mnist, published):
    (net,) = published.nets.values()
    field = made(mnist, "20").field
    whole = shown(net, field, MARGIN)
    for window in (0, 3, (field.shape[1] - 32) // 4):
        alone = np.ascontiguousarray(field[:, 4 * window : 4 * window + 32])
        np.testing.assert_array_equal(shown(net, alone).layers["F6"][0], whole.layers["F6"][window])
    assert whole.input.shape == (32, field.shape[1] - 2 * MARGIN)


def test_the_network_of_1998_is_displayed_as_the_paper_displays_it(paper):
    """C1 and S2 of the recovered weights, from the input as displayed, in the figure's grays."""
    net = Net(LENET5)
    recovered().load(net)
    (character, *_) = fig13.of_1998(paper)
    ours = shown(net, character.field)
    for layer in ("C1", "S2"):
        away = np.abs(ours.layers[layer].astype(float) - character.theirs.layers[layer])
        assert np.median(away) < 6
        assert np.mean(away) < 12


def test_a_higher_penalty_is_lighter():
    assert label_gray(0) < label_gray(2.5) < label_gray(5) < label_gray(1000) < 1
    assert state_gray(np.array([-1.0, 1.0])).tolist() == [204, 51]


# --- strings


def test_a_row_has_its_gaps(mnist):
    images = digits_of(mnist, "11")
    assert not np.array_equal(*images)
    boxes = [image[:, np.flatnonzero(image.any(0))[0] : np.flatnonzero(image.any(0))[-1] + 1] for image in images]
    for gap in (-1, 0, 3):
        field = row(images, gap)
        used = np.flatnonzero(field.any(axis=0))
        assert used[-1] - used[0] + 1 == sum(box.shape[1] for box in boxes) + gap
        assert field.shape[0] == 32
        assert field.shape[1] % 4 == 0


def test_fig24_shows_a_graph_that_holds_the_path(mnist, published):
    (net,) = published.nets.values()
    (costs,) = penalties(net, made(mnist, "420", 2).field[None])
    path = decode(costs, 10.0).path
    columns = fig24.nodes(costs, path)
    assert all(taken in states and states[0] == BLANK for taken, states in zip(path, columns, strict=True))
    assert all(fig24.allowed(here, after) for here, after in pairwise(path))
    assert not fig24.allowed(3, 4)


# --- figures of networks


def test_fig13_counts_right_answers_and_frames_wrong_ones(mnist, published):
    characters = fig13.of_our_own(mnist)
    assert [character.true for character in characters] == [4, 4, 4, 4, 3, 8, 4, 3, 3]
    (axes,) = fig13.draw(characters, published).axes
    (net,) = published.nets.values()
    right = sum(int(penalties(net, one.field[None])[0, 0].argmin()) == one.true for one in characters)
    assert any(f"; {right} of our 9 answers right" in text for text in texts(axes))
    framed = [text for text in axes.texts if text.get_bbox_patch() is not None]
    assert len(framed) == 9 - right


def test_figs_13_25_and_26_have_both_sides_with_the_pdf(paper, published):
    drawn = fig13.draw(fig13.of_1998(paper), published)
    assert sum(text.startswith(">") for text in texts(drawn.axes[0])) == 9
    for figure, strings in ((fig25, ["2345"]), (fig26, ["540", "1114", "678", "3514"])):
        found = texts(_with(figure, paper, published).axes[0])
        assert found.count("1998") == len(strings)
        assert set(strings) <= set(found)


def _with(figure, paper, published):
    if figure is fig25:
        return fig25.draw(fig25.String.of_1998(fig25.pictures.fig25(paper)), published)
    return fig26.draw([fig26.String.of_1998(states) for states in fig26.pictures.fig26(paper)], published)


def test_the_field_of_a_figure_is_background_where_it_is_not_shown(paper):
    states = fig25.pictures.fig25(paper)
    field = field_of(states, MARGIN)
    assert field.shape == (32, 64)
    assert (field[:, :MARGIN] == np.float32(-0.1)).all()
    assert field.max() > 1.1


# --- weights and the command line


def test_without_weights_one_line_names_the_command(tmp_path):
    with pytest.raises(NoResults, match="`python -m experiments run strings/sdnn` makes them"):
        trained(Loader(("reference",), tmp_path, tmp_path), STRINGS, 1)


def test_a_network_that_stands_in_for_another_says_so(published):
    assert published.described == "LeNet-5 (fig9/lenet5)"
    instead = Trained("fig9/lenet5", "LeNet-5", {}, STRINGS[0])
    assert instead.described == "LeNet-5 (fig9/lenet5 in place of strings/sdnn)"


def test_figures_with_the_papers_pictures_have_names_that_git_ignores(paper, tmp_path):
    wanted = ["fig25", "table1", "--pdf", str(paper), "--reference", str(ROOT / "reference"), "--output", str(tmp_path)]
    assert main(wanted) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"fig25_string_1998", "table1"}
    assert {"*_1998.pdf", "*_1998.png"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_another_pdf_is_refused_in_one_line(tmp_path, capsys):
    other = tmp_path / "other.pdf"
    other.write_bytes(b"%PDF-1.4")
    with pytest.raises(SystemExit):
        main(["fig13", "--pdf", str(other)])
    err = capsys.readouterr().err
    assert "other.pdf: not the PDF of" in err
    assert err.count("\n") == 1
