"""``lit-gen diagnose map``: where the images of a split lie in a model's latent space, seen in two dimensions.

What a model takes for alike lies together. A latent of two numbers can be drawn as it is; of others, PCA shows the two
directions of greatest variance, and t-SNE (van der Maaten & Hinton, 2008) and UMAP (McInnes, Healy & Melville, 2018)
who is whose neighbour, at the price of distances and sizes that mean nothing.
"""

__all__ = ["run"]

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.diagnose.encoded import encoded, load_encoder, some_images
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError, nearest

_NEIGHBOURS = 10
_MOST_NAMED = 20  # classes in the legend


def run(arguments: Sequence[str]) -> int:
    """Writes ``map.png``, a panel for each way of seeing two dimensions, and ``map.csv``, a line per image and way.

    Raises:
        UserError: If an argument is wrong, the model has no encoder, or a way needs what is not installed.
    """
    parser = diagnosis_parser("See the latents of held-out images in two dimensions.")
    parser.add_argument("--split", type=str, default="test", help="the images that are encoded")
    parser.add_argument("--num_images", type=int, default=2000, help="how many of them at most, evenly spaced")
    parser.add_argument("--ways", type=str, nargs="+", default=[], help=f"of {', '.join(WAYS)}")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(_NEIGHBOURS + 1, options, "num_images")
    for way in options.ways:
        if way not in WAYS:
            raise UserError(f"--ways names '{way}'{nearest(way, WAYS) or '; there are ' + ', '.join(WAYS)}")
    if "umap" in options.ways and not _has_umap():
        raise UserError("--ways names umap, which needs the package umap-learn: pip install umap-learn")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    model = load_encoder(checkpoint, options)
    check_shape(model, data)
    images = some_images(data, options.split, options.num_images)
    if len(images.place) <= _NEIGHBOURS:
        raise UserError(f"the split {options.split} of {data.name} has fewer than {_NEIGHBOURS + 1} images")
    z = encoded(model, images)
    ways = options.ways or _suited(z.shape[1])
    if "plain" in ways and z.shape[1] != 2:
        raise UserError(f"--ways names plain, which is for latents of 2 numbers; the model's have {z.shape[1]}")

    planes = {way: WAYS[way](z, options.seed) for way in ways}
    rows = [
        {
            "way": way,
            "index": place,
            **({} if images.label is None else {"label": int(images.label[i])}),
            "x": float(plane[i, 0]),
            "y": float(plane[i, 1]),
        }
        for way, plane in planes.items()
        for i, place in enumerate(images.place.tolist())
    ]
    write_table(rows, folder / "map.csv")
    _draw(planes, images.label, data, folder)
    for way, plane in planes.items():
        print(f"{way:<6} {_told(plane, images.label)}")
    if images.label is not None:
        print(f"{'all':<6} {_told(z, images.label)} (all {z.shape[1]} numbers of the latent)")
    if not options.ways and "plain" not in ways and not _has_umap():
        print("no UMAP: the package umap-learn is not installed")
    print(f"figure and table: {folder}/map.*")
    return 0


def _plain(z: Tensor, seed: int) -> Tensor:
    return z


def _pca(z: Tensor, seed: int) -> Tensor:
    from sklearn.decomposition import PCA

    if z.shape[1] < 2:
        raise UserError("the model's latents are single numbers: there is no plane to see them in")
    return torch.from_numpy(PCA(2, svd_solver="full").fit_transform(z.double().numpy()))


def _tsne(z: Tensor, seed: int) -> Tensor:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(z) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init=_start(z), random_state=seed % 2**32).fit_transform(z.numpy())
    return torch.from_numpy(plane)


def _umap(z: Tensor, seed: int) -> Tensor:
    import umap

    return torch.from_numpy(umap.UMAP(random_state=seed % 2**32).fit_transform(z.numpy()))


def _start(z: Tensor) -> Any:
    """Returns where t-SNE begins: the principal components, small, so that the whole keeps its arrangement."""
    plane = _pca(z, 0)
    return (plane / plane.std().clamp(min=1e-12) * 1e-4).numpy().astype(numpy.float32)


WAYS: Mapping[str, Callable[[Tensor, int], Tensor]] = {"plain": _plain, "pca": _pca, "tsne": _tsne, "umap": _umap}


def _suited(size: int) -> list[str]:
    if size == 2:
        return ["plain"]
    return ["pca", "tsne", *(["umap"] if _has_umap() else [])]


def _has_umap() -> bool:
    return importlib.util.find_spec("umap") is not None


def _told(points: Tensor, label: Tensor | None) -> str:
    """Returns in words how much of the classes the points show."""
    if label is None:
        return "images without labels"
    distance = torch.cdist(points.double(), points.double()).fill_diagonal_(torch.inf)
    near = label[distance.topk(_NEIGHBOURS, largest=False).indices]
    return f"{float((near.mode(dim=1).values == label).double().mean()):.1%} have the class of most of their 10 nearest"


def _draw(planes: Mapping[str, Tensor], label: Tensor | None, data: ImageData, folder: Path) -> None:
    import matplotlib

    titles = {"plain": "the latents themselves", "pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
    figure, panels = new_figure(4.2 * len(planes) + 0.9, 4.2, len(planes))
    names = [str(name) for name in data.class_names or range(data.num_classes or 0)]
    colours = matplotlib.colormaps["tab10" if len(names) <= 10 else "turbo"]
    for (way, plane), axes in zip(planes.items(), panels, strict=True):
        if label is None:
            axes.scatter(*plane.T.numpy(), s=5, alpha=0.7, linewidths=0)
        for k in [] if label is None else label.unique().tolist():
            colour = colours(k if len(names) <= 10 else k / (len(names) - 1))
            axes.scatter(*plane[label == k].T.numpy(), s=5, alpha=0.7, linewidths=0, color=[colour], label=names[k])
        axes.set_title(titles[way])
        axes.set_aspect("equal", adjustable="datalim")
    if label is not None and len(names) <= _MOST_NAMED:
        panels[-1].legend(markerscale=3, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    save_figure(figure, folder / "map.png")
