import gc
import itertools
import os
import re
import signal
import time
from io import BytesIO

import pytest
import torch

from lit_gen.datamodules.loader import ResumableLoader
from lit_gen.datamodules.order import Order
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.datamodules.worker_loader import WorkerLoader
from lit_gen.errors import UserError


class Numbers:
    """Images whose pixels tell index and epoch, with the process that made them as label."""

    def __init__(self, size, fail=None):
        self.size, self.fail = size, fail

    def __len__(self):
        return self.size

    def item(self, index, epoch):
        if self.fail and index == 13:
            self.fail()
        return {"image": torch.tensor([[[index, epoch]]], dtype=torch.uint8), "label": torch.tensor(os.getpid())}


def user_error():
    raise UserError("images/13.png is damaged")


def defect():
    raise RuntimeError("a defect")


def die():
    time.sleep(0.2)  # until earlier batches have left; a process killed while sending one leaves a lock behind
    os.kill(os.getpid(), signal.SIGKILL)


def tensors(size, batch_size, **order):
    image = torch.arange(size, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return TensorLoader({"image": image, "label": torch.arange(size)}, batch_size, **order)


def workers(num_workers):
    return lambda size, batch_size, **order: WorkerLoader(Numbers(size), batch_size, num_workers=num_workers, **order)


TRAINING = {"shuffle": True, "drop_last": True}
LOADERS = pytest.mark.parametrize("make", [tensors, workers(0), workers(2)], ids=["tensors", "inline", "workers"])


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def indices(loader):
    return [batch["index"].tolist() for batch in loader]


@LOADERS
def test_batches_hold_what_they_say(make):
    for batch in make(10, 4):
        assert batch["index"].dtype == torch.int64 and batch["image"].dtype == torch.uint8
        assert batch["image"].shape[:2] == (len(batch["index"]), 1)
        assert batch["image"][:, 0, 0, 0].tolist() == batch["index"].tolist()
        assert "epoch" not in batch
    loader = make(10, 4, **TRAINING)
    for epoch in range(2):
        assert {value for batch in loader for value in batch["epoch"].tolist()} == {epoch}


@pytest.mark.parametrize("world_size", [1, 2, 3])
@LOADERS
def test_training_shards_are_equal_and_disjoint(make, world_size):
    loaders = [make(50, 4, **TRAINING, rank=rank, world_size=world_size) for rank in range(world_size)]
    whole = make(50, 4 * world_size, **TRAINING)
    for _ in range(2):
        shards = [indices(loader) for loader in loaders]
        assert (
            [len(shard) for shard in shards]
            == [len(loader) for loader in loaders]
            == [50 // (4 * world_size)] * (world_size)
        )
        # Side by side, the ranks' batches are the batch that one process would have taken.
        side_by_side = [flat(batches) for batches in zip(*shards, strict=True)]
        assert side_by_side == indices(whole)
        seen = flat(side_by_side)
        assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("make", "size", "world_size"),
    [(tensors, size, world_size) for size in (1, 2, 11, 12, 13) for world_size in (1, 2, 3)] + [(workers(2), 11, 3)],
)
def test_evaluation_shards_partition_the_split(make, world_size, size):
    shards = []
    for rank in range(world_size):
        loader = make(size, 4, rank=rank, world_size=world_size)
        batches = indices(loader)
        assert len(batches) == len(loader)
        assert flat(batches) == list(range(rank, size, world_size))
        assert all(len(batch) == 4 for batch in batches[:-1])
        assert indices(loader) == batches, "the order is fixed"
        shards += flat(batches)
    assert sorted(shards) == list(range(size))


def test_orders_are_permutations_that_depend_on_seed_and_epoch_only():
    def order(seed, epoch):
        return flat(indices(tensors(64, 8, **TRAINING, seed=seed, epoch=epoch)))

    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(sorted(numbers) == list(range(64)) for numbers in orders)
    assert len({tuple(numbers) for numbers in orders}) == 9, "seed + epoch must not be all that counts"
    torch.manual_seed(5)
    assert order(1, 2) == orders[5]


@LOADERS
def test_global_random_state_is_left_alone(make):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    list(make(20, 4, **TRAINING))
    list(make(20, 4))
    assert torch.equal(before, torch.random.get_rng_state())


@LOADERS
def test_resumes_after_any_batch(make):
    def stream(loader, epochs):
        return [batch["image"].tolist() for _ in range(epochs) for batch in loader]

    full = stream(make(22, 5, **TRAINING, seed=3), 3)
    assert len(full) == 12
    for taken in range(10) if make is tensors else (2, 3, 4, 5):
        loader = make(22, 5, **TRAINING, seed=3)
        seen = []
        while len(seen) < taken:
            for batch in loader:
                seen.append(batch["image"].tolist())
                if len(seen) == taken:
                    break
        buffer = BytesIO()
        torch.save(loader.state_dict(), buffer)
        buffer.seek(0)
        resumed = make(22, 5, **TRAINING, seed=3)
        resumed.load_state_dict(torch.load(buffer, weights_only=True))
        assert seen + stream(resumed, 3 - taken // 4) == full, f"resumed after {taken} batches"


@LOADERS
def test_position_counts_what_was_handed_out_not_what_was_read_ahead(make):
    loader = make(40, 4, **TRAINING)
    iterator = iter(loader)
    assert (loader.state_dict()["epoch"], loader.state_dict()["consumed"]) == (0, 0)
    for batches in range(1, 10):
        next(iterator)
        assert (loader.state_dict()["epoch"], loader.state_dict()["consumed"]) == (0, 4 * batches)
    next(iterator)
    # Not when the iterator is asked for more: Lightning saves before it asks.
    assert (loader.state_dict()["epoch"], loader.state_dict()["consumed"]) == (1, 0)


@LOADERS
def test_an_iteration_left_midway_ends_its_epoch(make):
    epochs = [indices(make(20, 4, **TRAINING, epoch=epoch)) for epoch in range(3)]
    loader = make(20, 4, **TRAINING)
    iter(loader)
    iter(loader)
    assert next(iter(loader))["index"].tolist() == epochs[0][0], "asking for an iterator takes nothing"
    assert indices(loader) == epochs[1]
    assert indices(loader) == epochs[2]


@LOADERS
def test_loaded_position_is_used_once(make):
    loader = make(20, 4, **TRAINING)
    loader.load_state_dict({"epoch": 2, "consumed": 12, "size": 20, "seed": 0})
    epochs = [indices(make(20, 4, **TRAINING, epoch=epoch)) for epoch in (2, 3)]
    assert indices(loader) == epochs[0][3:]
    assert indices(loader) == epochs[1]


@pytest.mark.parametrize(("batch_size", "world_size"), [(2, 1), (8, 1), (2, 2), (3, 3)])
def test_resume_with_other_processes_repeats_and_loses_no_image(batch_size, world_size):
    old = tensors(64, 4, **TRAINING, world_size=2)
    iterator = iter(old)
    next(iterator), next(iterator)
    order = flat(indices(tensors(64, 1, **TRAINING)))
    rest = []
    for rank in range(world_size):
        loader = tensors(64, batch_size, **TRAINING, rank=rank, world_size=world_size)
        loader.load_state_dict(old.state_dict())
        rest += flat(indices(loader))
    left = order[16:]
    step = batch_size * world_size
    assert sorted(rest) == sorted(left[: len(left) // step * step])


def test_resume_where_no_larger_batch_is_left_begins_the_next_epoch():
    loader = tensors(20, 8, **TRAINING)
    loader.load_state_dict({"epoch": 0, "consumed": 16, "size": 20, "seed": 0})
    assert indices(loader) == indices(tensors(20, 8, **TRAINING, epoch=1))


@pytest.mark.parametrize("change", [{"size": 21}, {"seed": 1}])
def test_resume_with_other_data_begins_a_new_epoch_and_says_so(change):
    loader = tensors(20, 4, **TRAINING)
    with pytest.warns(UserWarning, match="a new one begins"):
        loader.load_state_dict({"epoch": 0, "consumed": 8, "size": 20, "seed": 0} | change)
    assert indices(loader) == indices(tensors(20, 4, **TRAINING, epoch=1))


@LOADERS
def test_limit_ends_epochs_early(make):
    loader = make(20, 4, **TRAINING)
    loader.limit = 2
    for epoch in range(3):
        assert indices(loader) == indices(make(20, 4, **TRAINING, epoch=epoch))[:2]
    assert loader.state_dict()["epoch"] == 3 and len(loader) == 5


@pytest.mark.parametrize(
    ("size", "batch_size", "world_size", "cure"),
    [
        (40, 64, 1, "40 images, fewer than one global batch of 64 .batch_size 64 × 1 process.: .*batch_size to 40 or"),
        (
            40,
            16,
            3,
            "40 images, fewer than one global batch of 48 .batch_size 16 × 3 processes.: .*batch_size to 13 or",
        ),
        (2, 1, 3, "at most 2 processes"),
    ],
)
def test_too_few_training_images(size, batch_size, world_size, cure):
    with pytest.raises(UserError, match=cure) as caught:
        tensors(size, batch_size, **TRAINING, world_size=world_size)
    assert "\n" not in str(caught.value)
    tensors(size, batch_size, world_size=world_size)


def test_batch_size_must_be_positive():
    with pytest.raises(UserError, match="batch_size is 0"):
        tensors(4, 0)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(num_workers):
    def stream(num_workers):
        loader = workers(num_workers)(22, 5, **TRAINING)
        return [batch["image"].tolist() for _ in range(3) for batch in loader]

    assert stream(num_workers) == stream(0)


def test_workers_outlive_epochs_of_training():
    loader = workers(2)(20, 2, **TRAINING)
    seen = [{int(pid) for batch in loader for pid in batch["label"]} for _ in range(3)]
    assert seen[0] == seen[1] == seen[2] and len(seen[0]) == 2 and os.getpid() not in seen[0]


def test_workers_end_with_their_loader():
    loader = workers(2)(20, 2, **TRAINING)
    pids = {int(pid) for batch in loader for pid in batch["label"]}
    gc.disable()
    try:
        del loader
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    finally:
        gc.enable()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_user_error_in_a_worker_stays_one_line(num_workers):
    loader = WorkerLoader(Numbers(20, user_error), 4, num_workers=num_workers)
    with pytest.raises(UserError, match=re.escape("images/13.png is damaged")) as caught:
        list(loader)
    assert str(caught.value) == "images/13.png is damaged"
    loader.items.fail = None
    assert indices(loader)[0], "the loader can be used again"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_defect_in_a_worker_is_not_hidden(num_workers):
    with pytest.raises(RuntimeError, match="a defect"):
        list(WorkerLoader(Numbers(20, defect), 4, num_workers=num_workers))


def test_death_of_a_worker_is_explained():
    with pytest.raises(UserError, match=r"worker died.*lower --data\.num_workers") as caught:
        list(WorkerLoader(Numbers(20, die), 4, num_workers=1))
    assert "\n" not in str(caught.value)


def test_base_is_abstract():
    with pytest.raises(TypeError):
        ResumableLoader(Order(4, 2))
