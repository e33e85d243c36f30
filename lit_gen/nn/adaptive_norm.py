"""Instance norm whose gain and bias are made from a style."""

__all__ = ["AdaptiveInstanceNorm2d"]

from torch import Tensor, nn


class AdaptiveInstanceNorm2d(nn.Module):
    r"""Creates adaptive instance norm (AdaIN): (1 + γ(s)) · (x − μ(x))/σ(x) + β(s), image by image.

    References:
        | Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization (Huang & Belongie, 2017)
        | https://arxiv.org/abs/1703.06868

        | A Style-Based Generator Architecture for Generative Adversarial Networks (Karras et al., 2019), equation (1)
        | https://arxiv.org/abs/1812.04948

    Arguments:
        features: The channels C.
        style_dim: The size S of styles.
    """

    def __init__(self, features: int, style_dim: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(features, affine=False, track_running_stats=False)
        self.affine = nn.Linear(style_dim, 2 * features)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Normalises maps [B, C, H, W] by styles [B, S]."""
        gamma, beta = self.affine(s)[:, :, None, None].chunk(2, dim=1)
        return (1.0 + gamma) * self.norm(x) + beta
