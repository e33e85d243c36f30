import json
from pathlib import Path


def test_scores_and_protocol(lit_gen, trained):
    arguments = ("evaluate", "--ckpt_path", trained, "--num_samples", 60, "--device", "cpu", "--is_splits", 2)
    said = lit_gen(*arguments, "--output", "deep/eval.json")
    assert (said.status, said.err) == (0, "")
    result = json.loads(Path("deep/eval.json").read_text())
    assert result.keys() == {"metrics", "protocol", "seconds"}
    assert result["metrics"].keys() == {"fid", "fid_std", "is_mean", "is_std", "kid_mean", "kid_std"}
    protocol = result["protocol"]
    wanted = {"data": "digits", "split": "test", "num_samples": 60, "num_real": 300, "weights": "ema", "seed": 0}
    assert {key: protocol[key] for key in wanted} == wanted
    assert protocol["extractor"] == "classifier"
    assert f"fid[classifier]  {result['metrics']['fid']:.5g}" in said.out

    lit_gen(*arguments, "--output", "again.json")
    assert json.loads(Path("again.json").read_text())["metrics"] == result["metrics"]
    lit_gen(
        *(*arguments, "--output", "other.json", "--metrics", "fid", "--weights", "raw", "--split", "val"),
        *("--data.val_size", 100),
    )
    other = json.loads(Path("other.json").read_text())
    assert other["metrics"].keys() == {"fid", "fid_std"}
    assert other["metrics"]["fid"] != result["metrics"]["fid"]
    assert (other["protocol"]["weights"], other["protocol"]["num_real"]) == ("raw", 100)


def test_several_seeds(lit_gen, trained):
    arguments = ("evaluate", "--ckpt_path", trained, "--num_samples", 60, "--device", "cpu", "--metrics", "fid")
    said = lit_gen(*arguments, "--repeats", 2, "--seed", 3, "--output", "two.json")
    assert said.status == 0 and "seeds 3 to 4" in said.out
    result = json.loads(Path("two.json").read_text())
    first, second = (scores["fid"] for scores in result["by_seed"].values())
    assert first != second and result["protocol"]["repeats"] == 2
    assert abs(result["metrics"]["fid"] - (first + second) / 2) < 1e-9 * first
    alone = lit_gen(*arguments, "--seed", 4, "--output", "one.json")
    assert alone.status == 0 and json.loads(Path("one.json").read_text())["metrics"]["fid"] == second


def test_every_class_of_a_conditional_model(lit_gen, conditional, trained):
    arguments = ("--metrics", "fid,fid_class", "--num_samples", 60, "--device", "cpu", "--output", "eval.json")
    said = lit_gen("evaluate", "--ckpt_path", conditional, *arguments)
    assert (said.status, said.err) == (0, "")
    result = json.loads(Path("eval.json").read_text())
    classes = [result["metrics"][f"fid_class/{digit}"] for digit in range(10)]
    assert len(set(classes)) == 10
    assert abs(sum(classes) / 10 - result["metrics"]["fid_class_mean"]) < 1e-9 * max(classes)
    assert result["protocol"]["labels"] == "balanced" and "balanced classes" in said.out
    alone = lit_gen("evaluate", "--ckpt_path", conditional, "--metrics", "fid", *arguments[2:])
    assert alone.status == 0 and json.loads(Path("eval.json").read_text())["protocol"]["labels"] == "model"

    said = lit_gen("evaluate", "--ckpt_path", trained, *arguments)
    assert said.status == 2 and "does not draw the classes of digits: leave out fid_class" in said.err
