"""Random forests that predict factors from latents, and what they find important."""

__all__ = ["FactorPrediction", "predict_factors"]

from typing import NamedTuple

import torch
from torch import Tensor

_DEPTHS = (2, 4, 8, 16)


class FactorPrediction(NamedTuple):
    """What forests make of latents.

    Attributes:
        importance: How important latent i is to the forest of factor j, float64 [D, F]; a column's sum is 1, or 0 if
            nothing is.
        accuracy: The share of held-out images of which each factor is told rightly, float64 [F].
    """

    importance: Tensor
    accuracy: Tensor


def predict_factors(latents: Tensor, factors: Tensor, seed: int, trees: int = 50) -> FactorPrediction:
    """Fits a random forest to every factor on one half of the images, drawn by seed, and judges it on the other.

    It is one of the two kinds of predictors of the paper; the importance of a latent is the impurity that splits by it
    remove. Every split may choose among all latents, and the depth is the best of 2, 4, 8 and 16 by the images outside
    of a tree's bag.

    References:
        | A Framework for the Quantitative Evaluation of Disentangled Representations (Eastwood & Williams, 2018)
        | https://openreview.net/forum?id=By-7dz-AZ

    Arguments:
        latents: One per image, shape [N, D].
        factors: The images' factors, integers, shape [N, F].
        seed: Fixes the halves and the forests.
        trees: The trees of a forest.
    """
    from sklearn.ensemble import RandomForestClassifier

    order = torch.randperm(len(latents), generator=torch.Generator().manual_seed(seed))
    fitted, held_out = order[: len(order) // 2].numpy(), order[len(order) // 2 :].numpy()
    z, importance, accuracy = latents.float().numpy(), [], []
    for v in factors.T.numpy():
        forests = [
            RandomForestClassifier(
                trees, max_depth=depth, max_features=None, oob_score=True, random_state=seed % 2**32
            ).fit(z[fitted], v[fitted])
            for depth in _DEPTHS
        ]
        best = max(forests, key=lambda forest: float(forest.oob_score_))  # the least deep among equals
        importance.append(torch.from_numpy(best.feature_importances_).double())
        accuracy.append(float(best.score(z[held_out], v[held_out])))
    return FactorPrediction(torch.stack(importance, dim=1), torch.tensor(accuracy, dtype=torch.float64))
