"""Fits the order of a ranker's candidates by Adam, as one compiled kernel.

The loss of a list is that of ListNet (Cao et al. 2007, doi:10.1145/1273496.1273513): −Σ target · log softmax(logits),
with each label's share of the list's labels as the target. A candidate of weight w counts w times in the softmax. A
step follows the mean slope of some lists with the rule of Adam (Kingma & Ba 2015, arXiv:1412.6980).

All networks are fitted side by side. A weight matrix has a column ("lane") for each hidden unit of each network, and
then one for the linear part of each network, so that one pass over a candidate's features serves them all.

A kernel and no library for Adam, for these reasons. L-BFGS of scipy needs all lists for each step: it took seven times
the CPU time (10,000 events of Online Retail, see CHANGELOG.md). torch has Adam and the gradients, but workers' images
and the extra `train` do not include it, and the learning loop would need it. The products inside the kernel are those
of BLAS. On one thread of BLAS, the kernel sums in a fixed order, so a seed gives the same ranker with any number of
threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float32, float64, int64, types

from inference.kernels.compiler import helper, kernel
from training.ranker.network import Network

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Decay of the means of slopes and of squared slopes in a step of Adam, and its guard against a division by 0."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


class Lists(NamedTuple):
    """Labelled lists of n candidates in all.

    Attributes:
        x: standardised features, float32 (n, F).
        starts: the start of each list, and n, int64 (lists + 1,).
        targets: each candidate's share of its list's labels, float32 (n,).
        log_weights: log of the number of candidates that each one represents, float32 (n,).
    """

    x: Floats
    starts: Integers
    targets: Floats
    log_weights: Floats


class Steps(NamedTuple):
    """Steps of a fit.

    Attributes:
        drawn: the lists of each step, int64 (steps, lists of a step).
        rates: the length of each step, float64 (steps,).
        before: number of steps that were made before.
        penalty: λ of λ/2 · ‖all weights but the biases‖².
    """

    drawn: Integers
    rates: npt.NDArray[np.float64]
    before: int
    penalty: float


class Networks(NamedTuple):
    """M networks with U hidden units each, in L = M · (U + 1) lanes, and the state of their fit.

    Attributes:
        inputs: weights of the features, float32 (F, L).
        bias: of the hidden units, float32 (L,); 0 for linear parts.
        output: weights out of the hidden units, float32 (L,); 0 for linear parts.
        moments: the means of slopes, and of squared slopes, of all weights, float32 (2, F + 2, L).
    """

    inputs: Floats
    bias: Floats
    output: Floats
    moments: Floats

    @classmethod
    def of(cls, starts: Sequence[Network]) -> Networks:
        """Put networks of one shape side by side, with the state of a fit that has not begun."""
        none = np.zeros(len(starts))
        # All hidden units first, network by network, then all linear parts. The kernel finds a network's lanes by this
        # order.
        inputs = np.column_stack([*(each.hidden for each in starts), *(each.direct for each in starts)])
        moments = np.zeros((2, inputs.shape[0] + 2, inputs.shape[1]), dtype=np.float32)
        bias, output = (
            np.concatenate([*parts, none]) for parts in zip(*((e.bias, e.output) for e in starts), strict=True)
        )
        inputs, bias, output = (np.ascontiguousarray(each, dtype=np.float32) for each in (inputs, bias, output))
        return cls(inputs, bias, output, moments)

    def apart(self, members: int) -> list[Network]:
        """Return the networks one by one, in float64."""
        hidden = self.inputs.shape[1] - members
        units = hidden // members
        lanes = [slice(member * units, (member + 1) * units) for member in range(members)]
        inputs, bias, output = (each.astype(np.float64) for each in self[:3])
        return [
            Network(inputs[:, hidden + member], inputs[:, own], bias[own], output[own])
            for member, own in enumerate(lanes)
        ]


class Scratch(NamedTuple):
    """Scratch memory for the longest list, of C candidates.

    Attributes:
        active: the hidden units and linear parts of each candidate, float32 (C, L).
        logits: of each candidate in each network; later the slope of the loss along it, float32 (C, M).
        backward: the slope along each lane of each candidate, float32 (C, L).
        outputs: weights of the lanes in the logits, float32 (L, M).
        slopes: the slope along all weights, float32 (F + 2, L): of the inputs, the bias, the output.
        products: a part of one list's slopes, float32 (F + M, L).
    """

    active: Floats
    logits: Floats
    backward: Floats
    outputs: Floats
    slopes: Floats
    products: Floats

    @classmethod
    def of(cls, networks: Networks, members: int, longest: int) -> Scratch:
        """Return scratch memory for lists of at most `longest` candidates."""
        features, lanes = networks.inputs.shape
        candidates = (longest, lanes), (longest, members), (longest, lanes)
        shapes = *candidates, (lanes, members), (features + 2, lanes), (features + members, lanes)
        return cls(*(np.empty(shape, dtype=np.float32) for shape in shapes))


_LISTS = types.NamedTuple((float32[:, ::1], int64[::1], float32[::1], float32[::1]), Lists)
_STEPS = types.NamedTuple((int64[:, ::1], float64[::1], int64, float64), Steps)
_NETWORKS = types.NamedTuple((float32[:, ::1], float32[::1], float32[::1], float32[:, :, ::1]), Networks)
_SCRATCH = types.NamedUniTuple(float32[:, ::1], 6, Scratch)


@kernel(float64(_LISTS, _STEPS, _NETWORKS, _SCRATCH))
def descend(lists: Lists, steps: Steps, networks: Networks, scratch: Scratch) -> float:
    """Make steps that change `networks`, and return the mean loss of the drawn lists, each before its step.

    The caller limits BLAS to one thread.
    """
    drawn = steps.drawn
    members = scratch.logits.shape[1]
    total = 0.0
    for step in range(len(drawn)):
        scratch.slopes[:] = np.float32(0)
        _connect(networks.output, scratch.outputs)
        for place in range(drawn.shape[1]):
            total += _add_slopes(lists, drawn[step, place], networks, scratch)
        _adam(networks, scratch.slopes, steps, drawn.shape[1], step)
    return float(total / (drawn.size * members))


@helper
def _connect(output: Floats, outputs: Floats) -> None:
    """Set the weight of each lane in each network's logit: `output` in its own network, and 1 for a linear part."""
    lanes, members = outputs.shape
    hidden = lanes - members
    outputs[:] = np.float32(0)
    for lane in range(hidden):
        outputs[lane, lane // (hidden // members)] = output[lane]
    for member in range(members):
        outputs[hidden + member, member] = np.float32(1)


@helper
def _add_slopes(lists: Lists, number: int, networks: Networks, scratch: Scratch) -> float:
    """Add one list's slopes to `scratch.slopes`, and return its loss, the sum over the networks."""
    features, lanes = networks.inputs.shape
    members = scratch.logits.shape[1]
    hidden = lanes - members
    units = hidden // members
    start, end = lists.starts[number], lists.starts[number + 1]
    # NumPy's products are those of BLAS, which keeps more sums in registers than the loops that LLVM compiles.
    x, active, logits = lists.x[start:end], scratch.active[: end - start], scratch.logits[: end - start]
    np.dot(x, networks.inputs, active)
    for at in range(end - start):
        own = active[at]
        for lane in range(hidden):
            own[lane] = max(own[lane] + networks.bias[lane], np.float32(0))
    np.dot(active, scratch.outputs, logits)
    loss = 0.0
    for member in range(members):
        loss += _softmax(lists, start, end, logits, member)
    slopes, backward, products = scratch.slopes, scratch.backward[: end - start], scratch.products
    np.dot(logits.T, active, products[:members])
    for lane in range(hidden):
        slopes[features + 1, lane] += products[lane // units, lane]
    np.dot(logits, scratch.outputs.T, backward)
    for at in range(end - start):
        own, behind = active[at], backward[at]
        for lane in range(hidden):
            behind[lane] = behind[lane] if own[lane] > 0 else np.float32(0)
            slopes[features, lane] += behind[lane]
    np.dot(x.T, backward, products[:features])
    for feature in range(features):
        for lane in range(lanes):
            slopes[feature, lane] += products[feature, lane]
    return loss


@helper
def _softmax(lists: Lists, start: int, end: int, logits: Floats, member: int) -> float:
    """Replace one network's logits of a list by the slope of the loss along them, and return the loss."""
    # The greatest logit is subtracted, so that no exponential overflows.
    greatest = -np.inf
    for at in range(start, end):
        greatest = max(greatest, logits[at - start, member] + lists.log_weights[at])
    total, loss = 0.0, 0.0
    for at in range(start, end):
        logit = logits[at - start, member] - greatest
        grown = exp(logit + lists.log_weights[at])
        total += grown
        loss -= lists.targets[at] * logit
        logits[at - start, member] = grown
    for at in range(start, end):
        logits[at - start, member] = logits[at - start, member] / total - lists.targets[at]
    # The targets of a list add up to 1.
    return loss + log(total)


@helper
def _adam(networks: Networks, slopes: Floats, steps: Steps, lists: int, step: int) -> None:
    """Change all weights by the rule of Adam. `slopes` are sums over the `lists` of the step."""
    features, lanes = networks.inputs.shape
    scale, penalty = np.float32(1 / lists), np.float32(steps.penalty)
    number = steps.before + step + 1
    # Both means start at 0. Dividing them by these corrects for that.
    length = np.float32(steps.rates[step] / (1 - BETA_1**number))
    correction = np.float32(1 / (1 - BETA_2**number))
    for row in range(features + 2):
        weights = networks.inputs[row] if row < features else networks.bias if row == features else networks.output
        shrinks = np.float32(0) if row == features else penalty
        for lane in range(lanes):
            slope = scale * slopes[row, lane] + shrinks * weights[lane]
            mean = np.float32(BETA_1) * networks.moments[0, row, lane] + np.float32(1 - BETA_1) * slope
            square = np.float32(BETA_2) * networks.moments[1, row, lane] + np.float32(1 - BETA_2) * slope * slope
            networks.moments[0, row, lane] = mean
            networks.moments[1, row, lane] = square
            weights[lane] -= length * mean / (sqrt(correction * square) + np.float32(EPSILON))
