"""LeNet-5 as published in 1998 (LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11)), with documented readings.

The published run in five lines (two minutes on one core):

    import lenet98
    data = lenet98.load_mnist()
    run = lenet98.train(lenet98.Config(), seed=0, data=data)
    wrong = lenet98.errors(lenet98.predict(run.distances), data.test_labels)
    print(f"{wrong} errors on {len(data.test_labels)} test digits")

What is offered here:

Networks
    LENET5      the network of Fig. 2 and Table I, as data
    LENET1      LeNet-1, the paper's small convolutional network (III.C.7)
    LENET4      LeNet-4 (III.C.8)
    mlp         a fully connected network of the paper, by the sizes of its layers (III.C.5 and 6)
    Spec        a network as a tuple of layers; the kinds of layers are in `lenet98.specs`
    Net         a spec as a `torch.nn.Module`
    Squash      the squashing function A tanh(S a) as a layer (App. A)
    describe    a network layer by layer: maps, parameters and connections, beside the paper's
    lenet5      LeNet-5 as a `Net`, trained if `weights` says so: a name such as "paper", a member or a file
    lenet1      the same of LeNet-1
    lenet4      the same of LeNet-4
    LeNet5Weights  trained LeNet-5s that come with the package; `.meta` says how each was made and what it errs
    LeNet1Weights  a trained LeNet-1
    LeNet4Weights  a trained LeNet-4
    recovered   C1 to S4 of a LeNet-5 of 1998 with their errors, from the states that the paper's Fig. 13 shows

Readings of the paper
    Reading     a choice for every point that the paper leaves open
    DEFAULT     the one recipe, of LeNet-5 with and without distortions
    FORMER      the default before
    FORMER_DISTORTED  that of its row with distortions
    LITERAL     Appendix A to the letter

Training
    Config      all that decides a run besides its seed
    train       a run as Section III.B describes it, by the compiled online engine
    recipe      the `Config` by which a network's published runs were trained
    Trained     what `train` gives back: parameters, history, distances of the test set
    loss        eq. 8, eq. 9 or the cross-entropy, of the outputs of a `Net`
    SDLM        stochastic diagonal Levenberg-Marquardt (App. C) as a `torch.optim.Optimizer`, for a `Net` or a
                `torch.nn.Sequential`
    ETAS        eta of each of the paper's 20 passes, for `SDLM` and `Config`

Data
    load_mnist  the four files of MNIST, found or fetched, and verified
    pad_and_scale  digits as the networks see them: in a field of background, -0.1 to 1.175 (II.B)
    fig8        the 82 test digits that the LeNet-5 of 1998 got wrong

Evaluation, of distances (patterns, classes) whose least is the answer
    predict     the class of the least distance
    errors      how many classes are wrong
    confusion   how often each class was taken for each
    rejection_at  how many patterns must be rejected for a given error on the rest (Fig. 10)
    wilson      95% interval of an error rate
    mcnemar     whether two classifiers err equally often on the same patterns

__version__ is the version of this package.  PyTorch, Numba and scikit-learn are not imported until a name needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; `__getattr__` does the same when a name is first used
    from lenet98.accounting import describe
    from lenet98.data.fields import pad_and_scale
    from lenet98.data.fig8 import fig8
    from lenet98.data.mnist import load as load_mnist
    from lenet98.evaluation import confusion, errors, mcnemar, predict, rejection_at, wilson
    from lenet98.loop import Trained
    from lenet98.losses import loss
    from lenet98.modules import Net, Squash
    from lenet98.networks import LENET1, LENET4, LENET5, mlp
    from lenet98.published import LeNet1Weights, LeNet4Weights, LeNet5Weights, lenet1, lenet4, lenet5
    from lenet98.readings import DEFAULT, FORMER, FORMER_DISTORTED, LITERAL, Reading
    from lenet98.recipes import recipe
    from lenet98.sdlm import ETAS, SDLM
    from lenet98.specs import Spec
    from lenet98.training import Config, train
    from lenet98.trunk1998.numbers import recovered

    __version__: str

__all__ = [
    "DEFAULT",
    "ETAS",
    "FORMER",
    "FORMER_DISTORTED",
    "LENET1",
    "LENET4",
    "LENET5",
    "LITERAL",
    "SDLM",
    "Config",
    "LeNet1Weights",
    "LeNet4Weights",
    "LeNet5Weights",
    "Net",
    "Reading",
    "Spec",
    "Squash",
    "Trained",
    "__version__",
    "confusion",
    "describe",
    "errors",
    "fig8",
    "lenet1",
    "lenet4",
    "lenet5",
    "load_mnist",
    "loss",
    "mcnemar",
    "mlp",
    "pad_and_scale",
    "predict",
    "recipe",
    "recovered",
    "rejection_at",
    "train",
    "wilson",
]

_MODULES = {
    "accounting": ("describe",),
    "data.fields": ("pad_and_scale",),
    "data.fig8": ("fig8",),
    "data.mnist": ("load_mnist",),
    "evaluation": ("confusion", "errors", "mcnemar", "predict", "rejection_at", "wilson"),
    "loop": ("Trained",),
    "losses": ("loss",),
    "modules": ("Net", "Squash"),
    "networks": ("LENET1", "LENET4", "LENET5", "mlp"),
    "published": ("LeNet1Weights", "LeNet4Weights", "LeNet5Weights", "lenet1", "lenet4", "lenet5"),
    "readings": ("DEFAULT", "FORMER", "FORMER_DISTORTED", "LITERAL", "Reading"),
    "recipes": ("recipe",),
    "sdlm": ("ETAS", "SDLM"),
    "specs": ("Spec",),
    "training": ("Config", "train"),
    "trunk1998.numbers": ("recovered",),
}
"""The names that each module has."""

_CALLED = {"load_mnist": "load"}
"""What a name is called in its module, where that is something else."""


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("lenet98")
    else:
        module = next((module for module, names in _MODULES.items() if name in names), None)
        if module is None:
            raise AttributeError(_unknown(name), name=name)
        value = getattr(import_module(f"lenet98.{module}"), _CALLED.get(name, name))
    globals()[name] = value
    return value


def _unknown(name: str) -> str:
    """The message for a name that is not offered, with the nearest ones."""
    from difflib import get_close_matches

    like = get_close_matches(name.lower(), {known.lower() for known in __all__}, n=3)
    nearest = [known for found in like for known in __all__ if known.lower() == found]
    return f"module 'lenet98' has no attribute {name!r}" + (f"; nearest: {', '.join(nearest)}" if nearest else "")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
