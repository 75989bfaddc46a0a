"""The two loss functions of Section II.C on the RBF distances y_i of eq. 7, and the cross-entropy of look-alikes.

Eq. 9 has a class more than there are prototypes: the "rubbish" class of constant penalty j.  A pattern that shows none
of the classes, such as a blank (VII.B), is labeled with the number of classes, and its right penalty is j.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lenet98.readings import Reading
from lenet98.specs import Kind


def eq8(distances: Tensor, labels: Tensor) -> Tensor:
    """Mean over the patterns of y_D, the penalty of the right class (eq. 8, mean squared error).

    Parameters
    ----------
    distances
        y_i, shape (patterns, classes).
    labels
        The right classes D, integers of shape (patterns,).

    Raises ValueError for a label that is no class.
    """
    # On a GPU the question would make every update wait; `gather` stops there by itself.
    if labels.device.type == "cpu" and (labels >= distances.shape[1]).any():
        raise ValueError(
            f"a label is {int(labels.max())}, but there are {distances.shape[1]} penalties; only eq. 9 on RBF units "
            "has one more, of what shows none of the classes"
        )
    return distances.gather(1, labels.long()[:, None]).mean()


def eq9(distances: Tensor, labels: Tensor, j: float) -> Tensor:
    """Mean over the patterns of y_D + log(e^-j + sum_i e^-y_i), i over all classes (eq. 9, maximum a posteriori).

    The parameters are those of `eq8`, and j, the penalty of the "rubbish" class that no distance needs to exceed.

    Eq. 9 is -log p_D of the shares p_i = e^-y_i / (e^-j + sum_k e^-y_k), in which the rubbish class has e^-j / (...).
    So where it is the right one, D = classes, the same -log p is j + log(e^-j + sum_i e^-y_i).
    """
    # A log-sum-exp, because e^-y underflows in float32 from y = 104 on and distances reach several hundred.
    penalties = F.pad(-distances, (1, 0), value=-j)
    return eq8(F.pad(distances, (0, 1), value=j), labels) + torch.logsumexp(penalties, 1).mean()


def cross_entropy(distances: Tensor, labels: Tensor) -> Tensor:
    """Mean over the patterns of -log p_D: what eq. 8 becomes on the y_i = -log p_i of a softmax output."""
    return eq8(distances, labels)


def loss(distances: Tensor, labels: Tensor, reading: Reading, output: Kind = "rbf") -> Tensor:
    """The loss that `reading` chooses for RBF units, the cross-entropy for a softmax `output`, times its scale.

    `distances` are the outputs y_i, shape (patterns, classes), `labels` classes, int64 of shape (patterns,); with eq. 9
    the number of classes stands for a pattern that shows none.  Returns the mean over the patterns, a scalar.
    """
    if output == "softmax":
        value = cross_entropy(distances, labels)
    else:
        y = reading.rbf_scale * distances
        value = eq8(y, labels) if reading.loss == "eq8" else eq9(y, labels, reading.j)
    return reading.loss_scale * value
