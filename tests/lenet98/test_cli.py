"""The command as a user types it: what it prints, what it leaves, how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lenet98 import cli, training, weights
from lenet98.catalog import SPECS, named
from lenet98.data import mnist as mnist_module
from lenet98.data.fields import pad_and_scale
from lenet98.data.images import normalize_digit
from lenet98.data.preprocessing import crop, reduce
from lenet98.evaluation import least_rejected, wilson
from lenet98.loop import Trained
from lenet98.modern import ladder
from lenet98.networks import LENET5, PAPER, mlp
from lenet98.published import LeNet1Weights, LeNet5Weights, lenet1
from lenet98.readings import DEFAULT, FORMER, LITERAL, initial_parameters
from lenet98.recipes import RECIPES, recipe
from lenet98.training import Config, FormConfig

EQ8 = replace(DEFAULT, loss="eq8")
"""By which the networks with place-coded outputs are published."""
SHORT = ["--spec", "28x28-300-10", "--passes", "2", "--train-size", "1000"]


@pytest.fixture
def lenet98(capsys, tmp_path, monkeypatch):
    """Run the command in an empty folder; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture(autouse=True)
def loaded(mnist, monkeypatch):
    """The data, read once for all tests."""
    monkeypatch.setattr(mnist_module, "load", lambda data_dir=None: mnist)


def table(text):
    """The rows of numbers that a printed table holds, by their first cell."""
    return {line.split()[0]: line.replace(",", "").split()[1:] for line in text.splitlines() if line.strip()}


def test_describe_lenet5_beside_the_paper(lenet98):
    status, out, _ = lenet98("describe")
    rows = table(out)
    assert status == 0
    assert rows["C3"][:6] == ["16", "10x10", "1516", "1516", "151600", "151600"]
    assert rows["C1"][2:6] == ["156", "156", "122304", "122304"]
    assert rows["total"][:4] == ["60000", "60000", "340908", "340908"]
    assert rows["total"][5:] == ["401000", "60000", "60000"]


def test_describe_of_a_net_that_the_paper_counts_nowhere(lenet98):
    status, out, _ = lenet98("describe", "28x28-300-10")
    assert status == 0
    assert "paper" not in out
    assert table(out)["F2"] == ["10", "1x1", "3010", "3010", "3000", "3010"]


def test_trained_evaluated_and_predicted(lenet98, mnist, tmp_path):
    status, out, err = lenet98("train", *SHORT, "--seed", 3, "--out", "net.npz")
    assert status == 0, err
    config = Config(spec="28x28-300-10", reading=EQ8, etas=training.ETAS[:2], train_size=1000)
    expected = training.train(config, 3, mnist)
    parameters, found = weights.load("net.npz")
    assert found == config
    np.testing.assert_array_equal(parameters, expected.parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]  # the checkpoint is gone

    errors = expected.history[-1].test_errors
    low, high = wilson(errors, 10_000)
    line = f"test error {errors / 100:.2f}%: {errors:,} of 10,000 (95% interval {low:.2%} to {high:.2%}, Wilson)"
    assert line in out
    status, out, _ = lenet98("evaluate", "net.npz")
    assert status == 0
    assert line in out
    confusion = np.array([table(out)[str(digit)] for digit in range(10)], int)
    np.testing.assert_array_equal(confusion.sum(1), np.bincount(mnist.test_labels))
    assert 10_000 - np.trace(confusion) == errors

    np.save("one.npy", mnist.test_images[7])
    Image.fromarray(255 - mnist.test_images[7]).resize((280, 280), Image.Resampling.BOX).save("two.png")
    status, out, _ = lenet98("predict", "one.npy", "two.png", "--weights", "net.npz")
    one, two = (np.array(table(out)[name], float) for name in ("one.npy", "two.png"))
    assert status == 0
    assert one[0] == expected.distances[7].argmin()
    np.testing.assert_allclose(one[1:11], expected.distances[7], atol=0.02)
    assert one[11] == pytest.approx(np.diff(np.sort(expected.distances[7])[:2])[0], abs=0.02)
    np.testing.assert_allclose(two, one, atol=0.3)


def test_stopped_and_resumed_gives_the_same_bits(lenet98, monkeypatch, tmp_path):
    shown = cli._Bar.show

    def stop_in_pass_2(bar, progress):
        shown(bar, progress)
        if progress.pass_number == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli._Bar, "show", stop_in_pass_2)
    status, _, err = lenet98("train", *SHORT, "--out", "net.npz")
    assert status == 130
    assert err.splitlines()[-1] == "lenet98: stopped; the same command resumes from the last completed pass"
    assert not (tmp_path / "net.npz").exists()

    seen = []
    monkeypatch.setattr(cli._Bar, "show", lambda bar, progress: seen.append(progress.pass_number))
    assert lenet98("train", *SHORT, "--out", "net.npz")[0] == 0
    assert set(seen) == {2}
    assert lenet98("train", *SHORT, "--out", "whole.npz")[0] == 0
    assert (tmp_path / "net.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_stopped_in_the_first_pass(lenet98, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli._Bar, "show", stop)
    status, _, err = lenet98("train", *SHORT)
    assert (status, err) == (130, "lenet98: stopped; the same command starts over: no pass was completed\n")


def test_a_run_that_diverges_writes_no_weights(lenet98, monkeypatch, tmp_path):
    nothing = Trained(np.zeros(238_510, np.float32), [], np.zeros((0, 10), np.float32), True)
    monkeypatch.setattr(training, "train", lambda *_, **__: nothing)
    status, _, err = lenet98("train", *SHORT)
    assert status == 1
    assert err == "lenet98: diverged in pass 1: its loss is not finite; no weights are written\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reading"),
    [
        ([], DEFAULT),
        (["--reading", "literal"], LITERAL),
        (["--reading", "literal", "--loss", "eq9"], replace(LITERAL, loss="eq9")),
        (["--reading", "default"], DEFAULT),
    ],
)
def test_reading_and_loss(lenet98, monkeypatch, arguments, reading):
    configs = []

    def note(config, *_, **__):
        configs.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(training, "train", note)
    lenet98("train", *arguments)
    assert configs == [Config(reading=reading)]


@pytest.fixture
def begun(lenet98, monkeypatch):
    """Run `train` up to where training would begin; the configuration, and what is said."""
    configs = []

    def note(config, *_, **__):
        configs.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(training, "train", note)

    def begin(*arguments):
        said = lenet98("train", "--spec", *arguments)[1]
        return configs.pop(), said

    return begin


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "lenet5",
            "lenet5, reading: default (docs/readings.md), loss: eq9; 20 passes of 60,000 images of the form 28x28; "
            "as in its published runs, fig9/lenet5\n",
        ),
        (
            "lenet5 --loss eq8",
            "default (docs/readings.md), loss: eq8; 20 passes of 60,000 images of the form 28x28; not",
        ),
        ("lenet5 --reading literal", "literal (Appendix A to the letter), loss: eq8; 20 passes of 60,000 images"),
        ("lenet5 --passes 3", "loss: eq9; 3 passes of 60,000 images of the form 28x28; not as in its published runs, "),
        ("lenet5 --train-size 1000", "20 passes of 1,000 images of the form 28x28; not as in its published runs, "),
        (
            "lenet1",
            "lenet1, reading: default (docs/readings.md), loss: eq8; 80 passes of 60,000 images of the form 16x16; "
            "as in its published runs, fig9/16x16_lenet1\n",
        ),
        ("lenet4", "default (docs/readings.md), loss: eq8; 20 passes of 60,000 images of the form 28x28; as in "),
        (
            "lenet4 --reading default",
            "loss: eq9; 20 passes of 60,000 images of the form 28x28; not as in its published",
        ),
        ("20x20-10", "loss: eq8; 20 passes of 60,000 images of the form deslanted; as in its published runs, fig9/des"),
        ("lenet5-relu", "He's initial weights, which rectified units need (lenet98.modern.ladder.HE), loss: eq9; 20 "),
        ("lenet5-relu", "; as in its published runs, modern/alone/relu\n"),
        ("today", "(lenet98.modern.ladder.HE), loss: cross-entropy; 20 passes of 60,000 images of the form 28x28; as"),
        ("lenet5-relu --reading default", "reading: default (docs/readings.md), loss: eq9; 20 passes of 60,000"),
        ("lenet5-relu --reading default", "; not as in its published runs, modern/alone/relu\n"),
    ],
)
def test_what_is_trained_is_said(begun, arguments, said):
    assert said in begun(*arguments.split())[1]


@pytest.mark.parametrize("base", [DEFAULT, FORMER, LITERAL])
def test_what_he_s_initial_weights_are_put_in_is_said(monkeypatch, base):
    """Whatever `ladder.HE` starts from."""
    start = ("init_gain", "init_power", "fan_in_counts_bias", "bias_init")
    he = replace(base, **{field: getattr(ladder.HE, field) for field in start})
    monkeypatch.setattr(ladder, "HE", he)
    name = cli._in_words(base)
    assert cli._in_words(he) == f"{name}, but for He's initial weights, which rectified units need ({HE})"


HE = "lenet98.modern.ladder.HE"


@pytest.mark.parametrize("spec", SPECS)
def test_every_network_is_trained_as_its_published_runs(begun, spec):
    registry = pytest.importorskip("experiments.harness.registry")
    config, said = begun(spec)
    experiment = registry.named(RECIPES[spec].experiment)
    assert (type(config), config) == (type(experiment.config), experiment.config)
    assert config == recipe(spec) == recipe(named(spec))
    assert said.endswith(f"; as in its published runs, {experiment.name}\n")


def test_the_rows_of_the_paper_s_networks_are_the_recipes():
    """Every row of Fig. 9 that is a network of the paper alone, without distortions, and no other."""
    registry = pytest.importorskip("experiments.harness.registry")
    rows = {
        experiment.name
        for experiment in registry.members("fig9")
        if type(experiment.config) in (Config, FormConfig) and not experiment.config.distortions
    }
    assert rows == {RECIPES[spec.name].experiment for spec in PAPER}
    with pytest.raises(ValueError, match="28x28-7-10 has no published runs; there are those of lenet5, "):
        recipe(mlp(7))


def test_a_folder_that_cannot_be_written_is_found_before_training(lenet98, monkeypatch, tmp_path):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    monkeypatch.setattr(training, "train", lambda *_, **__: pytest.fail("training began"))
    status, out, err = lenet98("train", "--out", "net.npz")
    assert (status, out) == (2, "")
    assert err == "lenet98: net.npz: cannot be written (Permission denied); give another --out\n"


def test_all_networks_are_listed(lenet98):
    status, out, _ = lenet98("describe", "--list")
    assert status == 0
    assert {"lenet5", "lenet1", "28x28-300-10", "lenet5-relu", "today", "alake-padded"} <= set(out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["describe", "lenet6"], "no network called 'lenet6'; the nearest are lenet5, lenet4, lenet1; see lenet98"),
        (["train", "--spec", "lenet5-rel"], "the nearest are lenet5-relu, lenet5, "),
        (["compare", "alake-pad"], "the nearest are alake-padded, "),
        (["describe", "??"], "see lenet98 describe --list for all"),
        (["train", "--seed", "-1"], "-1 is negative"),
        (["train", "--seed", "x"], "invalid whole number value: 'x'"),
        (["train", "--passes", "0"], "0 is not positive"),
        (["train", "--passes", "21"], "--passes is 21; lenet5 has an eta for 20, so at most that many"),
        (["train", "--spec", "lenet1", "--passes", "81"], "--passes is 81; lenet1 has an eta for 80"),
        (["train", "--train-size", "499"], "--train-size is 499; give 500 to 60000"),
        (["train", "--train-size", "60001"], "--train-size is 60001"),
        (["train", "--out", "nowhere/net.npz"], "nowhere: no such folder"),
        (["train", "--out", "taken.npz"], "taken.npz: is there already"),
        (["train", "--out", ""], "--out: it is empty; give the name of a file"),
        (["train", "--out", "."], "is a folder; give --out a file in it"),
        (["train", "--out", "text.npz/net.npz"], "text.npz: is a file, not a folder"),
        (["train", "--out", "x" * 250], "cannot be written (File name too long)"),
        (["predict", "taken.npz", "--reject", "-1"], "-1 is not a number from 0 up"),
        (["predict", "taken.npz", "--reject", "nan"], "nan is not a number from 0 up"),
        (
            ["evaluate", "papre"],
            "no weights called 'papre'; there are paper, distorted, noise, sdnn, trunk1998, lenet1-paper, lenet4-paper",
        ),
        (["predict", "taken.npz", "--weights", "1998"], "no weights called '1998'; there are paper, "),
        (["evaluate", "missing.safetensors"], "missing.safetensors: cannot be read (No such file or directory)"),
        (["evaluate", "missing.npz"], "missing.npz: cannot be read (No such file or directory)"),
        (["evaluate", "text.npz"], "text.npz: is damaged or no .npz file of weights"),
        (["evaluate", "taken.npz"], "taken.npz: holds no weights"),
        (["evaluate", "array.npy"], "array.npy: is damaged or no .npz file of weights"),
        (["data", "--data-dir", "nowhere"], "nowhere: the folder given does not exist"),
    ],
)
def test_mistakes_cost_one_line(lenet98, tmp_path, arguments, message):
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "taken.npz", other=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    before = (tmp_path / "taken.npz").read_bytes()
    status, out, err = lenet98(*arguments)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert (tmp_path / "taken.npz").read_bytes() == before


@pytest.fixture
def untrained(tmp_path):
    path = tmp_path / "untrained.npz"
    weights.save(path, initial_parameters(LENET5, DEFAULT, np.random.default_rng(0)), Config())
    return path


def test_one_bad_image_does_not_cost_the_others(lenet98, mnist, untrained, tmp_path):
    np.save("good.npy", mnist.test_images[0])
    np.save("blank.npy", np.zeros((28, 28)))
    (tmp_path / "text.png").write_text("no image")
    status, out, err = lenet98("predict", "blank.npy", "good.npy", "text.png", "--weights", untrained)
    assert status == 2
    assert list(table(out.partition("\n\n")[0])) == ["image", "-" * 8, "good.npy"]
    assert "blank.npy: the image is blank" in err
    assert "text.png: not an image" in err
    assert err.splitlines()[-1] == "lenet98: 2 of 3 images could not be classified"


def test_every_kind_of_bad_array_costs_one_line(lenet98, mnist, untrained, tmp_path):
    (tmp_path / "zero.npy").touch()
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.savez(tmp_path / "archive.npz", mnist.test_images[0])
    (tmp_path / "archive.npz").rename("archive.npy")
    (tmp_path / "folder.npy").mkdir()
    np.save("objects.npy", np.array([[None]]))
    np.save("text.npy", np.array([["a"]]))
    np.save("nothing.npy", np.zeros((0, 28)))
    np.save("good.npy", mnist.test_images[0])
    bad = {
        "zero.npy": "is an empty file; save",
        "cut.npy": "is damaged or cut short; write",
        "archive.npy": "is no .npy file, whatever its name says; write",
        "folder.npy": "cannot be read (Is a directory)",
        "objects.npy": "holds Python objects; save",
        "text.npy": "holds text where numbers are needed; save",
        "nothing.npy": "without a single pixel, of shape (0, 28); save",
    }
    status, out, err = lenet98("predict", *bad, "good.npy", "--weights", untrained)
    assert status == 2
    assert "\ngood.npy: a " in out
    *lines, last = err.splitlines()
    assert last == "lenet98: 7 of 8 images could not be classified"
    for line, (name, message) in zip(lines, bad.items(), strict=True):
        assert line.startswith(f"lenet98: {name}: ")
        assert message in line


def test_a_photograph_is_read_and_what_was_left_out_is_said(lenet98, mnist):
    light = np.linspace(1, 0.6, 300)[:, None]
    sheet = np.pad(np.kron(mnist.test_images[0] / 255, np.ones((8, 8))), 38)
    sheet[10:13, 10:290] = sheet[287:290, 10:290] = sheet[10:290, 10:13] = sheet[10:290, 287:290] = 1
    noise = np.random.default_rng(0).normal(0, 5, (300, 300))
    Image.fromarray(np.clip(220 * light * (1 - 0.7 * sheet) + noise, 0, 255).astype(np.uint8)).save("photo.png")
    status, out, _ = lenet98("predict", "photo.png")
    assert status == 0
    assert table(out.partition("\n\n")[0])["photo.png"][0] == "7"
    assert "y0 to y9 say how far the image is from each digit" in out
    assert "\nphoto.png: a 7; " in out
    assert "photo.png: note: a frame around the digit was left out" in out


def test_a_low_score_is_rejected_or_called_uncertain(lenet98, mnist):
    scores = record_of_paper()["scores"]
    for number, uncertain in ((int(scores.argmin()), True), (int(scores.argmax()), False)):
        np.save("digit.npy", mnist.test_images[number])
        status, out, _ = lenet98("predict", "digit.npy")
        assert status == 0
        assert ("uncertain: 1.52% of the test digits score below 32.6" in out) == uncertain
        status, out, _ = lenet98("predict", "digit.npy", "--reject", 20)
        assert status == 0
        assert ("digit.npy: rejected: its score" in out) == uncertain
        assert (table(out.partition("\n\n")[0])["digit.npy"][0] == "-") == uncertain


def record_of_paper():
    """What the published record of `LeNet5Weights.PAPER` has of each test digit."""
    path = Path(__file__).parents[2] / "reference" / LeNet5Weights.PAPER.value / "seed-0000.npz"
    if not path.is_file():
        pytest.skip("a source distribution has no published results")
    with np.load(path) as file:
        return dict(file)


def test_what_is_uncertain_is_what_the_published_predictions_say(mnist):
    published = record_of_paper()
    wrong = published["predictions"] != mnist.test_labels
    low = published["scores"] < cli.UNCERTAIN
    assert low.mean() == cli.UNCERTAIN_SHARE == least_rejected(published["scores"], wrong)
    assert round(wrong[low].mean(), 2) == cli.UNCERTAIN_WRONG


def test_weights_of_another_shape_or_of_a_diverged_network_are_refused(lenet98, tmp_path):
    for name, parameters, message in [
        ("short", np.zeros(59_999, np.float32), r"lenet5 has 60000 float32 parameters, found float32 (59999,)"),
        ("double", np.zeros(60_000), "found float64"),
        ("nan", np.full(60_000, np.nan, np.float32), "some are not finite"),
    ]:
        weights.save(tmp_path / name, parameters, Config())
        status, _, err = lenet98("evaluate", name)
        assert status == 2
        assert message in err
    np.savez(tmp_path / "future.npz", weights=np.zeros(60_000, np.float32), config=np.array('{"depth": 3}'))
    status, _, err = lenet98("evaluate", "future.npz")
    assert (status, err.count("\n")) == (2, 1)
    assert "future.npz: not the weights of a network of this version" in err


def test_published_weights_are_known_by_name(lenet98):
    for arguments in ([], ["lenet5-paper"]):
        status, out, _ = lenet98("evaluate", *arguments)
        assert status == 0
        assert f"{LeNet5Weights.PAPER.meta['errors']} of 10,000" in out
    np.save("digit.npy", mnist_module.load().test_images[0])
    tables = [lenet98("predict", "digit.npy", "--weights", name)[1] for name in ("paper", "distorted")]
    assert tables[0] != tables[1]
    assert all("digit.npy: a 7; " in text for text in tables)


def test_digits_are_brought_to_the_form_that_the_network_learned(lenet98, mnist):
    np.save("digit.npy", mnist.test_images[0])
    status, out, _ = lenet98("predict", "digit.npy", "--weights", "lenet1-paper")
    assert status == 0
    shown = np.array(table(out.partition("\n\n")[0])["digit.npy"][1:11], float)
    digit = normalize_digit(mnist.test_images[0])
    seen = torch.from_numpy(pad_and_scale(reduce(crop(digit[None])), 28))
    expected = lenet1("paper")(seen).detach().numpy()
    np.testing.assert_allclose(shown, expected[0], rtol=0, atol=0.006)  # of two printed decimals
    status, out, _ = lenet98("evaluate", "lenet1-paper")
    assert status == 0
    assert f"{LeNet1Weights.PAPER.meta['errors']} of 10,000" in out


def test_weights_whose_reading_has_the_fields_of_older_versions_are_loaded(tmp_path):
    config = Config(reading=replace(DEFAULT, output_curvature="eq8"))
    older = json.dumps({**asdict(config), "spec": "lenet5"}).replace("output_curvature", "curvature_seed")
    assert "curvature_seed" in older
    np.savez(tmp_path / "older.npz", weights=np.ones(60_000, np.float32), config=np.array(older))
    assert weights.load(tmp_path / "older.npz")[1] == config


def test_results_of_experiments_are_weights(tmp_path):
    """Their configuration is written by the store, with fields sorted and 1.0 as 1."""
    identity = pytest.importorskip("experiments.harness.identity")
    config, parameters = Config(reading=LITERAL), np.ones(named("lenet5").parameters, np.float32)
    np.savez(tmp_path / "run.npz", weights=parameters, config=np.array(identity.canonical_json(config)), scores=[1.0])
    assert weights.load(tmp_path / "run.npz")[1] == config


def test_data_says_where(lenet98, tmp_path, monkeypatch):
    source = mnist_module.Source("the cache", tuple(tmp_path / name for name in mnist_module.MD5))
    monkeypatch.setattr(mnist_module, "where", lambda data_dir: source)
    status, out, _ = lenet98("data")
    assert status == 0
    assert out.startswith(f"MNIST is in the cache, {tmp_path}; ")
    assert "t10k-labels-idx1-ubyte  10000  MD5 27ae3e4e09519cfbb04c329615203637" in out


def test_citation_agrees_with_the_file_and_the_package(lenet98):
    status, out, _ = lenet98("cite")
    assert status == 0
    text = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    version = lenet98("--version")[1].split()[1]
    assert f"version = {{{version}}}" in out
    assert f"\nversion: {version}\n" in text
    for fact in ("10.1109/5.726791", "1998", "Gradient-Based Learning Applied to Document Recognition", "Haffner"):
        assert fact in out
        assert fact in text


def test_help_needs_no_heavy_library():
    code = "import sys, lenet98.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'argparse'" in modules
    assert not [name for name in ("torch", "numba", "scipy", "sklearn", "pooch") if f"'{name}'" in modules]


@pytest.mark.parametrize(("module", "command"), [("lenet98.cli", "cite"), ("experiments.__main__", "list")])
def test_a_reader_who_has_seen_enough_is_no_error(module, command):
    reader, writer = os.pipe()
    os.close(reader)
    code = f"import sys; from {module} import main; sys.exit(main([{command!r}]))"
    with open(writer, "wb") as closed:
        ended = subprocess.run([sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


# --- ended from outside -----------------------------------------------------------------------------------------------

BEGUN = "import sys; from lenet98 import cli; print('begun', flush=True); sys.exit(cli.main(sys.argv[1:]))"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.6, 1.0])
def test_a_signal_while_libraries_are_imported_costs_one_line(tmp_path, number, status, seconds):
    command = [sys.executable, "-c", BEGUN, "train", "--out", "net.npz", "--data-dir", "nowhere-yet"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as run:
        assert run.stdout.readline() == "begun\n"
        time.sleep(seconds)
        run.send_signal(number)
        _, err = run.communicate(timeout=60)
    if run.returncode == 2:
        pytest.skip("this machine had imported all by then")
    assert (run.returncode, err) == (status, "lenet98: stopped\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_what_to_do(lenet98, monkeypatch, number, status):
    monkeypatch.setattr(cli._Bar, "show", lambda *_: signal.raise_signal(number))
    before = signal.getsignal(number)
    ended, _, err = lenet98("train", *SHORT)
    assert (ended, err) == (status, "lenet98: stopped; the same command starts over: no pass was completed\n")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs_are_no_error(closed):
    command = f'exec "$0" -m lenet98.cli cite {closed}'
    ended = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
