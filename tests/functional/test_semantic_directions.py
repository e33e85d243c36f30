import torch

from lit_gen.functional.semantic_directions import semantic_directions


def test_the_right_singular_vectors_of_a_known_matrix_are_found():
    generator = torch.Generator().manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(30, 5, generator=generator, dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(8, 5, generator=generator, dtype=torch.float64))
    s = torch.tensor([9.0, 5.0, 3.0, 2.0, 0.5], dtype=torch.float64)
    directions, stretch = semantic_directions([u @ torch.diag(s) @ v.T], 5)
    torch.testing.assert_close(stretch, s**2)
    torch.testing.assert_close((directions @ v).abs(), torch.eye(5, dtype=torch.float64), atol=1e-9, rtol=0)
    assert (directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_several_layers_count_together_and_none_is_stretched_more():
    a, b = torch.randn(2, 20, 6, generator=torch.Generator().manual_seed(1))
    directions, stretch = semantic_directions([a, b], 6)
    torch.testing.assert_close(directions @ directions.T, torch.eye(6, dtype=torch.float64))
    moved = (torch.cat([a, b]).double() @ directions.T).square().sum(dim=0)
    torch.testing.assert_close(moved, stretch)
    others = torch.nn.functional.normalize(torch.randn(1000, 6), dim=1).double()
    assert ((torch.cat([a, b]).double() @ others.T).square().sum(dim=0) <= stretch[0]).all()
