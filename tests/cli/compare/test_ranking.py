import math
import statistics

import pytest

from lit_gen.commands.compare.circumstances import circumstances, unlike
from lit_gen.commands.compare.metric_names import direction, looks_at, plain_names
from lit_gen.commands.compare.ranking import Estimate, rank
from lit_gen.commands.compare.scores import Score
from lit_gen.commands.compare.seeds import Seeds
from lit_gen.commands.compare.tables import ranking_table
from lit_gen.errors import UserError

PROTOCOL = {"data": "digits", "num_samples": 100, "weights": "ema", "kid_subsets": 10}


def score(run, step=1, protocol=None, **metrics):
    return Score(run, metrics, {**PROTOCOL, **(protocol or {})}, step)


def order(ranking):
    return [[row.name for row in group.rows] for group in ranking.groups]


def test_a_low_fid_and_a_high_inception_score_come_first():
    scores = [
        score("a", fid=3.0, is_mean=2.0, is_std=0.1),
        score("b", fid=2.0, is_mean=1.0),
        score("c", fid=9, is_mean=5),
    ]
    assert order(rank(scores)) == [["b", "a", "c"]]
    assert rank(scores).by == "fid"
    assert direction("class_accuracy") == "higher" and direction("fid_class") == "lower"
    assert order(rank(scores, "is")) == [["c", "a", "b"]]
    (group,) = rank(scores, "is").groups
    assert group.rows[1].metrics["is"] == Estimate(2.0, 0.1)
    assert str(group.rows[1].metrics["is"]) == "2 ± 0.1"


def test_the_best_the_last_or_every_checkpoint_of_a_run():
    scores = [score("a", 1, fid=5.0), score("a", 2, fid=1.0), score("a", 3, fid=4.0), score("b", 1, fid=2.0)]
    (best,) = rank(scores).groups
    assert [(row.name, row.steps, row.of) for row in best.rows] == [("a", "2", 3), ("b", "1", 1)]
    (last,) = rank(scores, which="last").groups
    assert [(row.name, row.steps) for row in last.rows] == [("b", "1"), ("a", "3")]
    (every,) = rank(scores, which="all").groups
    assert [(row.name, row.steps) for row in every.rows] == [("a", "2"), ("b", "1"), ("a", "3"), ("a", "1")]


def test_equal_values_share_a_place_and_nan_is_last():
    scores = [score("a", fid=2.0), score("b", fid=math.nan), score("c", fid=2.0), score("d", fid=9.0)]
    (group,) = rank(scores).groups
    assert [(row.rank, row.name) for row in group.rows] == [(1, "a"), (1, "c"), (3, "d"), (4, "b")]


def test_unlike_protocols_are_never_in_one_ranking():
    scores = [score("a", fid=1.0, protocol={"num_samples": 50}), score("b", fid=2.0), score("c", fid=3.0)]
    assert order(rank(scores)) == [["b", "c"], ["a"]]
    assert order(rank([score("a", fid=1.0, protocol={"weights": "raw"}), *scores[1:]])) == [["b", "c"], ["a"]]


def test_only_what_the_metric_depends_on_must_be_alike():
    scores = [score("a", fid=1.0, kid_mean=1.0, protocol={"kid_subsets": 99}), score("b", fid=2.0, kid_mean=2.0)]
    assert order(rank(scores, "fid")) == [["a", "b"]]
    assert order(rank(scores, "kid")) == [["a"], ["b"]]


def test_how_a_diffusion_model_was_sampled_is_its_own_matter():
    scores = [
        score("a", fid=1.0, protocol={"sampling": "guidance 3"}),
        score("b", fid=2.0, protocol={"sampling": None}),
    ]
    assert order(rank([*scores, score("older", fid=3.0)])) == [["a", "b", "older"]]
    # Beside its own way, each other one is a row, not the best of them all.
    (group,) = rank([*scores, score("a", fid=4.0)]).groups
    assert [(row.name, row.scores[0].sampling, row.of) for row in group.rows] == [
        ("a", "guidance 3", 1),
        ("b", "", 1),
        ("a", "", 1),
    ]
    table = ranking_table(group, "fid", "")
    assert table.header[-1] == "sampled by" and [row[-1] for row in table.rows] == ["guidance 3", "the run", "the run"]


def test_a_field_that_an_older_file_lacks_is_a_difference_that_is_named():
    older = {name: value for name, value in PROTOCOL.items() if name != "num_samples"}
    found = unlike(circumstances(older, "fid"), circumstances(PROTOCOL, "fid"))
    assert found == {"num_samples": ("(not recorded)", 100)}
    assert len(rank([Score("a", {"fid": 1.0}, older), score("b", fid=2.0)]).groups) == 2


def test_hashes_and_accuracies_follow_from_the_rest_and_fields_within_fields_count():
    one, other = ({**PROTOCOL, "hash": text, "extractor_accuracy": 0.5, "x": {"y": text}} for text in "ab")
    assert unlike(circumstances(one, "fid"), circumstances(other, "fid")) == {"x.y": ("a", "b")}


def test_given_samples_stand_beside_the_models_that_they_share_all_else_with():
    given = {"weights": "given samples"}
    scores = [score("theirs", fid=2.0, protocol=given), score("a", fid=1.0), score("b", fid=3.0)]
    assert order(rank(scores)) == [["a", "theirs", "b"]]
    raw = score("r", fid=9.0, protocol={"weights": "raw"})
    assert sorted(order(rank([*scores, raw]))) == [["a", "theirs", "b"], ["theirs", "r"]]
    other = score("theirs", fid=2.0, protocol={**given, "num_samples": 7})
    assert order(rank([other, *scores[1:]])) == [["a", "b"], ["theirs"]]


def test_seeds_are_one_row_with_mean_and_standard_deviation():
    scores = [score(f"a{i}", fid=fid, kid_mean=fid) for i, fid in enumerate((1.0, 4.0, 2.5))] + [score("b", fid=2.0)]
    (group,) = rank(scores, "fid", alike=_seeds("a0", "a1", "a2")).groups
    assert [row.name for row in group.rows] == ["b", "a (3 seeds)"]
    expected = Estimate(2.5, pytest.approx(statistics.stdev([1.0, 4.0, 2.5])), 3)
    assert group.rows[1].metrics == {"fid": expected, "kid": expected}


def test_a_row_names_and_counts_the_seeds_that_are_in_it():
    few = {"num_samples": 7}
    scores = [score("a0", fid=1.0), score("a1", fid=3.0), score("a2", fid=2.0, protocol=few)]
    one, other = rank(scores, "fid", alike=_seeds("a0", "a1", "a2")).groups
    assert [row.name for row in (*one.rows, *other.rows)] == ["a (2 seeds)", "a2"]


def _seeds(*runs):
    return dict.fromkeys(runs, Seeds(runs, "a"))


def test_a_metric_that_only_some_have_is_not_the_default_and_leaves_the_others_out():
    scores = [score("a", kid_mean=1.0, fid=2.0), score("b", fid=1.0)]
    assert rank(scores).by == "fid"
    ranking = rank(scores, "kid")
    assert (order(ranking), [one.run for one in ranking.without]) == ([["a"]], ["b"])


def test_scores_that_state_no_protocol_are_set_aside():
    ranking = rank([Score("a", {"fid": 1.0}, {}), score("b", fid=2.0)])
    assert (order(ranking), [one.run for one in ranking.without]) == ([["b"]], ["a"])


def test_what_cannot_be_ranked_by_is_said():
    with pytest.raises(UserError, match="no scores have a metric 'fud'; did you mean 'fid'"):
        rank([score("a", fid=1.0)], "fud")
    with pytest.raises(UserError, match="whether a low or a high 'glow' is better is not known"):
        rank([score("a", glow=1.0)], "glow")
    with pytest.raises(UserError, match="there are no scores to compare"):
        rank([])


def test_directions_and_plain_names():
    lower, higher = (
        ("fid", "fid_infinity", "kid", "lpips", "bpd"),
        ("is", "psnr", "density", "kept/hair", "segmentation_iou", "domain_accuracy", "cycle_psnr"),
    )
    assert {direction(name) for name in lower} == {"lower"}
    assert {direction(name) for name in higher} == {"higher"}
    assert direction("glow") is None
    assert plain_names({"fid": 1, "kid_mean": 1, "kid_std": 1}) == ["fid", "kid"]


def test_settings_of_one_metric_are_no_others():
    assert looks_at("kid_subsets", "kid") and not looks_at("kid_subsets", "fid")
    assert looks_at("pr_neighbours", "recall") and not looks_at("pr_neighbours", "is")
    assert looks_at("fid_inf_points", "fid_inf") and not looks_at("fid_inf_points", "fid")
    assert looks_at("image_shape", "fid") and looks_at("num_samples", "kid") and looks_at("unheard_of", "fid")
