"""Networks that are trained on real images, and judge what a model makes of them.

A judge knows what a translation should show: the label map that it was made from, the attributes that were wanted, the
domain that it should belong to. How far it recognises that in real images is the most that a model can be given for.
"""

__all__ = ["JUDGES", "AttributeJudge", "DomainJudge", "Judge", "SegmentationJudge"]

from lit_gen.metrics.judges.attributes import AttributeJudge
from lit_gen.metrics.judges.domains import DomainJudge
from lit_gen.metrics.judges.judge import Judge
from lit_gen.metrics.judges.segmentation import SegmentationJudge

JUDGES: dict[str, type[Judge]] = {judge.name: judge for judge in (SegmentationJudge, AttributeJudge, DomainJudge)}
"""Every judge by the name that its scores are asked for."""
