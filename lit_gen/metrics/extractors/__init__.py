"""Feature extractors: what turns images into the points that scores are computed from."""

__all__ = ["Classifier", "Extractor", "InceptionV3", "TorchModule"]

from lit_gen.metrics.extractors.classifier import Classifier
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.inception_v3 import InceptionV3
from lit_gen.metrics.extractors.torch_module import TorchModule
