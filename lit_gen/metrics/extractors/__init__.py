"""Feature extractors: what turns images into the points that scores are computed from."""

__all__ = ["CLIP", "Classifier", "DINOv2", "Extractor", "InceptionV3", "TorchModule", "VGG16"]

from lit_gen.metrics.extractors.classifier import Classifier
from lit_gen.metrics.extractors.clip import CLIP
from lit_gen.metrics.extractors.dinov2 import DINOv2
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.inception_v3 import InceptionV3
from lit_gen.metrics.extractors.torch_module import TorchModule
from lit_gen.metrics.extractors.vgg16 import VGG16
