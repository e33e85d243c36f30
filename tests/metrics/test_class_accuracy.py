"""The share of images that show their class, against counting by hand and against the classifier's own accuracy."""

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.metrics import Evaluator
from lit_gen.metrics.class_accuracy import ClassAccuracy
from lit_gen.metrics.extractors import Classifier, TorchModule
from lit_gen.metrics.features import Features
from lit_gen.metrics.split_share import labelled_batches, split_batches


def test_right_ones_are_counted_once_in_any_order():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [0.0, 1.0, 3.0], [5.0, 1.0, 3.0], [0.0, 9.0, 3.0]])
    label = torch.tensor([0, 2, 1, 0, 1])  # four of five are right
    metric = ClassAccuracy(3)
    for index in torch.tensor([4, 0, 3, 1, 2]).split(2):
        metric.update(Features(torch.zeros(len(index), 2), logits[index], label[index]), index)
    scores = metric.compute()
    assert scores["class_accuracy_mean"].item() == pytest.approx(0.8)
    assert scores["class_accuracy_std"].item() == pytest.approx((0.8 * 0.2 / 5) ** 0.5)
    metric.update(Features(torch.zeros(1, 2), logits[:1], label[:1]), torch.tensor([3]))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()
    with pytest.raises(UserError, match="is not told"):
        metric.update(Features(torch.zeros(1, 2), logits[:1]), torch.tensor([9]))


def test_of_real_images_it_is_the_classifiers_accuracy_and_of_shifted_labels_near_none(squares, cache_dir):
    data = squares()
    count = data.num_images("test")
    evaluator = Evaluator(Classifier(), "class_accuracy", num_samples=count)
    evaluator.prepare(data)
    batches = list(labelled_batches(data, "test", 50))
    result = evaluator.evaluate(batches, "real")
    assert result.metrics["class_accuracy_mean"] == pytest.approx(result.protocol.extractor_accuracy)
    shifted = [(index, image, (label + 1) % data.num_classes) for index, image, label in batches]
    assert evaluator.evaluate(shifted, "real").metrics["class_accuracy_mean"] < 0.5
    with pytest.raises(UserError, match="class of every generated image"):
        evaluator.evaluate(split_batches(data, "test", 50))


def test_extractors_of_other_classes_or_of_none_are_refused_before_anything_is_drawn(squares, cache_dir):
    with pytest.raises(UserError, match="gives no logits, which class_accuracy needs"):
        Evaluator(TorchModule("torch.nn.Flatten"), "class_accuracy", num_samples=20).prepare(squares())
    with pytest.raises(UserError, match="have no labels, which class_accuracy needs"):
        Evaluator(TorchModule("torch.nn.Flatten"), "class_accuracy").prepare(squares(classes=None))
