"""Noise assigned to the images of a batch so that their way to each other is shortest."""

__all__ = ["transported"]

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@torch.no_grad()
def transported(x: Tensor, epsilon: Tensor, label: Tensor | None = None) -> Tensor:
    r"""Returns noise ε [B, …] in the order that minimises :math:`\sum_i \|x_i - \epsilon_{\pi(i)}\|^2`.

    Images of different classes do not exchange theirs: each class's noise has to stay N(0, I), for that is what samples
    of it start from.

    References:
        | Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport (Tong et al., 2024)
        | https://arxiv.org/abs/2302.00482

        | Multisample Flow Matching: Straightening Flows with Minibatch Couplings (Pooladian et al., 2023)
        | https://arxiv.org/abs/2304.14772

    Arguments:
        x: Images, [B, …].
        epsilon: Noise, [B, …].
        label: What classes the images are of, [B], if a model is told so; None for one class.
    """
    if label is not None:
        assigned = epsilon.clone()
        for of_class in (label == value for value in label.unique()):
            assigned[of_class] = transported(x[of_class], epsilon[of_class])
        return assigned
    # The squares do not depend on the order: only the products have to be large.
    gain = x.flatten(1).double() @ epsilon.flatten(1).double().T
    _, order = linear_sum_assignment(gain.cpu().numpy(), maximize=True)
    return epsilon[torch.from_numpy(order).to(epsilon.device)]
