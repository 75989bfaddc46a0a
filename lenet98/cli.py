"""The command `lenet98`.  What a subcommand needs is imported when it runs, so that help and mistakes are instant."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lenet98.command import Parser, check_place, mute, open_outputs, rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lenet98.data.photographs import Digit
    from lenet98.demo.page import Network
    from lenet98.loop import Progress, Trained
    from lenet98.readings import Reading
    from lenet98.training import Config


class Failure(Exception):
    """The command did what it could and has said why that is not all; ends with this exit status."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or a request to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns its exit status: 0, 1 for a run that diverged, 2 for bad arguments or files, 130 if stopped by Ctrl-C, or
    143 by SIGTERM.
    """
    open_outputs()
    with _stoppable():
        try:
            chosen = _parser().parse_args(arguments)
            chosen.run(chosen)
            sys.stdout.flush()
        except Failure as failure:
            print(f"lenet98: {failure}", file=sys.stderr)
            return failure.status
        except BrokenPipeError:
            mute()
        except (ValueError, OSError) as error:
            print(f"lenet98: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as stopped:
            print("lenet98: stopped", file=sys.stderr)
            return _status(stopped)
    return 0


def _status(stopped: KeyboardInterrupt) -> int:
    return stopped.status if isinstance(stopped, Stopped) else 130


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Stopped`, but end the command at once while it imports.

    An exception in the middle of an import comes out of torch or numpy as something else.
    """
    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # as under nohup
                before[number] = signal.signal(number, _stop)
    except ValueError:
        pass  # only the main thread hears signals
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with suppress(OSError):
                os.write(2, b"lenet98: stopped\n")
            os._exit(128 + number)
        frame = frame.f_back
    raise Stopped(number)


def _parser() -> argparse.ArgumentParser:
    parser = Parser("lenet98", description="LeNet-5 as published in 1998, with documented readings.")
    parser.add_argument("--version", action="version", version=f"lenet98 {metadata.version('lenet98')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        sub.set_defaults(run=run)
        return sub

    stored = "published ones by name, such as paper or distorted, or a file (default: %(default)s)"

    def data_dir(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--data-dir", type=Path, help="folder of the MNIST files, plain or .gz (or set LENET98_DATA)")

    sub = command("describe", describe, "print a network layer by layer, beside the paper's numbers")
    sub.add_argument("spec", nargs="?", default="lenet5", metavar="SPEC", help="its name (default: %(default)s)")
    sub.add_argument("--list", action="store_true", help="print the names of all networks instead")

    sub = command("compare", compare, "print networks and their training beside the paper's LeNet-5: is this LeNet-5?")
    sub.add_argument("names", nargs="+", metavar="NAME", help="a network, or a popular one such as alake-padded")

    data_dir(command("data", data, "find or fetch MNIST, verify it and say where it is"))

    sub = command("train", train, "train a network as Section III.B describes")
    sub.add_argument("--spec", default="lenet5", help="network (default: %(default)s)")
    sub.add_argument(
        "--reading",
        choices=("published", "default", "literal", "former"),
        default="published",
        help="how to fill in what the paper leaves open (default: as in the network's published runs)",
    )
    sub.add_argument("--loss", choices=("eq8", "eq9"), help="overrides the reading's")
    sub.add_argument("--seed", type=_count, default=0, help="random seed (default: %(default)s)")
    sub.add_argument("--passes", type=_positive, help="only the first so many (default: all)")
    sub.add_argument("--train-size", type=_positive, default=60_000, help="the first so many patterns (default: all)")
    data_dir(sub)
    sub.add_argument("--out", type=_file, help="file of the weights (default: SPEC-seed-SEED.npz)")

    sub = command("evaluate", evaluate, "count the errors of trained weights on the test set")
    sub.add_argument("weights", nargs="?", default="paper", metavar="WEIGHTS", help=stored)
    data_dir(sub)

    sub = command("predict", predict, "classify images of one digit each")
    sub.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image file, or .npy (height, width)")
    sub.add_argument("--weights", default="paper", help=stored)
    sub.add_argument("--reject", type=_score, metavar="SCORE", help="give no class where the score is below this")

    sub = command("demo", demo, "show LeNet-5 at work, in a browser on this machine or as one HTML file")
    sub.add_argument("--output", type=_file, help="write the page to this file and serve nothing")
    sub.add_argument("--port", type=_count, default=0, help="of localhost (default: a free one)")
    sub.add_argument("--weights", nargs="+", default=[], metavar="WEIGHTS", help="LeNet-5s to show, too")
    sub.add_argument(
        "--vote", nargs="+", type=Path, metavar="FILE", help="seeds that vote (default: the published ones)"
    )
    sub.add_argument(
        "--check", action="store_true", help="compare its answers with Python's, all test digits; needs node"
    )
    data_dir(sub)

    command("cite", cite, "print BibTeX entries of the paper and of this software")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _score(text: str) -> float:
    score = float(text)
    if not 0 <= score < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 up")
    return score


def _file(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give the name of a file, or leave it out")
    return Path(text)


_score.__name__ = "number"
_count.__name__ = _positive.__name__ = "whole number"  # for argparse's message on what is not a number


def describe(chosen: argparse.Namespace) -> None:
    from lenet98 import accounting
    from lenet98.modern.popular import POPULAR

    if chosen.list:
        print("\n".join([*_names(), "", "for lenet98 compare alone:", *POPULAR]))
        return
    _known(chosen.spec, _names())
    print(accounting.describe(chosen.spec))


def _names() -> list[str]:
    """Every network that can be described and trained."""
    from lenet98.catalog import SPECS

    return list(SPECS)


def _known(name: str, names: Iterable[str]) -> None:
    """ValueError unless `name` is one of `names`."""
    from difflib import get_close_matches

    names = list(names)
    if name not in names:
        nearest = ", ".join(get_close_matches(name, names, n=3, cutoff=0))
        raise ValueError(f"no network called {name!r}; the nearest are {nearest}; see lenet98 describe --list for all")


def compare(chosen: argparse.Namespace) -> None:
    from lenet98.modern.compare import side_by_side
    from lenet98.modern.popular import POPULAR

    names = [*_names(), *POPULAR]
    for name in chosen.names:
        _known(name, names)
    print(side_by_side(chosen.names))


def data(chosen: argparse.Namespace) -> None:
    from lenet98.data import mnist

    source = mnist.where(chosen.data_dir)
    print(f"MNIST is in {source.description}, {source.files[0].parent}; its four files are the originals:")
    for name, path in zip(mnist.MD5, source.files, strict=True):
        print(f"  {path.name}  {' x '.join(map(str, mnist.SHAPES[name]))}  MD5 {mnist.MD5[name]}")


# --- train ------------------------------------------------------------------------------------------------------------


def train(chosen: argparse.Namespace) -> None:
    from lenet98 import training, weights
    from lenet98.data import mnist

    _known(chosen.spec, _names())
    config = _config(chosen)
    out = chosen.out or Path(f"{config.spec.name}-seed-{chosen.seed:04d}.npz")
    _check_writable(out)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    loaded = mnist.load(chosen.data_dir)
    print(_told(config), flush=True)
    try:
        with _Bar() as bar:
            trained = training.train(config, chosen.seed, loaded, progress=bar.show, checkpoint=checkpoint)
    except KeyboardInterrupt as stopped:
        kept = "resumes from the last completed pass" if checkpoint.exists() else "starts over: no pass was completed"
        raise Failure(_status(stopped), f"stopped; the same command {kept}") from None
    if trained.history:
        _print_history(trained)
    if trained.diverged:
        checkpoint.unlink(missing_ok=True)
        raise Failure(1, f"diverged in pass {len(trained.history) + 1}: its loss is not finite; no weights are written")
    weights.save(out, trained.parameters, config)
    checkpoint.unlink(missing_ok=True)
    last = trained.history[-1]
    print(f"test error {rate(last.test_errors, last.test_patterns)}\nweights in {out}; see lenet98 evaluate {out}")


def _check_writable(out: Path) -> None:
    """ValueError unless the weights, and the checkpoint beside them, can be written when they are there."""
    check_place(out, "--out")
    if out.exists():
        raise ValueError(f"{out}: is there already; delete it or give another --out")
    trial = out.with_name(f".{out.name}.checkpoint.{os.getpid()}")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise ValueError(f"{out}: cannot be written ({error.strerror}); give another --out") from error


def _told(config: Config) -> str:
    """How the network is trained, and whether its published runs are."""
    from lenet98.recipes import RECIPES
    from lenet98.training import form

    published = RECIPES[config.spec.name]
    loss = "cross-entropy" if config.spec.output.kind == "softmax" else config.reading.loss
    how = f"{len(config.etas)} passes of {config.train_size:,} images of the form {form(config)}"
    same = "as" if config == published.config else "not as"
    return (
        f"{config.spec.name}, reading: {_in_words(config.reading)}, loss: {loss}; {how}; "
        f"{same} in its published runs, {published.experiment}"
    )


def _in_words(reading: Reading) -> str:
    """Which reading it is, whatever its loss."""
    from dataclasses import replace

    from lenet98.modern.ladder import HE
    from lenet98.readings import DEFAULT, FORMER, LITERAL

    names = {
        "default (docs/readings.md)": DEFAULT,
        "former (the default before; docs/readings.md)": FORMER,
        "literal (Appendix A to the letter)": LITERAL,
    }
    start = ("init_gain", "init_power", "fan_in_counts_bias", "bias_init")
    names |= {
        f"{name}, but for He's initial weights, which rectified units need (lenet98.modern.ladder.HE)": replace(
            known, **{field: getattr(HE, field) for field in start}
        )
        for name, known in names.items()
    }
    return next(name for name, known in names.items() if replace(known, loss=reading.loss) == reading)


def _config(chosen: argparse.Namespace) -> Config:
    from dataclasses import replace

    from lenet98.catalog import named
    from lenet98.readings import DEFAULT, FORMER, LITERAL
    from lenet98.recipes import recipe
    from lenet98.sdlm import CURVATURE_PATTERNS

    published = recipe(named(chosen.spec))
    reading = {"published": published.reading, "default": DEFAULT, "literal": LITERAL, "former": FORMER}[chosen.reading]
    if chosen.passes is not None and chosen.passes > len(published.etas):
        raise ValueError(
            f"--passes is {chosen.passes}; {chosen.spec} has an eta for {len(published.etas)}, so at most that many"
        )
    if not CURVATURE_PATTERNS <= chosen.train_size <= 60_000:
        raise ValueError(f"--train-size is {chosen.train_size}; give {CURVATURE_PATTERNS} to 60000")
    return replace(
        published,
        reading=replace(reading, loss=chosen.loss) if chosen.loss else reading,
        etas=published.etas[: chosen.passes],
        train_size=chosen.train_size,
    )


class _Bar:
    """A progress bar over all passes, with the error of the pass so far and the time left."""

    def __enter__(self) -> _Bar:
        self._bar: Any = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        from tqdm import tqdm

        before = (progress.pass_number - 1) * progress.total
        if self._bar is None:
            self._bar = tqdm(total=progress.passes * progress.total, initial=before, unit=" patterns", unit_scale=True)
        self._bar.set_description(f"pass {progress.pass_number}/{progress.passes}", refresh=False)
        self._bar.set_postfix_str(f"error {(progress.errors or 0) / progress.done:.2%}", refresh=False)
        self._bar.update(before + progress.done - self._bar.n)


def _print_history(trained: Trained) -> None:
    from tabulate import tabulate

    rows = [
        {
            "pass": entry.number,
            "eta": f"{entry.eta:g}",
            "rates": f"{entry.rate_min:.1e} .. {entry.rate_max:.1e}",
            "training error, %": 100 * entry.train_errors / entry.train_patterns,
            "test error, %": 100 * entry.test_errors / entry.test_patterns,
        }
        for entry in trained.history
    ]
    print(tabulate(rows, "keys", floatfmt=".2f", disable_numparse=[1]))


# --- evaluate, predict ------------------------------------------------------------------------------------------------


def evaluate(chosen: argparse.Namespace) -> None:
    import numpy as np
    from tabulate import tabulate

    from lenet98 import evaluation, published, weights
    from lenet98.data import mnist

    path = published.find(chosen.weights)
    parameters, config = weights.load(path)
    loaded = mnist.load(chosen.data_dir)
    distances, labels = _distances(parameters, config, loaded.test_images), loaded.test_labels
    predictions = evaluation.predict(distances)
    wrong = evaluation.errors(predictions, labels)
    print(f"{path}: {config.spec.name}\ntest error {rate(wrong, len(labels))}")
    rejected = evaluation.rejection_at(distances, labels)
    least = np.append(np.sort(evaluation.rejection_score(distances)), np.inf)[round(rejected * len(labels))]
    print(f"rejected for 0.5% error on the rest: {rejected:.2%}, those of a score below {least:.2f}\n")
    rows = evaluation.confusion(predictions, labels).tolist()
    print(tabulate(rows, ["true \\ given", *range(10)], showindex=True, tablefmt="simple"))


def predict(chosen: argparse.Namespace) -> None:
    import numpy as np
    from tabulate import tabulate

    from lenet98 import evaluation, published, weights

    path = published.find(chosen.weights)
    parameters, config = weights.load(path)
    known = path == published.LeNet5Weights.PAPER.path
    paths, digits = [], []
    for image in chosen.images:
        try:
            digits.append(_digit(image))
            paths.append(image)
        except ValueError as error:
            print(f"lenet98: {error}", file=sys.stderr)
    if digits:
        distances = _distances(parameters, config, np.stack([digit.image for digit in digits]))
        scores = evaluation.rejection_score(distances).tolist()
        classes = evaluation.predict(distances).tolist()
        least = chosen.reject or 0
        rows = [
            [name, "-" if score < least else digit, *row, score]
            for name, digit, row, score in zip(paths, classes, distances.tolist(), scores, strict=True)
        ]
        print(tabulate(rows, ["image", "class", *(f"y{i}" for i in range(10)), "score"], floatfmt=".2f"))
        print(f"\n{EXPLANATION}\n")
        for name, digit, row, score, found in zip(paths, classes, distances, scores, digits, strict=True):
            second = int(np.argsort(row, kind="stable")[1])
            print(f"{name}: {_verdict(digit, second, score, chosen.reject, known=known)}")
            for note in found.notes:
                print(f"{name}: note: {note}")
    if len(digits) < len(chosen.images):
        bad = len(chosen.images) - len(digits)
        raise Failure(2, f"{bad} of {len(chosen.images)} images could not be classified")


EXPLANATION = """\
y0 to y9 say how far the image is from each digit, as the network sees it; the least is the class.
score is how much further the second nearest is: the smaller, the more doubtful.  It sees digits only:
whatever the image shows is given a class."""

UNCERTAIN = 32.6
"""Score below which the test digits of `LeNet5Weights.PAPER` are rejected for 0.5% error on the rest (Fig. 10)."""
UNCERTAIN_SHARE = 0.0152
"""Of the test digits, those of a lower score."""
UNCERTAIN_WRONG = 0.38
"""Of those, the ones misclassified."""


def _digit(path: Path) -> Digit:
    """The digit of a file; an array holds it as it is, an image may be a photograph."""
    from lenet98.data.images import normalize_digit, read_image
    from lenet98.data.photographs import Digit, find_digit

    image = read_image(path)
    try:
        return Digit(normalize_digit(image), ()) if path.suffix == ".npy" else find_digit(image)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _verdict(digit: int, second: int, score: float, reject: float | None, *, known: bool) -> str:
    if reject is not None and score < reject:
        return f"rejected: its score {score:.2f} is below {reject:g}; {digit} is nearest, {second} next"
    text = f"a {digit}; {second} is next, {score:.2f} further away"
    if known and score < UNCERTAIN:
        text += (
            f"\n{'':4}uncertain: {UNCERTAIN_SHARE:.2%} of the test digits score below {UNCERTAIN:g}, "
            f"and {UNCERTAIN_WRONG:.0%} of those are misread"
        )
    return text


def _distances(parameters: NDArray[np.float32], config: Config, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """y_i of every image of 28x28, brought to the form that the network learned; shape (n, classes)."""
    from lenet98.data.preprocessing import FORMS
    from lenet98.online.engine import Engine
    from lenet98.training import distances, form

    return distances(Engine(config.spec, config.reading), parameters, FORMS[form(config)](images))


# --- demo -------------------------------------------------------------------------------------------------------------


def demo(chosen: argparse.Namespace) -> None:
    from lenet98 import published
    from lenet98.data import mnist
    from lenet98.demo import page
    from lenet98.demo.server import address, server

    if chosen.output:
        check_place(chosen.output, "--output")
    running = None if chosen.output or chosen.check else server(chosen.port)
    shown, voters = page.published()
    shown += [page.own(published.find(which)) for which in chosen.weights]
    voters = voters if chosen.vote is None else [page.voter(path) for path in chosen.vote]
    loaded = mnist.load(chosen.data_dir)
    built = page.build(loaded, shown, voters)
    if chosen.check:
        _compare(built, shown, loaded.test_images)
    if chosen.output:
        from lenet98.files import atomic

        with atomic(chosen.output) as file:
            file.write(built)
        print(f"{chosen.output}: {len(built):,} bytes; open it in any browser of 2023 or newer")
    if running is not None:
        running.page = built
        print(f"LeNet-5 at work: {address(running)}\nCtrl-C ends it", flush=True)
        with running:
            running.serve_forever()


def _compare(built: bytes, shown: Sequence[Network], images: NDArray[np.uint8]) -> None:
    """Print how far the page's distances are from Python's; Failure where an answer differs."""
    from lenet98.demo import check

    for number, network in enumerate(shown):
        ours, page = check.by_python(network, images), check.by_javascript(built, images, "networks", number)
        differ = int((ours.argmin(axis=1) != page.argmin(axis=1)).sum())
        line = f"{network.title}: {differ} of {len(images):,} answers differ, distances by {abs(ours - page).max():.1e}"
        if differ:
            raise Failure(1, line)
        print(line, flush=True)


def cite(_: argparse.Namespace) -> None:
    from lenet98.citation import bibtex

    print(bibtex(), end="")


if __name__ == "__main__":
    sys.exit(main())
