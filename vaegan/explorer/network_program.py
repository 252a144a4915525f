"""Networks as programs: lists of simple layers, which `interpreter.js` computes in a browser.

A layer is a dictionary whose `op` names it, of numbers, weights and, in a residual block, further programs. Weights are
given as [offset, count, unit] in one array of all values; as integers they count units.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.networks import conv, mlp, resnet
from vaegan.networks.autoencoder import Decoder, Encoder
from vaegan.networks.blur import Blur, BlurUpsample
from vaegan.networks.grid_autoencoder import GridDecoder, GridEncoder

Program = list[dict[str, Any]]
"""Layers in the order in which they are computed."""
MAX_INTEGER = 2**15 - 1
"""Largest absolute value of a weight that is kept in 16 bits, in its unit."""


class WeightList:
    """Weights of programs, one after another."""

    def __init__(self) -> None:
        self.parts = list[Tensor]()
        self.count = 0

    def add(self, weight: Tensor | None) -> list[float] | None:
        """Append a weight, and return where it lies and its unit, [offset, count, unit]; None stays None."""
        if weight is None:
            return None
        self.parts.append(weight.detach().cpu().float().reshape(-1))
        place = [self.count, weight.numel(), compute_unit(weight)]
        self.count += weight.numel()
        return place

    def join(self) -> Tensor:
        """Return all values, float32, shape (n,)."""
        return torch.cat(self.parts)

    def join_integers(self) -> Tensor:
        """Return all values in the units of their weights, int16, shape (n,)."""
        return torch.cat([count_units(part) for part in self.parts])


def compute_unit(weight: Tensor) -> float:
    """Return the unit in which a weight fits into 16 bits: its largest absolute value is `MAX_INTEGER` units."""
    return weight.abs().max().item() / MAX_INTEGER or 1.0


def count_units(weight: Tensor) -> Tensor:
    """Return a weight in its unit, rounded, int16, of the same shape."""
    return (weight.double() / compute_unit(weight)).round().to(torch.int16)


def list_layers(module: nn.Module, weights: WeightList) -> Program:
    """List the layers of a network, and append their weights.

    Args:
        module: An encoder, which gives the parameters of the posterior, or a decoder, which gives pixels in [-1, 1].
        weights: Takes the weights.

    Raises:
        UserError: A layer is none that the interpreter knows.
    """
    for kinds, build in _BUILDERS:
        if isinstance(module, kinds):
            return build(module, weights)
    raise UserError(f"its networks have layers of the kind {type(module).__name__}, which the page cannot compute")


def _list_all(modules: Sequence[nn.Module], weights: WeightList) -> Program:
    return [layer for module in modules for layer in list_layers(module, weights)]


def _list_sequence(module: nn.Sequential, weights: WeightList) -> Program:
    return _list_all(list(module), weights)


def _list_encoder(encoder: Encoder, weights: WeightList) -> Program:
    plane: Program = []
    if encoder.plane is not None:
        plane = [{"op": "class", "w": weights.add(encoder.plane.weight), "kind": "plane"}]
    return [*plane, *list_layers(encoder.trunk, weights), *_list_linear(encoder.head, weights)]


def _list_grid_encoder(encoder: GridEncoder, weights: WeightList) -> Program:
    plane: Program = []
    if encoder.plane is not None:
        plane = [{"op": "class", "w": weights.add(encoder.plane.weight), "kind": "channels"}]
    return [*plane, *_list_all([encoder.trunk, encoder.attention, encoder.head], weights)]


def _list_decoder(decoder: Decoder, weights: WeightList) -> Program:
    one_hot: Program = []
    if decoder.classes is not None:
        one_hot = [{"op": "class", "w": weights.add(torch.eye(decoder.classes)), "kind": "vector"}]
    return [*one_hot, *list_layers(decoder.trunk, weights), {"op": "tanh"}]


def _list_grid_decoder(decoder: GridDecoder, weights: WeightList) -> Program:
    vector: Program = []
    if decoder.vector is not None:
        vector = [{"op": "class", "w": weights.add(decoder.vector.weight), "kind": "channels"}]
    return [*vector, *list_layers(decoder.trunk, weights), {"op": "tanh"}]


def _list_block(block: resnet.Block, weights: WeightList) -> Program:
    main, shortcut = (list_layers(part, weights) for part in (block.residual, block.shortcut))
    return [{"op": "residual", "main": main, "shortcut": shortcut, "scale": 1 / math.sqrt(2)}]


def _list_linear(layer: nn.Linear, weights: WeightList) -> Program:
    outputs, inputs = layer.weight.shape
    place = {"w": weights.add(layer.weight), "b": weights.add(layer.bias)}
    return [{"op": "linear", "inputs": inputs, "outputs": outputs, **place}]


def _list_convolution(layer: nn.Conv2d | nn.ConvTranspose2d, weights: WeightList) -> Program:
    settings = (layer.kernel_size, layer.stride, layer.padding)
    others = (layer.groups, layer.dilation, layer.output_padding, layer.padding_mode)
    if any(isinstance(each, str) or len({*each}) > 1 for each in settings) or others != (1, (1, 1), (0, 0), "zeros"):
        raise UserError(f"its networks have a convolution that the page cannot compute ({layer})")
    (kernel, _), (stride, _), padding = layer.kernel_size, layer.stride, layer.padding
    place = {"w": weights.add(layer.weight.contiguous()), "b": weights.add(layer.bias)}
    return [
        {
            "op": "conv" if isinstance(layer, nn.Conv2d) else "deconv", "inputs": layer.in_channels,
            "outputs": layer.out_channels, "kernel": kernel, "stride": stride, "padding": int(padding[0]), **place,
        }
    ]  # fmt: skip


def _list_group_norm(layer: nn.GroupNorm, weights: WeightList) -> Program:
    place = {"w": weights.add(layer.weight), "b": weights.add(layer.bias)}
    return [{"op": "norm", "groups": layer.num_groups, "eps": layer.eps, **place}]


def _list_layer_norm(layer: nn.LayerNorm, weights: WeightList) -> Program:
    place = {"w": weights.add(layer.weight), "b": weights.add(layer.bias)}
    return [{"op": "norm", "groups": 1, "eps": layer.eps, **place}]  # of a vector


def _list_upsampling(layer: nn.Upsample, weights: WeightList) -> Program:
    if layer.mode != "nearest" or layer.scale_factor != 2:
        raise UserError(f"its networks have an upsampling that the page cannot compute ({layer})")
    return [{"op": "double"}]


def _list_pooling(layer: nn.AvgPool2d, weights: WeightList) -> Program:
    if layer.kernel_size != 2 or layer.stride != 2:
        raise UserError(f"its networks have a pooling that the page cannot compute ({layer})")
    return [{"op": "halve"}]


_BUILDERS: tuple[tuple[type | tuple[type, ...], Callable[[Any, WeightList], Program]], ...] = (
    (Encoder, _list_encoder),
    (GridEncoder, _list_grid_encoder),
    (Decoder, _list_decoder),
    (GridDecoder, _list_grid_decoder),
    (conv.Down, lambda trunk, weights: list_layers(trunk.stages, weights)),
    (conv.Up, lambda trunk, weights: _list_all([trunk.enter, trunk.stages, trunk.out], weights)),
    (resnet.Down, lambda trunk, weights: _list_all([trunk.enter, trunk.stages, trunk.leave], weights)),
    (resnet.Up, lambda trunk, weights: _list_all([trunk.enter, trunk.stages, trunk.out], weights)),
    (mlp.Down, lambda trunk, weights: _list_all(list(trunk.stages), weights)),
    (mlp.Up, lambda trunk, weights: _list_all([trunk.layers, trunk.out], weights)),
    (resnet.Block, _list_block),
    (nn.Sequential, _list_sequence),
    (nn.Linear, _list_linear),
    ((nn.Conv2d, nn.ConvTranspose2d), _list_convolution),
    (nn.GroupNorm, _list_group_norm),
    (nn.LayerNorm, _list_layer_norm),
    (nn.Upsample, _list_upsampling),
    (nn.AvgPool2d, _list_pooling),
    (BlurUpsample, lambda layer, weights: [{"op": "double"}, {"op": "blur", "stride": 1}]),
    (Blur, lambda layer, weights: [{"op": "blur", "stride": layer.stride}]),
    (nn.Unflatten, lambda layer, weights: [{"op": "reshape", "shape": list(layer.unflattened_size)}]),
    (nn.SiLU, lambda layer, weights: [{"op": "silu"}]),
    (nn.LeakyReLU, lambda layer, weights: [{"op": "leaky", "slope": layer.negative_slope}]),
    (nn.Identity, lambda layer, weights: []),
)
"""How each kind of module becomes layers; the first that a module is of counts."""
