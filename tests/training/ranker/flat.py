"""A network's weights as one vector, for numerical gradients."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from training.ranker.network import Network


def flat(network: Network) -> npt.NDArray[np.floating]:
    """Return all weights."""
    return np.concatenate([getattr(network, each.name).ravel() for each in fields(network)])


def like(network: Network, weights: npt.NDArray[np.floating]) -> Network:
    """Return a network of the same shape with other weights."""
    shapes = [getattr(network, each.name).shape for each in fields(network)]
    parts = np.split(weights, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    names = [each.name for each in fields(network)]
    reshaped = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
    return replace(network, **reshaped)
