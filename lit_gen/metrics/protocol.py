"""How a score came about: what must be alike for two scores to be compared."""

__all__ = ["MATTERS_TO", "EvaluationProtocol"]

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from typing_extensions import Self

from lit_gen.errors import UserError
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
}
"""The fields that matter to some metrics alone; all others matter to every one."""


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
        weights: ``"ema"`` or ``"raw"``: which of a model's weights generated the images; ``"real"`` for real images.
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

    @property
    def hash(self) -> str:
        """The SHA-256 of all fields: equal for equal circumstances."""
        return content_hash(dataclasses.asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields and the ``hash`` as plain values that JSON keeps as they are."""
        return {**dataclasses.asdict(self), "image_shape": list(self.image_shape), "hash": self.hash}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Returns the protocol that `to_dict` wrote.

        Raises:
            UserError: If fields are missing or unknown, as in what another version wrote, or the hash is not theirs.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        missing, unknown = names - set(values), set(values) - names - {"hash"}
        if missing or unknown:
            said = [
                f"{what} {', '.join(sorted(some))}" for what, some in (("lacks", missing), ("has", unknown)) if some
            ]
            raise UserError(f"the protocol is not of lit_gen's present form: it {' and '.join(said)}; evaluate anew")
        fields = {name: values[name] for name in names}
        if not isinstance(fields["image_shape"], list | tuple) or len(fields["image_shape"]) != 3:
            raise UserError(f"the protocol's image_shape is {fields['image_shape']!r}, but must be three numbers")
        protocol = cls(**{**fields, "image_shape": tuple(fields["image_shape"])})
        if values.get("hash", protocol.hash) != protocol.hash:
            raise UserError("the protocol's hash is not that of its fields: the file was changed; evaluate anew")
        return protocol

    def differences(
        self, other: "EvaluationProtocol", metrics: Collection[str] | str | None = None
    ) -> dict[str, tuple[Any, Any]]:
        """Returns the fields in which two protocols differ: name → (this one's value, the other's).

        Arguments:
            other: The other protocol.
            metrics: The metric, or the metrics, to be compared: fields that matter to none of them are left out, such
                as ``kid_subsets`` for ``fid``. Every field counts by default.
        """
        chosen = {metrics} if isinstance(metrics, str) else metrics
        names = [
            field.name
            for field in dataclasses.fields(self)
            if chosen is None or field.name not in MATTERS_TO or set(MATTERS_TO[field.name]) & set(chosen)
        ]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
