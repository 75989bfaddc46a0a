"""Curvature methods against Hessians by automatic differentiation, bbprop where it is exact, and each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import grad, hessian, jacrev

from lenet98 import training
from lenet98.curvature import curvature_scale, diagonal
from lenet98.losses import loss
from lenet98.modern import curvatures
from lenet98.modern.curvatures import METHODS, Config, at_output, estimate, matched, matching, states_of
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.readings import DEFAULT, Reading
from lenet98.specs import RBF, Convolution, Full, Pooling, Spec, Subsampling

# torch.func itself still calls torch.jit.script.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

OUTPUTS = (Full("F6", 3), RBF("RBF", "places", 3))
TINY = Spec(
    "tiny",
    (1, 9, 7),
    (
        Convolution("C1", 2, 2),
        Subsampling("S2", sources=(1, 0, 1)),
        Convolution("C3", 2, 2, ((0, 2), (1,))),
        Full("F5", 4),
        *OUTPUTS,
    ),
)
"""Every kind of layer, weights that are shared and weights that are not, a table."""
POOLED = Spec("pooled", (2, 5, 5), (Convolution("C1", 3, 2), Pooling("S2", "average"), *OUTPUTS))
ONE_LAYER = Spec("one", (1, 4, 3), OUTPUTS)
"""Nothing lies between the weights and the states at which the back-propagation starts."""

READINGS = {
    "eq9": Reading(loss="eq9", j=2.0, loss_scale=0.5),
    "scaled": Reading(loss="eq9", j=3.0, rbf_scale=0.5, loss_scale=0.5, curvature_scale=2.0, subsampling="sum"),
    "eq8": Reading(loss="eq8", loss_scale=1.0),
}


def drawn(spec, reading, patterns=5):
    random = np.random.default_rng(1)
    images = random.normal(size=(patterns, *spec.input_shape))
    return spec, reading, 0.4 * random.normal(size=spec.parameters), images, random.integers(0, 3, patterns)


def by_autograd(spec, reading, parameters, images, labels):
    """diag(J' H J) by x and by y, and the diagonal of the Hessian, from the definitions."""
    net = Net(spec, reading).double()
    reading = replace(reading, loss_scale=curvature_scale(reading))
    parameters, images, labels = torch.tensor(parameters), torch.tensor(images), torch.tensor(labels)
    penalties = lambda x: net.output(x[None, :, None, None]).flatten(1)  # noqa: E731
    found = {"gauss-newton": [], "fisher": [], "hessian": []}
    for image, label in zip(images, labels, strict=True):
        last = lambda p: states_of(net, p, image[None])[0]  # noqa: B023, E731
        total = lambda x: loss(penalties(x), label[None], reading)  # noqa: B023, E731
        x, jacobian = last(parameters), jacrev(last)(parameters)
        slopes = jacrev(lambda x: penalties(x)[0])(x)
        within = hessian(lambda y: loss(y[None], label[None], reading))(penalties(x)[0])  # noqa: B023
        found["gauss-newton"].append(jacobian.T @ hessian(total)(x) @ jacobian)
        found["fisher"].append(jacobian.T @ slopes.T @ within @ slopes @ jacobian)
        found["hessian"].append(hessian(lambda p: total(last(p)))(parameters))  # noqa: B023
    return {name: torch.stack(of).mean(0) for name, of in found.items()}


@pytest.mark.parametrize("read", READINGS)
@pytest.mark.parametrize("spec", [TINY, POOLED, ONE_LAYER], ids=lambda spec: spec.name)
def test_exact_diagonals_are_those_of_automatic_differentiation(spec, read):
    given = drawn(spec, READINGS[read])
    expected = by_autograd(*given)
    for method in ("gauss-newton", "hessian") if read == "eq8" else ("gauss-newton", "hessian", "fisher"):
        np.testing.assert_allclose(estimate(method, *given), expected[method].diagonal(), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_two_ways_to_the_same_gauss_newton_diagonal():
    """Squared gradients of single patterns go back, lines in the parameters go forth."""
    spec, reading, parameters, images, labels = drawn(TINY, READINGS["eq9"], 60)
    net = Net(spec, reading).double()
    net.load_flat(parameters)
    given = curvatures.Given(net, torch.tensor(images), torch.tensor(labels), np.random.default_rng(0), 1)
    forth, _ = curvatures.both_parts(given)
    np.testing.assert_allclose(curvatures.gauss_newton(given), forth, rtol=1e-9)


@pytest.mark.parametrize("read", READINGS)
def test_with_one_layer_all_that_is_exact_is_the_same(read):
    """bbprop is exact where it starts, and so is HesScale's rule with the second derivative of the squashing."""
    given = drawn(ONE_LAYER, READINGS[read])
    np.testing.assert_allclose(estimate("bbprop", *given), estimate("gauss-newton", *given), rtol=1e-9)
    np.testing.assert_allclose(estimate("hesscale", *given), estimate("hessian", *given), rtol=1e-9)


def test_the_curvature_of_eq8_under_eq9():
    """Exact or by Appendix C, it is what eq. 8 has as the loss."""
    spec, reading, *rest = drawn(TINY, READINGS["scaled"])
    of_eq8, started = replace(reading, loss="eq8"), replace(reading, output_curvature="eq8")
    ours = estimate("gauss-newton-of-eq8", spec, reading, *rest)
    np.testing.assert_allclose(ours, estimate("gauss-newton", spec, of_eq8, *rest), rtol=1e-9)
    np.testing.assert_allclose(estimate("bbprop", spec, started, *rest), estimate("bbprop", spec, of_eq8, *rest))
    of_loss = [estimate("bbprop-of-loss", spec, each, *rest) for each in (started, reading)]
    assert np.array_equal(of_loss[0], of_loss[1])
    assert np.array_equal(of_loss[0], estimate("bbprop", spec, reading, *rest))
    hesscale = [estimate("hesscale", spec, each, *rest) for each in (started, reading)]
    assert np.array_equal(hesscale[0], hesscale[1])


def test_deeper_they_differ():
    given = drawn(TINY, READINGS["eq9"])
    for ours, exact in (("bbprop", "gauss-newton"), ("hesscale", "hessian")):
        assert not np.allclose(estimate(ours, *given), estimate(exact, *given), rtol=0.01)


def test_bbprop_is_that_of_appendix_c():
    spec, reading, parameters, images, labels = drawn(TINY, READINGS["eq9"], 250)
    expected = diagonal(spec, reading, parameters, images)
    assert np.array_equal(estimate("bbprop", spec, reading, parameters, images, labels), expected)
    assert np.isclose(estimate("mean", spec, reading, parameters, images, labels), expected.mean()).all()
    c1 = spec.geometry[0]
    of_c1 = slice(c1.weight_slice.start, c1.bias_slice.stop)
    by_layer = estimate("layer-mean", spec, reading, parameters, images, labels)
    assert np.isclose(by_layer[of_c1], expected[of_c1].mean()).all()
    assert len(np.unique(by_layer)) == len(spec.trainable)


def test_hesscale_of_straight_units_is_bbprop():
    """Rectified units have no second derivative."""
    given = drawn(replace(TINY, squashing="relu"), READINGS["eq9"])
    np.testing.assert_allclose(estimate("hesscale", *given), estimate("bbprop", *given), rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "exact"), [("hutchinson-gauss-newton", "gauss-newton"), ("hutchinson-hessian", "hessian")]
)
def test_hutchinson_converges(method, exact):
    """The error falls as one over the root of the probes, to the standard error that the matrix has."""
    given = drawn(TINY, READINGS["scaled"])
    matrix = by_autograd(*given)[exact].numpy()
    spread = np.sqrt((matrix**2).sum(1) - matrix.diagonal() ** 2)
    for probes in (1, 100):
        errors = estimate(method, *given, np.random.default_rng(2), probes) - matrix.diagonal()
        assert 0.5 < np.sqrt(np.mean((errors / (spread / np.sqrt(probes))) ** 2)) < 1.5


def test_squared_gradients_of_the_classes_shown():
    spec, reading, parameters, images, labels = drawn(TINY, READINGS["eq9"])
    net, printed = Net(spec, reading).double(), replace(reading, loss_scale=1.0)

    def of(p, image, label):
        distances = net.output(states_of(net, p, image[None])[:, :, None, None]).flatten(1)
        return loss(distances, label[None], printed)

    patterns = zip(torch.tensor(images), torch.tensor(labels), strict=True)
    gradients = torch.stack([grad(of)(torch.tensor(parameters), image, label) for image, label in patterns])
    expected = reading.loss_scale * gradients.square().mean(0)
    np.testing.assert_allclose(estimate("squared-gradients", spec, reading, parameters, images, labels), expected)


def test_sampled_classes_give_the_fisher_matrix():
    given = drawn(TINY, READINGS["scaled"])
    random = np.random.default_rng(3)
    samples = np.array([estimate("fisher-sampled", *given, random) for _ in range(500)])
    errors = (samples.mean(0) - estimate("fisher", *given)) / (samples.std(0) / np.sqrt(len(samples)) + 1e-12)
    assert 0.5 < np.sqrt(np.mean(errors**2)) < 1.5
    first, again = (estimate("fisher-sampled", *given, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, samples[0])


def test_patterns_in_chunks_are_patterns_at_once(monkeypatch):
    given = drawn(TINY, READINGS["eq9"], 7)
    for method in METHODS:
        whole = estimate(method, *given)
        with monkeypatch.context() as patched:
            patched.setattr(curvatures, "ROWS", 20)
            np.testing.assert_allclose(estimate(method, *given), whole, rtol=1e-9, atol=1e-14)


def test_the_derivatives_at_the_output():
    """Far from the prototypes and near them."""
    net = Net(ONE_LAYER, READINGS["scaled"]).double()
    x = torch.tensor(np.random.default_rng(0).normal(size=(4, 3))) * torch.tensor([[0.1], [1.0], [3.0], [9.0]])
    at, labels = at_output(net, x), torch.tensor([0, 1, 2, 0])
    printed = replace(net.reading, loss_scale=1.0)

    def of(x, label):
        return loss(net.output(x[None, :, None, None]).flatten(1), label[None], printed)

    patterns = list(zip(x, labels, strict=True))
    torch.testing.assert_close(at.gradient(labels), torch.stack([grad(of)(*pattern) for pattern in patterns]))
    whole = torch.stack([hessian(of)(*pattern) for pattern in patterns])
    for dx in torch.eye(3).double():
        torch.testing.assert_close(at.times(dx.expand(4, 3)), whole @ dx)


# --- what it refuses


@pytest.mark.parametrize(
    ("method", "spec", "reading", "probes", "words"),
    [
        ("newton", TINY, DEFAULT, 1, "must be one of gauss-newton, "),
        ("fisher", TINY, READINGS["eq8"], 1, "needs the likelihood of eq. 9"),
        ("bbprop", replace(POOLED, layers=(POOLED.layers[0], Pooling("S2", "max"), *OUTPUTS)), DEFAULT, 1, "maxima"),
        ("hutchinson-hessian", TINY, DEFAULT, 0, "at least one"),
    ],
)
def test_what_has_no_such_curvature_is_refused(method, spec, reading, probes, words):
    with pytest.raises(ValueError, match=words):
        estimate(method, *drawn(spec, reading), probes=probes)


def test_a_blank_is_refused():
    *given, labels = drawn(TINY, READINGS["eq9"])
    with pytest.raises(ValueError, match="a label is 3"):
        estimate("bbprop", *given, labels + 3 - labels)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"curvature_method": "x"}, "method is 'x'"), ({"probes": 0}, "probes is 0")],
)
def test_configurations_that_no_run_can_have(fields, words):
    with pytest.raises(ValueError, match=words):
        Config(**fields)


# --- the matched scale


def mean_logarithm(h, mu=0.02):
    return np.log(mu + np.asarray(h, float)).mean()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6])
def test_matched_rates_have_the_geometric_mean_of_the_standard(scale):
    random = np.random.default_rng(0)
    standard, h = random.exponential(size=(2, 1000)).astype(np.float32) ** 3
    h[:300] = 0
    found = matched(np.float32(scale) * h, standard, 0.02)
    assert mean_logarithm(found) == pytest.approx(mean_logarithm(standard), abs=1e-6)
    np.testing.assert_allclose(found / found[-1], h / h[-1], rtol=1e-5)  # which parameters have more stays
    assert found.dtype == np.float32


def test_what_no_factor_matches():
    standard = np.array([0.1, 3.0, 0.0], np.float32)
    nothing = np.zeros(3, np.float32)
    assert np.isnan(matching(nothing, standard, 0.02))
    even = matched(nothing, standard, 0.02)
    assert mean_logarithm(even) == pytest.approx(mean_logarithm(standard), abs=1e-6)
    assert len(set(even.tolist())) == 1
    assert matched(standard, nothing, 0.02).max() < 1e-6
    lost = np.array([1, np.nan, 2], np.float32)
    assert np.array_equal(matched(lost, standard, 0.02), lost, equal_nan=True)


# --- training


SHORT = {"etas": (5e-4, 2e-4), "train_size": 60, "curvature_patterns": 10}


@pytest.mark.parametrize("matched", [False, True])
def test_bbprop_trains_as_the_paper_does(mnist, matched):
    """Its rates match themselves."""
    ours = curvatures.train(Config(**SHORT, matched=matched), 1, mnist)
    theirs = training.train(training.Config(**SHORT), 1, mnist)
    assert np.array_equal(ours.parameters, theirs.parameters)
    assert [entry.curvature for entry in ours.history] == [entry.curvature for entry in theirs.history]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_with_its_own_rates(mnist, method):
    """Those of one for all parameters are, matched, Appendix C's geometric mean."""
    config = Config(**SHORT | {"etas": (5e-4,)}, curvature_method=method, matched=True, probes=2)
    entry = curvatures.train(config, 1, mnist).history[0]
    _, eps = training.effective_rates(
        config, 1, 1, training.initial_parameters(LENET5, DEFAULT, training.generator(1, "init")), mnist
    )
    geometric = np.exp(np.log(eps.astype(float)).mean())
    assert 0 < entry.rate_min <= geometric * 1.001
    assert geometric * 0.999 <= entry.rate_max <= 5e-4 / config.mu * 1.001
    if method == "mean":
        assert entry.rate_min == pytest.approx(geometric) == entry.rate_max
    if method not in ("bbprop", "bbprop-of-loss"):  # of eq. 8 and 9 alike while all is rubbish
        assert (entry.rate_min, entry.rate_max) != (float(eps.min()), float(eps.max()))
