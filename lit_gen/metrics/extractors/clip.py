"""CLIP's features of images: learnt from pictures and their captions."""

__all__ = ["CLIP"]

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lit_gen.metrics.extractors.published_network import Normalised, PublishedNetwork
from lit_gen.metrics.extractors.published_weights import PublishedWeights

Variant: TypeAlias = Literal[
    "vit-b-32", "vit-b-16", "vit-l-14", "vit-l-14-336px", "rn50", "rn101", "rn50x4", "rn50x16", "rn50x64"
]
_VARIANTS: dict[Variant, tuple[int, int, int]] = {  # features, the images' side, the side of the first convolution
    "vit-b-32": (512, 224, 32),
    "vit-b-16": (512, 224, 16),
    "vit-l-14": (768, 224, 14),
    "vit-l-14-336px": (768, 336, 14),
    "rn50": (1024, 224, 3),
    "rn101": (512, 224, 3),
    "rn50x4": (640, 288, 3),
    "rn50x16": (768, 384, 3),
    "rn50x64": (1024, 448, 3),
}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class CLIP(PublishedNetwork):
    """Creates the extractor of CLIP's image embeddings: 512 to 1024 features of RGB images, no logits.

    The network, its resize and its normalisation are torch-fidelity's; grey images are repeated into three channels.
    Embeddings are not scaled to unit length, as FD-CLIP has them. On ViT-B/32 with random weights, relative to the
    spread of the features, float32 differs from float64 by less than 2e-5, compiled or not, and bfloat16 by less
    than 0.05.

    References:
        | Learning Transferable Visual Models From Natural Language Supervision (Radford et al., 2021)
        | https://arxiv.org/abs/2103.00020
        | The Role of ImageNet Classes in Fréchet Inception Distance (Kynkäänniemi et al., 2023)
        | https://arxiv.org/abs/2203.06026

    Arguments:
        variant: The network; Kynkäänniemi et al.'s by default.
        weights_path: A file with the state_dict, of the images' part alone if you like; looked for in torch hub's
            folder and in ``LIT_GEN_CACHE/weights``, else downloaded, by default. A TorchScript file, as those that are
            published, needs its whole ``weights_sha256``.
        weights_sha256: The SHA-256 that the file must have, at least its first 8 digits.
        compile: Whether the network is compiled: faster after a minute or so.
    """

    def __init__(
        self,
        variant: Variant = "vit-b-32",
        weights_path: str | None = None,
        weights_sha256: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(weights_path, weights_sha256, compile)
        self.variant = self.one_of(variant, _VARIANTS)

    @property
    def name(self) -> str:
        """``clip-vit-b-32``, by the variant."""
        return f"clip-{self.variant}"

    def published(self) -> PublishedWeights:
        """Where OpenAI publishes the weights, under the name that torch-fidelity keeps them by."""
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS

        sha256 = MODEL_METADATA[self.name]["hash"]
        return PublishedWeights(MODEL_URLS[self.name], sha256, f"{self.name}-{sha256}.pt")

    def relevant(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the weights of the images' part: captions decide no feature."""
        return {name: value for name, value in state.items() if name.startswith("visual.")}

    def build(self, state: Mapping[str, Tensor]) -> Normalised:
        """Returns the network with these weights."""
        from torch_fidelity.feature_extractor_clip import build_model

        transformer = "visual.proj" in state
        features = state["visual.proj"].shape[1] if transformer else len(state["visual.attnpool.c_proj.weight"])
        # torch-fidelity reads the number of features off the captions' part, and takes names out of what it is given.
        network = build_model({**state, "text_projection": torch.empty(0, features)}, torch.float32).visual
        patch = network.conv1.kernel_size[0]
        if (features, network.input_resolution, patch) != _VARIANTS[self.variant]:
            raise ValueError("the weights are of another variant")
        return Normalised(network, network.input_resolution, MEAN, STD)
