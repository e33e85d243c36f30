"""The code prediction of InfoGAN: latents with a meaning, found without labels."""

__all__ = ["MutualInformation"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.auxiliary import Auxiliary
from lit_gen.functional.noise import rand, randint


class MutualInformation(Auxiliary):
    r"""Creates the information term of InfoGAN: codes c join the latent, and Q, on top of D, tells them from the image.

    .. math:: I(c; G(z, c)) \ge E[\log Q(c | G(z, c))] + H(c)

    Both players maximise the bound. A code is categorical, one-hot with equal probabilities, or continuous, uniform on
    [−1, 1]; Q is a softmax for the first, a Gaussian for the second with mean μ and deviation σ = e^s, each number by
    itself. Codes stand in the order of the arguments, categorical ones first. The outputs are the classes' logits,
    then every μ, then every s.

    References:
        | InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets
        | (Chen et al., 2016), equation (5) and section 6
        | https://arxiv.org/abs/1606.03657

    Arguments:
        categorical: The number of values of each categorical code.
        continuous: The number of continuous codes.
        weight: The strength λ for categorical codes.
        continuous_weight: The strength for continuous ones, whose densities are of another scale; the paper says only
            that it is smaller.
        deviation: The σ of the continuous codes' Gaussians; None to predict it, as in the paper.
    """

    def __init__(
        self,
        categorical: Sequence[int] = (10,),
        continuous: int = 2,
        weight: float = 1.0,
        continuous_weight: float = 0.1,
        deviation: float | None = None,
    ) -> None:
        super().__init__()
        if any(values < 2 for values in categorical) or continuous < 0 or not (categorical or continuous):
            raise UserError(
                f"MutualInformation's categorical is {list(categorical)} and continuous {continuous}; there must be a "
                "code, and a categorical one must have at least 2 values"
            )
        if weight < 0 or continuous_weight < 0:
            raise UserError(f"MutualInformation's weights are {weight} and {continuous_weight}; none may be negative")
        if deviation is not None and not deviation > 0:
            raise UserError(f"MutualInformation's deviation is {deviation}, and must be above 0, or null")
        self.categorical, self.continuous = categorical, continuous
        self.weight, self.continuous_weight, self.deviation = weight, continuous_weight, deviation
        self.num_codes = sum(categorical) + continuous

    def num_outputs(self, num_classes: int | None) -> int:
        return self.num_codes + (self.continuous if self.deviation is None else 0)

    def codes(self, num: int, generator: Generators | None, device: torch.device) -> Tensor:
        drawn = [one_hot(randint(k, num, generator, device), k).float() for k in self.categorical]
        return torch.cat([*drawn, 2 * rand((num, self.continuous), generator, device) - 1], dim=1)

    def real_loss(self, outputs: Tensor, label: Tensor | None) -> Tensor:
        return outputs.new_zeros(())  # nobody knows a real image's codes

    def fake_loss(self, outputs: Tensor, label: Tensor | None, codes: Tensor) -> Tensor:
        discrete, continuous = self.negative_log_likelihood(outputs, codes)
        return (self.weight * discrete + self.continuous_weight * continuous).mean()

    def negative_log_likelihood(self, outputs: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns −log Q(c|x) of the categorical and of the continuous codes, in nats per image, each of shape [B].

        Arguments:
            outputs: The discriminator's outputs but for its logit, shape [B, num_outputs].
            codes: The codes, shape [B, num_codes].
        """
        assert outputs.shape == (len(codes), self.num_outputs(None)) and codes.shape[1] == self.num_codes
        outputs = outputs.float()
        discrete = outputs.new_zeros(len(outputs))
        start = 0
        for k in self.categorical:
            chosen = codes[:, start : start + k].argmax(1)
            discrete = discrete + cross_entropy(outputs[:, start : start + k], chosen, reduction="none")
            start += k
        mu, c = outputs[:, start : self.num_codes], codes[:, start:]
        s = torch.full_like(mu, math.log(self.deviation)) if self.deviation else outputs[:, self.num_codes :]
        continuous = 0.5 * ((c - mu) * (-s).exp()).square() + s + 0.5 * math.log(2 * math.pi)
        return discrete, continuous.sum(1)
