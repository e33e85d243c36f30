"""The codebook of vector quantisation, whose codes are moving averages of the vectors nearest to them."""

__all__ = ["VectorQuantizer"]


import torch
import torch.distributed as dist
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.functional.across_processes import sum_across_processes


class VectorQuantizer(nn.Module):
    r"""Creates a codebook :math:`e_1, …, e_K`, which the vectors that are to be quantised move.

    With n_i vectors z of a batch nearest to code i,

    .. math::
        N_i \leftarrow \gamma N_i + (1 - \gamma) n_i, \quad
        m_i \leftarrow \gamma m_i + (1 - \gamma) \sum_j z_{ij}, \quad e_i = m_i / N_i

    Averages start from nothing, so that a code's first value is that of its first vectors. A code that has become rare
    is set to one of the batch's vectors, which is also how most codes of a new codebook start. In training mode forward
    only remembers vectors; `update` moves the codes, once per step, by the vectors of all processes.

    References:
        | Neural Discrete Representation Learning (van den Oord, Vinyals & Kavukcuoglu, 2017), appendix A.1
        | https://arxiv.org/abs/1711.00937

        | Jukebox: A Generative Model for Music (Dhariwal et al., 2020), section 3.1: restarts
        | https://arxiv.org/abs/2005.00341

    Arguments:
        num_codes: The number of codes K.
        code_dim: Their size D.
        decay: The averages' decay γ.
        restart_below: A code is rare when its average count N_i is below this share of what it would be were all codes
            alike; 0 for no restarts. One that was restarted counts as average at first.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, num_codes: int, code_dim: int, decay: float = 0.99, restart_below: float = 0.03) -> None:
        super().__init__()
        if num_codes < 2 or code_dim < 1:
            raise UserError(f"num_codes is {num_codes} and code_dim {code_dim}; these must be at least 2 and 1")
        if not 0 <= decay < 1:
            raise UserError(f"decay is {decay}, and must be at least 0 and below 1")
        if not 0 <= restart_below < 1:
            raise UserError(f"restart_below is {restart_below}, and must be at least 0 and below 1")
        self.decay, self.restart_below = decay, restart_below
        self.register_buffer("codebook", torch.randn(num_codes, code_dim))
        self.register_buffer("counts", torch.zeros(num_codes))
        self.register_buffer("sums", torch.zeros(num_codes, code_dim))
        self._seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises maps.

        Arguments:
            z: Maps [B, D, h, w].

        Returns:
            The nearest codes in their place, [B, D, h, w], whose gradient is passed straight on to z; the squared
            distance to them, a mean over numbers, whose gradient draws z to its codes; and which ones, int64 [B, h, w].
        """
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            codes = self.nearest(z)
            if self.training and torch.is_grad_enabled():
                self._seen.append((_rows(z.detach()), codes.flatten()))
            e = self.look_up(codes)
            return z + (e - z).detach(), (z - e).square().mean(), codes

    def nearest(self, z: Tensor) -> Tensor:
        """Maps maps [B, D, h, w] to the codes nearest to their vectors, int64 [B, h, w]."""
        with torch.autocast(z.device.type, enabled=False):  # rounded products find other codes
            rows = _rows(z.detach().float())
            # ‖z − e‖² without ‖z‖², which is the same for every code.
            distance = self.codebook.square().sum(1) - 2 * rows @ self.codebook.T
        return distance.argmin(1).unflatten(0, (z.shape[0], *z.shape[2:]))

    def look_up(self, codes: Tensor) -> Tensor:
        """Maps codes, int64 [B, h, w], to maps [B, D, h, w]."""
        return self.codebook[codes].permute(0, 3, 1, 2)

    @torch.no_grad()
    def update(self, seed: int) -> dict[str, Tensor]:
        """Moves the codes by the vectors seen since the last time, on all processes alike; all must call it.

        Arguments:
            seed: The seed of restarts, the same on all processes.

        Returns:
            Scalars of this step: ``perplexity``, e to the entropy of the codes' shares, which is K when all are used
            alike, ``codes_used`` and ``codes_restarted``.
        """
        assert self._seen, "update comes after forward passes in training mode"
        z, codes = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        num_codes = len(self.codebook)
        n = sum_across_processes(torch.bincount(codes, minlength=num_codes).to(z.dtype))
        m = sum_across_processes(torch.zeros_like(self.sums).index_add_(0, codes, z))
        self.counts.lerp_(n, 1 - self.decay)
        self.sums.lerp_(m, 1 - self.decay)
        means = self.sums / self.counts.clamp(min=1e-12)[:, None]
        self.codebook.copy_(torch.where(self.counts[:, None] > 1e-12, means, self.codebook))
        share = n / n.sum()
        entropy = -torch.special.xlogy(share, share).sum()
        return {
            "perplexity": entropy.exp(),
            "codes_used": (n > 0).sum().float(),
            "codes_restarted": self._restart(z, float(n.sum()) / num_codes, seed),
        }

    def _restart(self, z: Tensor, average: float, seed: int) -> Tensor:
        """Sets rare codes to vectors drawn from z [N, D] of all processes, as one process with all would draw them."""
        rare = (self.counts < self.restart_below * average).nonzero()[:, 0]
        parallel = dist.is_available() and dist.is_initialized()
        rank, num = (dist.get_rank(), dist.get_world_size()) if parallel else (0, 1)
        total, first = len(z) * num, len(z) * rank
        order = torch.randperm(total, generator=torch.Generator().manual_seed(seed)).to(z.device)
        rare, order = rare[:total], order[: len(rare)]
        own = (order >= first) & (order < first + len(z))
        drawn = z.new_zeros(len(rare), z.shape[1])
        drawn[own] = z[order[own] - first]
        drawn = sum_across_processes(drawn)
        self.codebook[rare] = drawn
        self.counts[rare] = average
        self.sums[rare] = drawn * average
        return drawn.new_tensor(len(rare))


def _rows(z: Tensor) -> Tensor:
    """Returns the vectors of maps [B, D, h, w], [B·h·w, D]."""
    return z.permute(0, 2, 3, 1).flatten(0, 2)
