"""What models and data promise to callbacks and commands, as typing protocols.

Callbacks and commands ask what an object can do (``isinstance(model, SupportsSample)``), never what class it is, so a
user's own LightningModule gets sample grids, scores and the command line by having the right methods.
"""

__all__ = [
    "Batch",
    "Generators",
    "ImageData",
    "PointData",
    "Shape",
    "SupportsAttributes",
    "SupportsChannelData",
    "SupportsClassifierGuidance",
    "SupportsCodes",
    "SupportsDenoise",
    "SupportsDiscriminator",
    "SupportsEncode",
    "SupportsEncoderMaps",
    "SupportsFactors",
    "SupportsFeatureMaps",
    "SupportsGenerate",
    "SupportsInfluence",
    "SupportsLatentMaps",
    "SupportsLatents",
    "SupportsLogProb",
    "SupportsNoise",
    "SupportsNoiseLosses",
    "SupportsPairs",
    "SupportsRecognition",
    "SupportsReconstruct",
    "SupportsRows",
    "SupportsSample",
    "SupportsSegmentation",
    "SupportsStages",
    "SupportsStyleEncoder",
    "SupportsStyles",
    "SupportsTrajectory",
    "SupportsTranslate",
    "SupportsTranslateBack",
    "SupportsTruncation",
]

from lit_gen.contracts.batch import Batch, Generators, Shape
from lit_gen.contracts.data import (
    ImageData,
    PointData,
    SupportsChannelData,
    SupportsFactors,
    SupportsPairs,
    SupportsSegmentation,
)
from lit_gen.contracts.denoising import SupportsDenoise, SupportsNoise, SupportsNoiseLosses, SupportsStages
from lit_gen.contracts.likelihood import (
    SupportsInfluence,
    SupportsLogProb,
)
from lit_gen.contracts.networks import (
    SupportsDiscriminator,
    SupportsEncoderMaps,
    SupportsFeatureMaps,
)
from lit_gen.contracts.sampling import (
    SupportsClassifierGuidance,
    SupportsCodes,
    SupportsEncode,
    SupportsGenerate,
    SupportsLatentMaps,
    SupportsLatents,
    SupportsReconstruct,
    SupportsRows,
    SupportsSample,
    SupportsStyles,
    SupportsTrajectory,
    SupportsTruncation,
)
from lit_gen.contracts.translation import (
    SupportsAttributes,
    SupportsRecognition,
    SupportsStyleEncoder,
    SupportsTranslate,
    SupportsTranslateBack,
)
