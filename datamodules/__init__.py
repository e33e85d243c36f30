"""LightningDataModules, one data source per file, imported as ``lit_gen.datamodules``.

Every datamodule keeps its images as uint8, splits them once by seed into ``train``, ``val`` and ``test``, and yields
batches as dicts: ``image`` [B, C, H, W] (float32 in [−1, 1] once it is on the device), ``index`` [B] (the image's place
in its split) and ``label`` [B] when there are labels. Points of toy worlds are images of one pixel, and are float32
without bounds throughout.

For translation there is also what an ``image`` is made from: ``source`` [B, C', H, W], its own or one that is drawn
independently; ``label_map`` [B, H, W], int64 with 255 for unknown, and perhaps ``instance`` [B, H, W], int32; or
``attributes`` [B, A], float32 in {0, 1}.
"""

__all__ = [
    "AttributeImages",
    "CIFAR10",
    "Digits",
    "FashionMNIST",
    "ImageDataModule",
    "ImageFolder",
    "LabelledMaps",
    "MNIST",
    "PairedImages",
    "Points2D",
    "Sprites",
    "StackedMNIST",
    "UnpairedImages",
]

from lit_gen.datamodules.attribute_images import AttributeImages
from lit_gen.datamodules.cifar import CIFAR10
from lit_gen.datamodules.digits import Digits
from lit_gen.datamodules.image_data import ImageDataModule
from lit_gen.datamodules.image_folder import ImageFolder
from lit_gen.datamodules.labelled_maps import LabelledMaps
from lit_gen.datamodules.mnist import MNIST, FashionMNIST
from lit_gen.datamodules.paired_images import PairedImages
from lit_gen.datamodules.points2d import Points2D
from lit_gen.datamodules.sprites import Sprites
from lit_gen.datamodules.stacked_mnist import StackedMNIST
from lit_gen.datamodules.unpaired_images import UnpairedImages
