"""How a score came about: what must be alike for two scores to be compared."""

__all__ = ["MATTERS_TO", "EvaluationProtocol", "is_of_model"]

import dataclasses
from typing import Any

from lit_gen.metrics.cache import content_hash

MATTERS_TO = {
    "kid_subsets": ("kid", "kid_rbf"),
    "kid_subset_size": ("kid", "kid_rbf"),
    "is_splits": ("is",),
    "pr_neighbours": ("pr",),
    "dc_neighbours": ("dc",),
    "kid_rbf_sigma": ("kid_rbf",),
    "cmmd_sigma": ("cmmd",),
    "fid_inf_points": ("fid_inf",),
    "mifid_fingerprint": ("mifid",),
    "sampling": (),
}
"""The fields that matter to some metrics alone, or to none; all others matter to every one."""


@dataclasses.dataclass(frozen=True)
class EvaluationProtocol:
    """The circumstances of an evaluation.

    Attributes:
        data: The name of the real images' source.
        data_fingerprint: The hash of the split's content.
        split: The split that generated images are compared with.
        num_real: The number of real images, evenly spaced in the split.
        num_samples: The number of generated images.
        image_shape: Channels, height and width of the images, real and generated.
        resize: How images are brought to the extractor's size.
        quantisation: How generated images become uint8.
        extractor: The extractor's name.
        extractor_hash: The SHA-256 of the extractor's weights.
        extractor_accuracy: A classifier's accuracy on the test split in [0, 1]; None where it is not known.
        precision: The arithmetic of the features.
        weights: ``"ema"``, ``"ema:5000"`` or ``"raw"``: which of a model's weights generated the images, averaged ones
            of the first half-life or of another, in images, or those last trained, and after a comma how else it was
            sampled, such as ``"ema, classifier guidance 2"``; ``"real"`` for real images.
        labels: Who chose the classes of generated images: ``"model"``, or ``"balanced"``: image i is of class
            i modulo the number of classes, whatever the frequencies in the split.
        seed: The seed of the images, of subsets and of shuffling; the first of several.
        repeats: The number of seeds, which follow one on another, that the scores are averaged over.
        kid_subsets: The number of subsets of the kernel distance.
        kid_subset_size: The number of images in each.
        is_splits: The number of parts of the Inception Score.
        pr_neighbours: The neighbours that a ball reaches in precision and recall.
        dc_neighbours: The neighbours that a ball reaches in density and coverage.
        kid_rbf_sigma: The bandwidth of the kernel distance with a Gaussian kernel.
        cmmd_sigma: The bandwidth of CMMD.
        fid_inf_points: The number of subset sizes that the extrapolated distance is fitted to.
        mifid_fingerprint: The hash of the training split, whose images' memorisation is measured whatever the split of
            the distance: a copy of a training image looks innocent beside test images.
        version: The version of lit_gen.
        sampling: How a diffusion model made the images, such as ``"guidance 3"``, if not as its run says. Like what the
            run says of it, this belongs to the model, not to how it is judged.
    """

    data: str
    data_fingerprint: str
    split: str
    num_real: int
    num_samples: int
    image_shape: tuple[int, int, int]
    resize: str
    quantisation: str
    extractor: str
    extractor_hash: str
    extractor_accuracy: float | None
    precision: str
    weights: str
    labels: str
    seed: int
    repeats: int
    kid_subsets: int
    kid_subset_size: int
    is_splits: int
    pr_neighbours: int
    dc_neighbours: int
    kid_rbf_sigma: float
    cmmd_sigma: float
    fid_inf_points: int
    mifid_fingerprint: str | None
    version: str
    sampling: str | None = None

    @property
    def hash(self) -> str:
        """The SHA-256 of all fields: equal for equal circumstances."""
        return content_hash(dataclasses.asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields and the ``hash`` as plain values that JSON keeps as they are."""
        return {**dataclasses.asdict(self), "image_shape": list(self.image_shape), "hash": self.hash}

    def differences(self, other: "EvaluationProtocol") -> dict[str, tuple[Any, Any]]:
        """Returns the fields in which two protocols differ: name → (this one's value, the other's)."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


def is_of_model(weights: str) -> bool:
    """Whether a protocol's ``weights`` are a model's: given or real images have none."""
    name = weights.partition(",")[0]
    return name == "raw" or name.partition(":")[0] == "ema"
