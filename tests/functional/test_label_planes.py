"""Planes of classes and of instances' edges, by hand."""

import torch

from lit_gen.functional.instance_edges import instance_edges
from lit_gen.functional.label_planes import label_planes


def test_each_pixel_has_one_plane_and_the_unknown_have_the_last() -> None:
    for dtype in (torch.int64, torch.uint8):
        planes = label_planes(torch.tensor([[[0, 2], [255, 1], [3, 200]]], dtype=dtype), 3)
        assert planes.shape == (1, 4, 3, 2) and planes.dtype == torch.float32 and planes.is_contiguous()
        assert planes.argmax(1).tolist() == [[[0, 2], [3, 1], [3, 3]]]
        assert torch.equal(planes.sum(1), torch.ones(1, 3, 2))
        assert set(planes.unique().tolist()) == {0.0, 1.0}


def test_all_256_values_are_told_apart_where_there_are_255_classes() -> None:
    planes = label_planes(torch.arange(256, dtype=torch.uint8).view(1, 16, 16), 255)
    assert torch.equal(planes.argmax(1).flatten(), torch.arange(256))


def test_both_sides_of_a_border_are_edges() -> None:
    instance = torch.tensor([[7, 7, 7, 9], [7, 7, 7, 9], [7, 7, 7, 7], [-1, 7, 7, 7]], dtype=torch.int32)
    edges = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]])
    found = instance_edges(torch.stack([instance, torch.full_like(instance, 5)]))
    assert found.shape == (2, 1, 4, 4) and found.dtype == torch.float32
    assert torch.equal(found[0, 0], edges.float()) and not found[1].any()
    assert not instance_edges(instance[None, :1, :1]).any()
