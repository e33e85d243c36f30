"""DINOv2's features: learnt from images without labels."""

__all__ = ["DINOv2"]

from collections.abc import Mapping
from typing import Literal, TypeAlias

from torch import Tensor

from lit_gen.metrics.extractors.dinov2_network import dinov2_network
from lit_gen.metrics.extractors.published_network import IMAGENET_MEAN, IMAGENET_STD, Normalised, PublishedNetwork
from lit_gen.metrics.extractors.published_weights import PublishedWeights

SIZE = 224
Variant: TypeAlias = Literal["vit-s-14", "vit-b-14", "vit-l-14", "vit-g-14"]
_VARIANTS: dict[Variant, tuple[int, int, str]] = {  # features, layers, SHA-256 of the file
    "vit-s-14": (384, 12, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"),
    "vit-b-14": (768, 12, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),
    "vit-l-14": (1024, 24, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"),
    "vit-g-14": (1536, 40, "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3"),
}


class DINOv2(PublishedNetwork):
    """Creates the extractor of FD-DINOv2: 384 to 1536 features of RGB images at 224 × 224, no logits.

    Distances of these features agree with people's judgement better than those of Inception, which was trained on the
    classes of ImageNet alone. Resize, normalisation and features are those of torch-fidelity, which runs code from the
    internet for it; this runs none. On ViT-S/14 with random weights, relative to the spread of the features, float32
    differs from float64 by less than 2e-5, compiled or not, and bfloat16 by less than 0.05.

    References:
        | DINOv2: Learning Robust Visual Features without Supervision (Oquab et al., 2024)
        | https://arxiv.org/abs/2304.07193
        | Exposing Flaws of Generative Model Evaluation Metrics and Their Unfair Treatment of Diffusion Models
        | (Stein et al., 2023)
        | https://arxiv.org/abs/2306.04675

    Arguments:
        variant: The network: small, base, large (Stein et al.'s) or giant.
        weights_path: A file with the published state_dict; looked for in torch hub's folder and in
            ``LIT_GEN_CACHE/weights``, else downloaded, by default.
        weights_sha256: The SHA-256 that the file must have, at least its first 8 digits.
        compile: Whether the network is compiled: faster after a minute or so.
    """

    def __init__(
        self,
        variant: Variant = "vit-l-14",
        weights_path: str | None = None,
        weights_sha256: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(weights_path, weights_sha256, compile)
        self.variant = self.one_of(variant, _VARIANTS)

    @property
    def name(self) -> str:
        """``dinov2-vit-l-14``, by the variant."""
        return f"dinov2-{self.variant}"

    def published(self) -> PublishedWeights:
        """Where Meta publishes the weights."""
        name = f"dinov2_{self.variant.replace('-', '')}"
        url = f"https://dl.fbaipublicfiles.com/dinov2/{name}/{name}_pretrain.pth"
        return PublishedWeights.at(url, _VARIANTS[self.variant][2])

    def build(self, state: Mapping[str, Tensor]) -> Normalised:
        """Returns the network with these weights."""
        width, depth, _ = _VARIANTS[self.variant]
        if state["cls_token"].shape[-1] != width or f"blocks.{depth - 1}.norm1.weight" not in state:
            raise ValueError("the weights are of another variant")
        return Normalised(dinov2_network(state, SIZE), SIZE, IMAGENET_MEAN, IMAGENET_STD)
