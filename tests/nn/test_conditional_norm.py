"""Conditional batch norm against plain batch norm, class by class."""

from functools import partial

import torch
from torch import nn
from torch.nn.functional import batch_norm

from lit_gen.nn.conditional_norm import ConditionalBatchNorm2d


def test_each_class_has_its_gain_and_bias() -> None:
    torch.manual_seed(0)
    layer = ConditionalBatchNorm2d(4, partial(nn.Embedding, 3))
    x, y = torch.randn(9, 4, 5, 3) * 2 + 1, torch.arange(9) % 3
    nn.init.normal_(layer.gain.weight)
    nn.init.normal_(layer.bias.weight)
    for training in (True, False):  # statistics of the whole batch, then the running ones
        mean, variance = layer.norm.running_mean.clone(), layer.norm.running_var.clone()
        out = layer.train(training)(x, y)
        for k in range(3):
            gain, bias = 1 + layer.gain.weight[k], layer.bias.weight[k]
            expected = batch_norm(x, mean.clone(), variance.clone(), gain, bias, training, layer.norm.momentum)
            torch.testing.assert_close(out[y == k], expected[y == k])


def test_it_starts_as_plain_batch_norm_without_parameters_of_its_own() -> None:
    layer = ConditionalBatchNorm2d(4, partial(nn.Linear, 6, bias=False))
    x = torch.randn(8, 4, 3, 3)
    torch.testing.assert_close(layer(x, torch.randn(8, 6)), nn.BatchNorm2d(4)(x))
    assert {name for name, _ in layer.named_parameters()} == {"gain.weight", "bias.weight"}


def test_vectors_condition_image_by_image() -> None:
    torch.manual_seed(0)
    layer = ConditionalBatchNorm2d(2, partial(nn.Linear, 3, bias=False)).eval()
    nn.init.normal_(layer.gain.weight)
    nn.init.normal_(layer.bias.weight)
    x, y = torch.randn(4, 2, 3, 3), torch.randn(4, 3)
    whole = layer(x, y)
    for i in range(4):
        gain, bias = 1 + layer.gain.weight @ y[i], layer.bias.weight @ y[i]
        expected = x[i] / (1 + layer.norm.eps) ** 0.5 * gain[:, None, None] + bias[:, None, None]
        torch.testing.assert_close(whole[i], expected)
