"""Classifiers on features, trained with few labels: a head on features that are fixed, or with their encoder."""

__all__ = ["Head", "fit_head", "fit_with_encoder"]

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_gen.training.modes import evaluating
from lit_gen.training.seeding import isolated

_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)
_HELD_OUT = 5  # of the labelled images every fifth chooses the weight decay


class Head(NamedTuple):
    """A classifier of features.

    Attributes:
        network: Maps features, scaled, to logits.
        centre: The mean of the features that it was trained on, shape [D].
        scale: One number, their root mean square about it: the features keep their proportions.
        decay: The λ that it was trained with.
    """

    network: nn.Module
    centre: Tensor
    scale: Tensor
    decay: float

    def __call__(self, features: Tensor) -> Tensor:
        """Maps features [B, D] to logits [B, K]."""
        logits: Tensor = self.network((features - self.centre) / self.scale)
        return logits


def fit_head(
    features: Tensor, label: Tensor, num_classes: int, hidden: Sequence[int] = (), steps: int = 200, seed: int = 0
) -> Head:
    """Trains a classifier of fixed features, a linear one or a perceptron, by L-BFGS on all images.

    The loss is the cross-entropy and λ/2 ‖W‖². Of the λ 0.0001, 0.001, 0.01 and 0.1 it is the one that predicts every
    fifth image's class best after training on the others; then all of them are trained on. No label beyond those given
    is ever seen. A linear classifier is the minimum of a convex loss: how features are turned, or where they lie, does
    not matter to it, as it would if it were trained for so long only.

    Arguments:
        features: One row per image, shape [N, D].
        label: The images' classes, shape [N].
        num_classes: The number of classes K.
        hidden: The hidden layers' sizes; none for a linear classifier.
        steps: The iterations of L-BFGS at most.
        seed: Fixes the first weights, and which images choose λ.
    """
    assert features.ndim == 2 and len(features) == len(label)
    features = features.detach()
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed)).to(label.device)
    chosen = torch.zeros(len(label), dtype=torch.bool, device=label.device)
    chosen[order[::_HELD_OUT]] = True

    @torch.enable_grad()
    def train(kept: Tensor, decay: float) -> Head:
        x, y = features[kept], label[kept]
        centre = x.mean(dim=0)
        scale = (x - centre).square().mean().sqrt().clamp(min=1e-12)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # and no device's
            network = _network(x.shape[1], hidden, num_classes).to(x.device)
        head = Head(network, centre, scale, decay)
        optimizer = torch.optim.LBFGS(network.parameters(), max_iter=steps, line_search_fn="strong_wolfe")
        weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(head(x), y)
            for weight in weights:
                loss = loss + decay / 2 * weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        return head

    decay = _DECAYS[0]
    if len(label) >= 2 * _HELD_OUT:
        losses = [_loss(train(~chosen, decay), features[chosen], label[chosen]) for decay in _DECAYS]
        decay = _DECAYS[losses.index(min(losses))]
    return train(torch.ones_like(chosen), decay)


def fit_with_encoder(
    encoder: nn.Module,
    encode: Callable[[Tensor], Tensor],
    head: Head,
    image: Tensor,
    label: Tensor,
    steps: int,
    lr: float,
    batch_size: int,
    seed: int,
    training: bool = False,
) -> None:
    """Trains a classifier and the encoder under it together, in place.

    Arguments:
        encoder: Holds the parameters that `encode` depends on.
        encode: Maps images [B, C, H, W] to features [B, D].
        head: A classifier that is trained already.
        image: Images in [−1, 1], shape [N, C, H, W].
        label: Their classes, shape [N].
        steps: The steps of Adam.
        lr: Its learning rate.
        batch_size: Images in a step.
        seed: Fixes the order of the images.
        training: Whether batch norm and dropout act as in training; else as they are in evaluation, which few labels
            leave as they were.

    Raises:
        ValueError: If features have no gradient.
    """
    parameters = [*encoder.parameters(), *head.network.parameters()]
    optimizer = torch.optim.Adam(parameters, lr)
    generator, order = torch.Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64)
    with evaluating(encoder), isolated(), torch.enable_grad():
        torch.manual_seed(seed)  # of dropout
        encoder.train(training)
        for _ in range(steps):
            if not len(order):
                order = torch.randperm(len(image), generator=generator)
            part, order = order[:batch_size], order[batch_size:]
            features = encode(image[part])
            if not features.requires_grad:
                raise ValueError("features have no gradient: the encoder cannot be trained")
            optimizer.zero_grad()
            cross_entropy(head(features), label[part]).backward()
            optimizer.step()


def _network(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    sizes, layers = [inputs, *hidden], list[nn.Module]()
    for i, size in enumerate(hidden):
        layers += [nn.Linear(sizes[i], size), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


@torch.no_grad()
def _loss(head: Head, features: Tensor, label: Tensor) -> float:
    return float(cross_entropy(head(features), label))
