"""The page: its JavaScript under node against Python, digit by digit; what is in the file; the command for it."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from importlib.resources import files
from threading import Thread
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from lenet98 import cli, evaluation, weights
from lenet98.data import mnist as mnist_module
from lenet98.data.fields import LEVELS, pad_and_scale
from lenet98.data.fig8 import fig8
from lenet98.data.images import in_field
from lenet98.data.preprocessing import BOX
from lenet98.data.strings import Strings
from lenet98.decoding import decode
from lenet98.demo import check, page
from lenet98.demo import server as serving
from lenet98.modules import Net
from lenet98.networks import LENET1
from lenet98.online.engine import Engine
from lenet98.prototypes import bitmaps
from lenet98.published import BLANK_PENALTY, SDNN_BLANK, SDNN_J, LeNet5Weights
from lenet98.readings import DEFAULT, initial_parameters
from lenet98.training import Config, FormConfig, distances
from tests.lenet98.test_decoding import FIGURES, penalties

needs_node = pytest.mark.skipif(check.node() is None, reason="node is not here to run the page's JavaScript")


@pytest.fixture(scope="module")
def published():
    return page.published()[0][0]


@pytest.fixture(scope="module")
def voter(tmp_path_factory):
    """A network that only votes: the published one under another seed's name."""
    path = tmp_path_factory.mktemp("voters") / "seed-0007.npz"
    weights.save(path, *weights.load(LeNet5Weights.PAPER.path))
    return page.voter(path)


@pytest.fixture(scope="module")
def built(mnist, published, voter):
    return page.build(mnist, [published], [page.voter(published.path), voter])


def javascript(body, given=None):
    """What `body` returns under node; it knows `lenet5` and the JSON `given`, and may await."""
    library = files("lenet98.demo") / "lenet5.js"
    script = f"""
      const lenet5 = require({json.dumps(str(library))});
      const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
      (async () => {{ {body} }})().then((found) => console.log(JSON.stringify(found)));
    """
    ended = subprocess.run(["node", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


# --- the networks -----------------------------------------------------------------------------------------------------


@needs_node
def test_javascript_is_python_on_test_digits(built, mnist, published):
    """The first thousand; `lenet98 demo --check` compares all 10,000."""
    images = mnist.test_images[:1000]
    ours, theirs = check.by_python(published, images), check.by_javascript(built, images)
    assert np.array_equal(ours.argmin(axis=1), theirs.argmin(axis=1))
    assert abs(ours - theirs).max() < 1e-9


@needs_node
def test_javascript_is_python_for_a_voter(built, mnist, voter):
    images = mnist.test_images[:50]
    theirs = check.by_javascript(built, images, "voters", 1)
    assert abs(check.by_python(voter, images) - theirs).max() < 1e-9


def test_rounding_changes_no_answer_of_what_is_shown(mnist, published):
    exact, config = weights.load(published.path)
    before = distances(Engine(config.spec, config.reading), exact, mnist.test_images)
    after = published.distances(mnist.test_images)
    assert np.array_equal(evaluation.predict(before), evaluation.predict(after))
    assert 0 < abs(before - after).max() < 3
    assert 0 < abs(exact - published.rounded.parameters).max() < 0.02


def test_a_voter_is_right_nearly_as_often(mnist, voter):
    found = evaluation.predict(voter.distances(mnist.test_images[:2000]))
    assert evaluation.errors(found, mnist.test_labels[:2000]) < 50
    assert len(np.unique(voter.rounded.coded[2].codes)) == 7  # 3 bits


@needs_node
def test_a_wide_field_replicates_the_network(built, mnist, published):
    images = mnist.test_images[:3]
    found = javascript(
        """
        const network = await lenet5.network(given.data, given.data.networks[0]);
        const field = lenet5.composedField(given.images.map((image) => Uint8Array.from(image)), given.gap);
        const found = lenet5.distances(network, field);
        return {field: [...field.data], width: field.width, outputs: found.width, distances: [...found.data]};
        """,
        {"data": page.contents(built), "images": images.reshape(3, -1).tolist(), "gap": 2},
    )
    assert found["width"] % 4 == 0
    assert found["outputs"] == (found["width"] - 32) // 4 + 1
    field = np.array(found["field"]).reshape(32, -1)
    ink = [image[:, image.any(axis=0).nonzero()[0]] for image in images]
    empty = np.zeros((28, 2), np.uint8)
    row = LEVELS[np.concatenate([ink[0], empty, ink[1], empty, ink[2]], axis=1)]
    left = (found["width"] - row.shape[1]) // 2
    assert np.array_equal(field[2:30, left : left + row.shape[1]], row)
    assert np.allclose(field.sum(), row.sum() + LEVELS[0] * (field.size - row.size))
    net = Net(published.rounded.spec, published.reading).double()
    net.load_flat(published.rounded.parameters)
    ours = net(torch.tensor(field)[None, None]).detach().numpy()
    assert np.allclose(ours.ravel(), found["distances"], rtol=0, atol=1e-9)
    window = net(torch.tensor(field[None, None, :, 8:40])).detach().numpy()
    assert np.allclose(ours[0, :, 0, 2], window[0])


@needs_node
@pytest.mark.parametrize(("number", "unit"), [(1, (2, 5, 7)), (3, (4, 0, 9)), (4, (15, 2, 1)), (5, (7, 0, 0))])
def test_what_a_unit_reads(built, published, mnist, number, unit):
    """Pixels and maps of S2 whose change would change the unit."""
    found = javascript(
        """
        const network = await lenet5.network(given.data, given.data.networks[0]);
        return lenet5.reads(network, given.number, ...given.unit).map(({maps, box}) => ({maps: [...maps], box}));
        """,
        {"data": page.contents(built), "number": number, "unit": unit},
    )
    net = Net(published.rounded.spec, published.reading).double()
    states = net.states(torch.from_numpy(pad_and_scale(mnist.test_images[:1])).double().requires_grad_())
    below = states[:number]
    gradients = torch.autograd.grad(states[number][(0, *unit)], below)
    for gradient, read in zip(gradients, found, strict=True):
        maps, rows, columns = (np.unique(axis) for axis in gradient[0].numpy().nonzero())
        assert maps.tolist() == sorted(read["maps"])
        assert [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1] == read["box"]


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawings():
    """Strokes of a pen, and what JavaScript makes of them: the ink, a digit, a string."""
    rng = np.random.default_rng(1)
    strokes = [rng.uniform([20, 20], [260, 90], (rng.integers(1, 7), 2)).round(1).tolist() for _ in range(12)]
    strokes += [[[30, 10], [36, 95]], [[10, 50], [290, 52], [280, 62]]]  # as upright as a 1, as flat as a dash
    return strokes, javascript(
        """
        return given.map((stroke) => {
          const ink = lenet5.drawn(new Float64Array(300 * 110), 110, 300, stroke, 7.5);
          const string = lenet5.writtenField(ink, 110, 300);
          return {ink: [...ink], digit: [...lenet5.normalized(ink, 110, 300)], string: [...string.data]};
        });
        """,
        strokes,
    )


@needs_node
def test_a_drawing_is_normalized_as_in_python(drawings):
    for found in drawings[1]:
        ink = np.array(found["ink"], np.float32).reshape(110, 300)
        digit = np.reshape(found["digit"], (28, 28))
        assert abs(in_field(ink).astype(int) - digit).max() <= 1  # where half a level is rounded the other way
        assert digit.max() == 255


@needs_node
def test_a_pen_draws_ink_within_its_radius(drawings):
    for stroke, found in zip(*drawings, strict=True):
        ink = np.array(found["ink"]).reshape(110, 300)
        x, y = np.round(stroke[0]).astype(int)
        assert ink[min(y, 109), min(x, 299)] == 1
        assert 0 < ink.mean() < 0.5
        rows, columns = ink.nonzero()
        (left, top), (right, bottom) = np.min(stroke, axis=0) - 8.5, np.max(stroke, axis=0) + 8.5
        assert top <= rows.min() <= rows.max() <= bottom
        assert left <= columns.min() <= columns.max() <= right


@needs_node
def test_a_string_is_made_20_pixels_high_as_in_python(drawings):
    for found in drawings[1]:
        ink = np.array(found["ink"], np.float32).reshape(110, 300)
        rows, columns = (np.flatnonzero((ink > 0.05).any(axis=axis)) for axis in (1, 0))
        box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = min(BOX / box.shape[0], 240 / box.shape[1])
        height, width = (max(1, round(scale * side)) for side in box.shape)
        string = np.asarray(Image.fromarray(box).resize((width, height), Image.Resampling.HAMMING))
        wide = max(32, 32 + 4 * -(-(width + 28 - 32) // 4))
        field = np.full((32, wide), LEVELS[0])
        top, left = (32 - height) // 2, (wide - width) // 2
        field[top : top + height, left : left + width] = LEVELS[np.rint(255 * string / string.max()).astype(int)]
        assert abs(field - np.array(found["string"]).reshape(32, -1)).max() < 1.01 * (LEVELS[1] - LEVELS[0])


@needs_node
def test_an_empty_drawing_is_none():
    script = (
        "const ink = new Float64Array(100); return [lenet5.normalized(ink, 10, 10), lenet5.writtenField(ink, 10, 10)]"
    )
    assert javascript(script) == [None, None]


# --- strings ----------------------------------------------------------------------------------------------------------


@needs_node
def test_strings_are_decoded_as_in_python():
    rng = np.random.default_rng(2)
    cases = [(rng.exponential(1, (rng.integers(1, 12), 10)), float(rng.exponential(0.3))) for _ in range(40)]
    cases += [(penalties(FIGURES[string]), 1.0) for string in FIGURES]
    given = [{"rows": np.where(np.isinf(rows), 1e300, rows).tolist(), "blank": blank} for rows, blank in cases]
    found = javascript("return given.map(({rows, blank}) => lenet5.decoded(rows, blank))", given)
    for (rows, blank), theirs in zip(cases, found, strict=True):
        ours = decode(rows, blank)
        assert (list(ours.digits), list(ours.path)) == (theirs["digits"], theirs["path"])
        assert theirs["penalty"] == pytest.approx(ours.penalty)
    assert ["".join(map(str, each["digits"])) for each in found[-5:]] == list(FIGURES)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_page_is_one_small_file_that_asks_for_nothing(built):
    text = built.decode()
    assert len(built) < 600_000
    assert not re.search(r"https?:|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|\bimport\b|\ssrc=|url\(", text)
    assert re.findall(r'href="([^"]*)"', text) == ["data:,"]
    assert "default-src 'none'" in text
    assert "/*{" not in text


def test_the_page_holds_what_it_says(built, mnist, published):
    content = page.contents(built)
    digits = content["digits"]
    index = np.array(digits["index"])
    assert digits["first"] > 1000
    assert page.LIMIT - 20_000 < len(built) < page.LIMIT
    assert np.array_equal(index[digits["fig8"]], fig8().test_index)
    assert digits["answers1998"] == "".join(map(str, fig8().predicted_1998))
    assert digits["labels"] == "".join(map(str, mnist.test_labels[index]))
    wrong = evaluation.predict(published.distances(mnist.test_images)) != mnist.test_labels
    assert index[digits["mistakes"][0]].tolist() == np.flatnonzero(wrong).tolist()
    assert content["networks"][0]["errors"] == wrong.sum()
    assert content["networks"][0]["threshold"] == pytest.approx(cli.UNCERTAIN, abs=0.2)
    assert content["voters"][0] == {"title": "lenet5-paper", "network": 0}
    assert content["voters"][1]["title"] == "seed 7"
    assert len(content["prototypes"]) == 840
    assert content["prototypes"][:84].count("#") == (bitmaps()[0] > 0).sum()


@needs_node
def test_the_digits_are_those_of_mnist(built, mnist):
    found = javascript(
        "return [...(await lenet5.unpacked(given.images)).subarray(784 * 5, 784 * 6)]", page.contents(built)["digits"]
    )
    place = page.contents(built)["digits"]["index"][5]
    assert np.array_equal(np.reshape(found, (28, 28)), mnist.test_images[place])


def test_what_does_not_fit_is_left_out(mnist, published, voter, monkeypatch):
    found = published.distances(mnist.test_images)
    monkeypatch.setattr(page.Network, "distances", lambda self, images: found)
    monkeypatch.setattr(page, "LIMIT", 330_000)
    content = page.contents(page.build(mnist, [published], [voter] * 9))
    assert page.FEWEST <= content["digits"]["first"] < page.FEWEST + 200
    assert 2 <= len(content["voters"]) < 9
    monkeypatch.setattr(page, "LIMIT", 100_000)
    with pytest.raises(ValueError, match="must have less than 100,000; give --weights fewer files"):
        page.build(mnist, [published], [voter])


def test_a_network_of_strings_is_told_from_others(tmp_path, published):
    def described(reading):
        path = tmp_path / "strings.npz"
        weights.save(path, weights.load(published.path)[0], Config(reading=reading, strings=Strings()))
        return page.own(path).described()

    told = [described(replace(DEFAULT, j=SDNN_J)), described(DEFAULT), published.described()]
    assert [one["strings"] for one in told] == [True, True, False]
    assert [one["blank"] for one in told] == [SDNN_BLANK, BLANK_PENALTY, BLANK_PENALTY]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(spec=LENET1), r"other.npz: holds lenet1; the page shows LeNet-5"),
        (FormConfig(form="16x16"), r"other.npz: learned digits of 16x16; the page shows"),
    ],
)
def test_only_lenet5_on_regular_digits_is_shown(tmp_path, config, message):
    path = tmp_path / "other.npz"
    weights.save(path, initial_parameters(config.spec, DEFAULT, np.random.default_rng(0)), config)
    with pytest.raises(ValueError, match=message):
        page.own(path)


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=4000", "--dump-dom"),
)
TYPED = """<script>
const typed = (place, ...keys) => {
  for (const key of keys) document.querySelector(place).dispatchEvent(new KeyboardEvent("keydown", {key}));
};
setTimeout(() => {
  typed("#pad", " ", ...Array(20).fill("ArrowDown"), " ");
  typed(".layer:nth-child(4) canvas", "ArrowRight", "ArrowDown", "PageDown");
}, 1500);
</script>"""
"""A 1 drawn by the keyboard, and a unit of C3 chosen by it."""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is here to open the page")
def test_in_a_browser(built, tmp_path):
    (tmp_path / "demo.html").write_bytes(built + TYPED.encode())
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "demo.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout

    def text(name):
        (found,) = re.findall(rf'id="{name}"[^>]*>(.*?)</(?:p|h3|h2|ul)>', shown, re.DOTALL)
        return re.sub(r"<[^>]*>", " ", found)

    assert 'id="trouble" class="panel" role="alert" hidden' in shown
    assert text("answer") == "1"
    assert text("verdict").startswith("Accepted: ")
    assert text("source").startswith("Your drawing")
    assert text("tally") == "2 of 2 say 1."
    assert text("unit").startswith("C3, map 1, row 1, column 1: ")
    assert text("reading").startswith("It reads maps 1, 2 and 3 of S2. It sees rows 2 to 15 and columns 2 to 15")
    assert text("string").split()[:2] == ["It", "reads"]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lenet98(capsys, tmp_path, monkeypatch, mnist):
    """Run `lenet98 demo` on a page made beforehand; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist_module, "load", lambda data_dir=None: mnist)
    monkeypatch.setattr(page, "build", lambda data, shown, voters: f"{[each.title for each in shown]}".encode())

    def run(*arguments):
        return cli.main(["demo", *map(str, arguments)]), *capsys.readouterr()

    return run


SHOWN = ["LeNet-5", "LeNet-5 [dist]", "For strings", "Trunk of 1998"]


def test_output_is_written(lenet98, tmp_path):
    own = tmp_path / "mine.npz"
    weights.save(own, *weights.load(LeNet5Weights.PAPER.path))
    status, out, _ = lenet98("--output", "demo.html", "--weights", own)
    written = (tmp_path / "demo.html").read_bytes()
    assert (status, written.decode()) == (0, str([*SHOWN, "mine"]))
    assert out.startswith(f"demo.html: {len(written)} bytes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "missing/demo.html"], "lenet98: missing: no such folder; make it or give another --output\n"),
        (["--output", "."], "lenet98: .: is a folder; give --output a file in it\n"),
        (["--weights", "none.npz"], "lenet98: none.npz: cannot be read"),
        (["--port", "99999"], "lenet98: port 99999 cannot be had"),
    ],
)
def test_mistakes_are_told_in_a_line(lenet98, arguments, message):
    status, out, told = lenet98(*arguments)
    assert (status, out) == (2, "")
    assert told.startswith(message)
    assert told.count("\n") == 1


def test_a_port_in_use_is_told(lenet98):
    with serving.server() as other:
        status, _, told = lenet98("--port", other.server_port)
    assert status == 2
    assert "leave --port out for a free one" in told


def test_the_page_is_served_to_this_machine_only():
    with serving.server() as running:
        running.page = b"the page"
        assert running.server_address[0] == "127.0.0.1"
        Thread(target=running.serve_forever, daemon=True).start()
        with urlopen(serving.address(running)) as answer:
            assert (answer.read(), answer.headers.get_content_type()) == (b"the page", "text/html")
        with pytest.raises(HTTPError, match="404"):
            urlopen(serving.address(running) + "other")
        running.shutdown()


def test_the_address_is_said_and_an_interrupt_ends_it(lenet98, monkeypatch):
    def interrupted(self):
        assert self.page.decode() == str(SHOWN)
        raise KeyboardInterrupt

    monkeypatch.setattr(serving.Server, "serve_forever", interrupted)
    status, out, told = lenet98()
    assert (status, told) == (130, "lenet98: stopped\n")
    assert re.match(r"LeNet-5 at work: http://127\.0\.0\.1:\d+/\n", out)


@needs_node
def test_check_compares_all_of_it(lenet98, built, published, mnist, monkeypatch):
    monkeypatch.setattr(page, "published", lambda: ([published], []))
    monkeypatch.setattr(page, "build", lambda data, shown, voters: built)
    monkeypatch.setattr(check, "by_python", lambda network, images, asked=check.by_python: asked(network, images[:20]))
    monkeypatch.setattr(
        check,
        "by_javascript",
        lambda built, images, *which, asked=check.by_javascript: asked(built, images[:20], *which),
    )
    status, out, _ = lenet98("--check")
    assert status == 0
    assert out.startswith("LeNet-5: 0 of 10,000 answers differ")
