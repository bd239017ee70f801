"""Converts a trained model to the weights that the graph and the compiled network use."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from inference.errors import DataError
from inference.kernels.sequence_layers import SequenceWeights
from inference.types import Vector
from training.sequence.model import Block, SequenceModel


def weights_of(model: SequenceModel) -> SequenceWeights:
    """Return the weights of a model with one block of attention. Raises DataError for any other number."""
    shape = model.shape
    block = model.blocks[0]
    if shape.blocks != 1 or not isinstance(block, Block):
        raise DataError(f"sequence model: required one block of attention, got {shape.blocks}")
    project, project_bias = _linear(model.project)
    # The factors √width and √(heads / width) of the torch model become part of the matrices that they follow.
    root = np.float32(np.sqrt(shape.width))
    sharpness = np.float32((shape.heads / shape.width) ** 0.5)
    query, query_bias = _linear(block.query)
    enter, enter_bias = _linear(model.enter)
    norms = [(each.weight, each.bias) for each in (block.norm, block.norm_too, model.norm)]
    value, value_bias = _linear(block.value)
    mix, mix_bias = _linear(block.out)
    up, up_bias = _linear(block.up)
    down, down_bias = _linear(block.down)
    leave, leave_bias = _linear(model.leave)
    return SequenceWeights(
        project=project,
        project_bias=project_bias,
        enter=enter * root,
        enter_bias=enter_bias,
        actions=_array(model.actions.weight),
        norms=np.stack([np.stack([_array(scale), _array(offset)]) for scale, offset in norms]),
        query=query * sharpness,
        query_bias=query_bias * sharpness,
        key=_array(block.key.weight),
        value=value,
        value_bias=value_bias,
        mix=mix,
        mix_bias=mix_bias,
        ranks=_array(block.ranks),
        gaps=_array(block.gaps),
        up=up,
        up_bias=up_bias,
        down=down,
        down_bias=down_bias,
        pauses=_array(model.pauses.weight),
        leave=leave,
        leave_bias=leave_bias,
        skip=_array(model.skip),
        scale=np.array([float(model.scale.detach())], dtype=np.float32),
    )


def residuals_of(model: SequenceModel) -> Vector | None:
    """Return the residual of each item, float32 (items, width), None for a model without."""
    return None if model.residual is None else _array(model.residual.weight)


def _linear(layer: nn.Linear) -> tuple[Vector, Vector]:
    """Return a layer's matrix, (inputs, outputs), and its offset."""
    return np.ascontiguousarray(_array(layer.weight).T), _array(layer.bias)


def _array(weight: torch.Tensor) -> Vector:
    return np.ascontiguousarray(weight.detach().numpy().astype(np.float32))
