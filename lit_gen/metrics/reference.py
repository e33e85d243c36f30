"""Statistics of the real images, computed once and cached by content."""

__all__ = ["Reference", "collect_reference"]

import logging
from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from lit_gen.contracts import ImageData
from lit_gen.metrics.cache import Cache, code_hash
from lit_gen.metrics.distributed import rank, sum_over_ranks, world_size
from lit_gen.metrics.feature_pass import FeaturePass
from lit_gen.metrics.features import Features
from lit_gen.metrics.moments import FeatureMoments, Moments, moments_of
from lit_gen.metrics.rows import FeatureRows, LabelRows
from lit_gen.metrics.split_share import labelled_batches

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """What metrics know of the real images.

    Attributes:
        moments: Mean and covariance of the features, if a metric needs them; where there are no more images than
            features, the mean alone, beside them all.
        features: The features of all real images, float32, shape [M, D], if a metric needs them.
        labels: Their classes, int64, shape [M], if a metric needs them.
        class_names: The classes' names in the order of their labels.
        train_features: The features of all training images, float32, shape [L, D], if a metric needs them.
    """

    moments: Moments | None = None
    features: Tensor | None = None
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    train_features: Tensor | None = None


def collect_reference(
    data: ImageData, split: str, count: int, through: FeaturePass, needs: Collection[str], empty: Features, cache: Cache
) -> Reference:
    """Returns statistics of real images from the cache, or computes and caches them.

    Arguments:
        data: The images.
        split: The split they are taken from.
        count: How many of them are taken, evenly spaced.
        through: The pass that gives their features.
        needs: Which statistics are wanted: ``"moments"``, ``"features"``, ``"labels"``.
        empty: Features of zero images, which tell their widths.
        cache: Where statistics are looked for and kept.
    """
    few = "moments" in needs and count <= empty.features.shape[1]
    if few:  # the features themselves are less than their moments, faster to reckon with, and more exact
        needs = {*needs, "features"} - {"moments"}
    wanted = [kind for kind in ("moments", "features", "labels") if kind in needs]
    key = {
        "code": code_hash(),
        "data": data.fingerprint(split),
        "split": split,
        "count": count,
        "extractor": through.extractor.describe(),
        "precision": through.precision,
    }
    found = {kind: entry for kind in wanted if (entry := cache.get(f"real_{kind}", key)) is not None}
    # Processes on other machines may have another folder: either all have everything, or all compute.
    if sum_over_ranks(int(len(found) == len(wanted))) < world_size():
        if rank() == 0:
            log.info("Computing the %s features of %d real images, once.", through.extractor.name, count)
        sums = FeatureMoments(empty.features.shape[1]).to(through.statistics_device)
        rows = FeatureRows().to(through.statistics_device)
        classes = LabelRows().to(through.statistics_device)
        kinds = (("moments", sums), ("features", rows), ("labels", classes))
        consumers = [consumer for kind, consumer in kinds if kind in wanted]
        through.feed(labelled_batches(data, split, through.batch_size, count), empty, consumers)
        found = {}
        if "moments" in wanted:
            found["moments"] = sums.compute()._asdict()
        if "features" in wanted:
            found["features"] = {"features": rows.compute()}
        if "labels" in wanted:
            found["labels"] = {"labels": classes.compute()}
        if rank() == 0:
            for kind, entry in found.items():
                cache.put(f"real_{kind}", key, entry)
    features = found["features"]["features"] if "features" in found else None
    moments = moments_of(features) if few and features is not None else None
    return Reference(
        moments=Moments(**found["moments"]) if "moments" in found else moments,
        features=features,
        labels=found["labels"]["labels"] if "labels" in found else None,
    )
