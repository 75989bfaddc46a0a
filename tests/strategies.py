"""Small networks drawn by hypothesis: every layer kind, any connection table, maps that are not square.

`small_specs` are of the paper's layers, `look_alikes` have today's among them, `any_specs` are both.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st

from lenet98.specs import RBF, Convolution, Full, Layer, Pooling, Softmax, Spec, Subsampling

few = settings(max_examples=25, deadline=None)


@st.composite
def tables(draw: st.DrawFn, in_maps: int, out_maps: int) -> tuple[tuple[int, ...], ...]:
    """For each output map a set of input maps, in any order, not empty."""
    sources = st.lists(st.integers(0, in_maps - 1), min_size=1, max_size=in_maps, unique=True)
    return tuple(tuple(draw(sources)) for _ in range(out_maps))


@st.composite
def small_specs(draw: st.DrawFn) -> Spec:
    """Convolution, subsampling, perhaps a second convolution, perhaps a hidden full layer, place-coded RBF output."""
    maps, first, kernel = draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    # The first feature maps have even sides, which the subsampling halves.
    height, width = (2 * draw(st.integers(1, 3)) for _ in "hw")
    layers: list[Layer] = [Convolution("C1", first, kernel, draw(st.none() | tables(maps, first)))]
    sources = draw(st.none() | st.lists(st.integers(0, first - 1), min_size=1, max_size=4).map(tuple))
    layers.append(Subsampling("S2", sources=sources))
    halves = first if sources is None else len(sources)
    if draw(st.booleans()):
        second = draw(st.integers(1, 4))
        table = draw(st.none() | tables(halves, second))
        layers.append(Convolution("C3", second, draw(st.integers(1, min(height, width) // 2)), table))
    if draw(st.booleans()):
        layers.append(Full("F5", draw(st.integers(1, 5))))
    classes = draw(st.integers(2, 4))
    layers += [Full("F6", classes), RBF("RBF", "places", classes)]
    return Spec("drawn", (maps, height + kernel - 1, width + kernel - 1), tuple(layers))


@st.composite
def look_alikes(draw: st.DrawFn) -> Spec:
    """`small_specs` with perhaps plain pooling, perhaps a softmax output, perhaps rectified units."""
    spec = draw(small_specs())
    pooling = draw(st.sampled_from(["average", "max", None]))
    if pooling:
        # Behind a table that may name other maps than there are now, every map is read.
        of_kind = {Subsampling: lambda s: Pooling(s.name, pooling), Convolution: lambda c: replace(c, table=None)}
        first, *others = spec.layers
        spec = replace(spec, layers=(first, *(of_kind.get(type(layer), lambda x: x)(layer) for layer in others)))
    if draw(st.booleans()):
        spec = replace(spec, layers=(*spec.layers[:-2], Softmax("output", spec.classes)))
    return replace(spec, squashing=draw(st.sampled_from(["tanh", "relu"])))


any_specs = small_specs() | look_alikes()
