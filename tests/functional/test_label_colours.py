import torch

from lit_gen.functional.label_colours import label_colours, labels_of_colours


def test_colours_are_all_different():
    labels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    colours = label_colours(labels)
    assert colours.shape == (1, 3, 16, 16) and colours.dtype == torch.uint8
    assert len({tuple(colour) for colour in colours[0].flatten(1).T.tolist()}) == 256
    assert torch.equal(colours, label_colours(labels.long()))


def test_colours_are_those_of_pascal_voc():
    # Aeroplane, bicycle, bird, boat, bottle, …, as the challenge's palette has them.
    known = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
             (128, 128, 128), (64, 0, 0), (192, 0, 0)]  # fmt: skip
    colours = label_colours(torch.arange(10).reshape(1, 1, 10))
    assert [tuple(colour) for colour in colours[0, :, 0].T.tolist()] == known
    assert label_colours(torch.full((1, 1, 1), 255)).flatten().tolist() == [255, 255, 255]


def test_colours_become_the_labels_that_they_are_of():
    labels = torch.arange(256, dtype=torch.uint8).reshape(2, 16, 8)
    assert torch.equal(labels_of_colours(label_colours(labels)), labels.long())
    # Of the 2²⁴ colours all but those 256 are nobody's, and unknown.
    other = torch.tensor([[1, 0, 0], [0, 0, 127], [255, 255, 254], [129, 128, 128]], dtype=torch.uint8)
    assert labels_of_colours(other.T.reshape(1, 3, 2, 2)).flatten().tolist() == [255] * 4
