"""C1 to S4 of a LeNet-5 of 1998: the display, the estimate on a network that is known, the numbers, and the paper's."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import lenet98
from lenet98.data.fields import pad_and_scale
from lenet98.modules import Net
from lenet98.networks import LENET5, TABLE_I
from lenet98.trunk1998 import checks, estimate, kernels, numbers, pictures
from lenet98.trunk1998.__main__ import main
from lenet98.trunk1998.display import LEVELS, STEP, Palette, likelihood, monotone
from lenet98.trunk1998.estimate import Display, FirstLayer, Fit, Panel, Trunk, c1_states, squash

COLORS = np.array([0, 10, *range(20, 256, 5)], np.uint8)
"""50 colors for 64 levels."""

# --- the display ------------------------------------------------------------------------------------------------------


def test_monotone_is_the_best_of_all_assignments():
    cost = np.random.default_rng(0).uniform(size=(7, 3))
    ways = [
        np.repeat(range(3), np.diff([0, a, b, 7])) for a, b in itertools.combinations(range(1, 7), 2)
    ]  # where the second and the third column begin
    best = min(ways, key=lambda way: cost[range(7), way].sum())
    np.testing.assert_array_equal(monotone(cost), best)


def test_a_gray_is_in_the_interval_of_what_it_is_drawn_as():
    palette = Palette.nearest(COLORS)
    gray = np.linspace(-20, 275, 2000)
    low, high = palette.interval(palette.draw(gray))
    assert ((low <= gray) & (gray <= high)).all()
    inside = palette.middle(COLORS)
    assert (palette.draw(inside) == COLORS).all()
    assert abs(inside - COLORS).max() < 2 * STEP


def test_a_panel_without_black_has_no_scale():
    with pytest.raises(ValueError, match="from 0 to 255 at most 64 colors, this one 3"):
        Palette.nearest(np.array([10, 20, 255]))


def test_levels_vote_for_the_color_that_they_are_drawn_in():
    true = Palette(tuple(map(int, COLORS)), tuple(np.minimum(np.arange(LEVELS), len(COLORS) - 1).tolist()))
    gray = np.random.default_rng(1).uniform(0, 255, 20_000)
    assert Palette.nearest(COLORS) != true
    assert Palette.nearest(COLORS).voted(gray, true.draw(gray)) == true


def test_slope_and_information_are_those_of_the_likelihood():
    palette, noise = Palette.nearest(COLORS), 0.7
    gray = np.array([-1.0, 3.0, 61.3, 130.0, 200.2, 252.0])
    low, high = palette.interval(np.array([0, 10, 65, 130, 195, 255]))
    up, down = (likelihood(gray + step, low, high, noise)[0] for step in (1e-5, -1e-5))
    np.testing.assert_allclose(likelihood(gray, low, high, noise)[1], (up - down) / 2e-5, rtol=1e-5, atol=1e-8)
    # The information is the mean square of the slope over what may be drawn.
    grays = np.broadcast_to(gray, (len(COLORS), len(gray)))
    low, high = palette.interval(np.repeat(COLORS[:, None], len(gray), 1))
    chance, slope = likelihood(grays, low, high, noise)
    np.testing.assert_allclose(np.exp(chance).sum(0), 1, atol=1e-9)
    np.testing.assert_allclose(
        palette.information(gray, noise), (np.exp(chance) * slope**2).sum(0), rtol=0.02, atol=1e-5
    )


# --- the estimate, of a network that is known -------------------------------------------------------------------------

NOISE = 0.3
"""Gray levels, of the displays that are made here."""


@pytest.fixture(scope="module")
def known(mnist):
    """A network drawn at random, at work on five digits, and how it is displayed."""
    rng = np.random.default_rng(0)
    images = pad_and_scale(mnist.train_images[[5, 13, 17, 26, 35]])[:, 0].astype(float)
    first = FirstLayer(
        np.column_stack((rng.normal(0, 1.2, (6, 25)), rng.normal(0, 0.5, 6))),
        Display(75.5, 127.3),
        list(images),
        np.zeros((158, 158)),
    )
    s2, s4 = (
        tuple(Fit(np.array([rng.uniform(*c), rng.normal(0, 0.2)]), np.eye(2), 0) for _ in range(n))
        for n, c in ((6, (0.8, 1.5)), (16, (0.2, 0.4)))
    )
    c3 = tuple(Fit(rng.normal(0, 0.35, 25 * len(sources) + 1), np.eye(1), 0) for sources in TABLE_I)
    trunk = Trunk(first, s2, c3, s4, ())
    return trunk, checks.redrawn(trunk, [Palette.nearest(COLORS)] * len(images), NOISE, rng)


@pytest.fixture(scope="module")
def found(known):
    """Estimated from the displays."""
    return estimate.recover_from(*estimate.calibrated(known[1]))


def test_errors_are_as_large_as_they_are_said_to_be(known, found):
    within = checks.coverage(known[0], found)
    assert within["C1"] > 0.93
    assert within["C3"] > 0.93
    assert within["S2"] > 0.7  # 12 numbers
    assert within["S4"] > 0.8  # 32 numbers
    # Nor are they much too large: the weights are known.
    assert np.median(found.first.errors) < 0.05
    assert np.median(np.concatenate([fit.errors for fit in found.c3])) < 0.1
    assert (found.display.gain, found.display.offset) == pytest.approx((75.5, 127.3), abs=0.5)


def test_table_i_is_found(found):
    rows = checks.table1(found)
    for row, sources in zip(rows, TABLE_I, strict=True):
        others = [source for source in range(6) if source not in sources]
        connected, rest = (np.array(row["weight"])[list(maps)] for maps in (sources, others))
        assert connected.min() > 0.15
        assert not len(rest) or rest.max() < 0.6 * connected.min(), (sources, row["weight"])
        assert not len(rest) or row["evidence"] > 0


def test_where_a_map_is_saturated_the_errors_are_the_priors(known, found):
    """White everywhere says little more than that the sum is low."""
    inputs = checks.maps(found, "C3")[0].inputs
    white = np.full(inputs.shape[:2], 255, np.uint8)
    palettes = [panel.palette for panel in found.panels]
    fit = estimate.fit_map(
        inputs.reshape(-1, inputs.shape[2]), estimate.Shown(white, palettes, found.display), estimate.PRIOR
    )
    assert np.median(fit.errors) > 0.5
    assert np.median(found.c3[0].errors) < 0.1


# --- the numbers of the package ---------------------------------------------------------------------------------------


def test_the_numbers_are_whole():
    network = lenet98.recovered()
    assert numbers.SIZE == 1716
    assert network.parameters.shape == (1716,)
    assert network.parameters.dtype == np.float32
    for name, geometry in numbers.GEOMETRY.items():
        layer = network.layers[name]
        assert layer.weights.shape == layer.weight_errors.shape == (geometry.weights,)
        assert layer.biases.shape == layer.bias_errors.shape == (geometry.biases,)
        for values in (layer.weights, layer.biases, layer.weight_errors, layer.bias_errors):
            assert np.isfinite(values).all()
        assert (layer.weight_errors > 0).all()
        assert (layer.bias_errors > 0).all()
        assert len(network.record["checks"][name]) == geometry.out_shape[0]
    assert network.record["paper"] == pictures.SHA256
    assert set(network.identified) <= set(range(16))
    assert not network.layers["C1"].weights.flags.writeable


def test_identified_maps_foretell_fig25():
    network = lenet98.recovered()
    assert len(network.identified) >= 15
    assert min(network.record["coverage"][layer] for layer in ("C1", "C3", "S4")) > 0.95
    rows = network.record["checks"]["C3"]
    assert min(rows[number]["fig25"] for number in network.identified) >= 0.96


def test_the_numbers_go_into_a_network():
    network = lenet98.recovered()
    net = Net(LENET5)
    before = net.flat()
    network.load(net)
    after = net.flat()
    np.testing.assert_array_equal(after[:1716], network.parameters)
    np.testing.assert_array_equal(after[1716:], before[1716:])
    np.testing.assert_array_equal(
        net.layers[0].kernels.detach().numpy().ravel(), network.layers["C1"].weights.astype("f4")
    )
    with pytest.raises(ValueError, match=r"60000 parameters, not into shape \(3,\)"):
        network.into(np.zeros(3, np.float32))


def test_numbers_need_no_torch():
    code = "import sys, lenet98; lenet98.recovered(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (lambda x, y: y, "edge, ink at\nbottom (100%)"),
        (lambda x, y: x - y, "edge, ink at\nupper right (100%)"),
        (lambda x, y: 4 - x**2 - y**2, "ink in the center (100%)"),
        (lambda x, y: x**2 - y**2, "horizontal stroke (100%)"),
        (lambda x, y: x * y, "falling stroke (100%)"),
        (lambda x, y: 1.0 * ((x == 1) & (y == -1)), "isolated pixels\n(88% not smooth)"),
    ],
)
def test_a_kernel_is_described_by_its_shape(kernel, words):
    y, x = np.mgrid[-2:3, -2:3].astype(float)
    assert kernels.described(kernel(x, y)) == words


FIG4 = (30105, 20637, 57216, 17367, 38133, 6787, 20005, 27266, 42838, 18792)
"""Training patterns of Fig. 4's first row: the paper says that they are of the test set."""

# --- the paper's figures ----------------------------------------------------------------------------------------------


def test_without_the_pdf_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(pictures.ENVIRONMENT, str(tmp_path / "none.pdf"))
    with pytest.raises(pictures.PaperError, match=r"none.pdf: cannot be read .* by PAPER_PDF"):
        pictures.paper_pdf()
    other = tmp_path / "other.pdf"
    other.write_bytes(b"%PDF-1.4")
    with pytest.raises(pictures.PaperError, match=r"other.pdf: not the PDF of http.*sha256"):
        pictures.paper_pdf(other)
    assert main(["--pdf", str(other), "--output", str(tmp_path / "numbers.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "numbers.json").exists()


def test_where_the_site_is_out_of_reach_one_line_says_what_to_do(tmp_path, monkeypatch):
    def out_of_reach(*_, **__):
        raise OSError("Name or service not known\nand more")

    monkeypatch.delenv(pictures.ENVIRONMENT, raising=False)
    monkeypatch.setattr(pictures, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr("pooch.retrieve", out_of_reach)
    with pytest.raises(pictures.PaperError, match="could not be fetched") as raised:
        pictures.paper_pdf()
    assert "\n" not in str(raised.value)
    assert "PAPER_PDF" in str(raised.value)


def test_figures_are_taken_from_the_paper(paper, mnist):
    taken = dict(pictures.figures(paper))
    assert taken["fig4"].shape == (100, 32, 32)
    assert taken["fig7"].shape == (10, 10, 32, 32)
    images, said = taken["fig8"]
    theirs = lenet98.fig8()
    assert said == list(zip(theirs.true, theirs.predicted_1998, strict=True))
    for image, index in zip(images, theirs.test_index, strict=True):
        drawn = 255.0 - image[2:-2, 2:-2]
        assert np.corrcoef(drawn.ravel(), mnist.test_images[index].ravel())[0, 1] > 0.99
    for image, index in zip(taken["fig4"], FIG4, strict=False):
        drawn = 255.0 - image[2:-2, 2:-2]
        assert np.corrcoef(drawn.ravel(), mnist.train_images[index].ravel())[0, 1] > 0.999
    assert [states.labels[0][1] for states in taken["fig13"]] == [4, 4, 4, 4, 3, 8, 4, 3, 3]
    assert taken["fig25"].answer == "2345"
    assert [states.answer for states in taken["fig26"]] == ["540", "1114", "678", "3514"]
    assert taken["fig25"].labels == ((0, 2, 0.157), (3, 3, 0.11), (4, 3, 0.11), (6, 4, 0.157), (8, 5, 0.125))


def test_the_numbers_give_the_states_of_fig13(paper):
    """From the inputs as they are displayed, through a `Net`."""
    net = Net(LENET5)
    lenet98.recovered().load(net)
    record = lenet98.recovered().record["display"]
    for states in pictures.fig13(paper):
        panel = Panel.of(states)
        with torch.no_grad():
            computed = net.states(torch.tensor(panel.input, dtype=torch.float32)[None, None])
        for layer, x in zip(("C1", "S2", "C3", "S4"), computed[1:5], strict=True):
            shown = (record["offset"] - panel.palette.middle(states.layers[layer])) / record["gain"]
            assert np.corrcoef(x[0].numpy().ravel(), shown.ravel())[0, 1] > 0.98, layer


def test_the_paper_gives_the_numbers_again(paper):
    """S2 and two maps of C3 from the states by C1's numbers; all of it is `python -m lenet98.trunk1998`."""
    network = lenet98.recovered()
    record = network.record["display"]
    display = Display(record["gain"], record["offset"])
    panels, c1 = [], []
    layer = network.layers["C1"]
    rows = np.column_stack((layer.weights.reshape(6, 25), layer.biases))
    for states in pictures.fig13(paper):
        panel = Panel.of(states)
        panels.append(panel)
        c1.append(c1_states(rows, panel.input).T.reshape(6, 28, 28))
    found = estimate.fit_subsampling(panels, "S2", np.stack(c1), display)
    coefficients = np.array([fit.parameters[0] for fit in found])
    np.testing.assert_allclose(coefficients, network.layers["S2"].weights, rtol=0.05)


def test_json_holds_what_the_command_writes():
    text = numbers.FILE.read_text()
    assert json.dumps(json.loads(text), indent=1) + "\n" == text
    assert squash(np.array(1.0)) == pytest.approx(1, abs=1e-3)
