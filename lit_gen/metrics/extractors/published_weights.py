"""Weights that somebody published: found on this machine, or downloaded once."""

__all__ = ["PublishedWeights", "find_weights", "get_weights"]

import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor

from lit_gen.errors import UserError, first_line
from lit_gen.metrics.cache import cache_folder
from lit_gen.metrics.distributed import from_rank_zero
from lit_gen.metrics.extractors.weights import check_file, load_weights

log = logging.getLogger(__name__)

_ADVICE = "name the file by --extractor.weights_path, or use --extractor Classifier, which needs none"


@dataclass(frozen=True)
class PublishedWeights:
    """Where weights are published, and how they are recognised.

    Attributes:
        url: The address.
        sha256: The SHA-256 of the file in hexadecimal digits, all 64 or the first 8 or more.
        file: The file's name in cache folders.
    """

    url: str
    sha256: str
    file: str

    @classmethod
    def at(cls, url: str, sha256: str | None = None) -> "PublishedWeights":
        """Describes a file by its address; without a hash, its name ends with the hash's first digits: ``-397923af``.

        That is the convention of torch hub, by which torchvision and torch-fidelity name their files.
        """
        file = Path(urlparse(url).path).name
        digits = re.search(r"-([0-9a-f]{8,64})\.", file)
        assert sha256 or digits, "the hash is given or in the name"
        return cls(url, sha256 or digits[1], file)  # type: ignore[index]

    @classmethod
    def torchvision(cls, name: str) -> "PublishedWeights":
        """Describes weights of torchvision by their name: ``VGG16_Weights.IMAGENET1K_V1``."""
        from torchvision.models import get_weight

        return cls.at(get_weight(name).url)


def find_weights(published: PublishedWeights, advice: str = _ADVICE) -> Path:
    """Returns the file, whole, from torch hub's folder or ``LIT_GEN_CACHE/weights``, or downloads it to the first.

    A file whose hash is wrong is passed over, and replaced by the download. The download goes to another name, is
    checked, and only then moved in place.

    Raises:
        UserError: If the file is not there and cannot be downloaded.
    """
    folders = (Path(torch.hub.get_dir()) / "checkpoints", cache_folder() / "weights")
    passed_over = ""
    for folder in folders:
        path = folder / published.file
        if path.is_file():
            try:
                check_file(path, published.sha256)
            except UserError as error:
                log.warning("%s; it is not used.", error)
                passed_over = f" ({path} is damaged or another file)"
            else:
                return path
    path = folders[0] / published.file
    log.info("Downloading %s to %s, once …", published.url, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(published.url, str(path), published.sha256, progress=sys.stderr.isatty())
    except Exception as error:  # no network, no permission, a full disk, a wrong hash: all end in the same advice
        raise UserError(
            f"the weights are not at {path}{passed_over} and could not be downloaded ({first_line(error)}); get "
            f"{published.url} and put it there, or {advice}"
        ) from error
    return path


def get_weights(
    published: PublishedWeights, path: str | None = None, sha256: str | None = None, advice: str = _ADVICE
) -> tuple[dict[str, Tensor], str]:
    """Returns weights and the name of where they came from: the user's file, else what was published.

    In several processes the first one looks for them and reads them, and all take its weights.

    Arguments:
        published: Where they are published.
        path: The user's own file.
        sha256: The SHA-256 that the file must have; by default what was published is checked, and the user's is not.
        advice: What else can be done where they cannot be had, for the message.

    Raises:
        UserError: If they cannot be had, on every process.
    """

    def read() -> tuple[dict[str, Tensor], str]:
        if path is not None:
            return load_weights(path, sha256), path
        found = find_weights(published, advice)
        return load_weights(found, sha256 or published.sha256), str(found)

    return from_rank_zero(read)
