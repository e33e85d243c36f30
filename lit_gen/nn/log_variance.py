"""How uncertain a denoiser is at each level of noise."""

__all__ = ["LogVariance"]

from torch import Tensor, nn

from lit_gen.nn.time_embedding import waves


class LogVariance(nn.Module):
    r"""Creates a learned log-variance u(t) of the error, which starts at 0.

    With the loss :math:`L \, e^{-u} + u` every level of noise comes to count as much as any other, and u to be log L.

    References:
        | Analyzing and Improving the Training Dynamics of Diffusion Models (Karras et al., 2024)
        | https://arxiv.org/abs/2312.02696

    Arguments:
        features: The numbers of waves that the time is told by.
    """

    def __init__(self, features: int = 128) -> None:
        super().__init__()
        self.features = features
        self.last = nn.Linear(features, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, c: Tensor) -> Tensor:
        """Maps conditions [B] to log-variances [B]."""
        return self.last(waves(c, self.features).to(self.last.weight.dtype)).flatten()
