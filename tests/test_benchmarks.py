"""Before their speed is compared: every peer computes the same thing as ours, and the counts are right."""

import dataclasses
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks import evaluation_row, lens3, machine, operations, overlap_row, peers, sampling_row
from benchmarks.__main__ import bench
from benchmarks.ablation_row import ablation_maps, check_equal, sample_batches
from benchmarks.attribution_row import bridge_passes, bridge_scores, mean_scores, our_scores
from benchmarks.devices import check_device
from benchmarks.lens3_worker import packed, unpacked
from benchmarks.llama import llama_bridge
from benchmarks.memory import peak_bytes
from benchmarks.pairs import check_close, logit_differences, sample_pair
from benchmarks.patching_row import patching_sweeps
from benchmarks.plain import plain_model
from benchmarks.rounds import Contender, Rounds, Spread, run_rounds
from benchmarks.sampling_row import python_loop
from benchmarks.shapes import LARGE_WEIGHTS, TASKS, Shape
from benchmarks.training_row import padded_batch, padded_loop, training_steps
from tasks import Batch, InvalidValueError, Pair, get_task, list_tasks
from training import ModelConfig, OptimizerConfig, TrainConfig
from training.interop import to_transformer_lens

# TransformerLens' bridge warns about options that it looks for and a native model does not have.
pytestmark = pytest.mark.filterwarnings("ignore:::transformer_lens")

TINY = Shape(2, 2, 8, batch_size=6, examples=5, pairs=3)


def test_shapes_are_read_or_refused_with_the_form_that_is_needed() -> None:
    assert Shape.parse("6/6/384") == Shape(6, 6, 384, batch_size=32, examples=16, pairs=2, pair_length=5)
    assert Shape.parse("4/4/128") == Shape(4, 4, 128, batch_size=64, examples=256, pairs=16, pair_length=8)
    assert str(Shape.parse("2/4/64")) == "2/4/64"
    with pytest.raises(InvalidValueError, match=r"shape '2x4' is not of the form 'layers/heads/d_model'"):
        Shape.parse("2x4")


def test_a_shape_takes_more_examples_and_another_device() -> None:
    assert TINY.on("cpu", examples="fitting") == TINY
    assert TINY.on("cuda", examples=1024) == dataclasses.replace(TINY, device="cuda", examples=1024)
    with pytest.raises(InvalidValueError, match=r"^examples must be at least 2, or 'fitting'\. Got 1$"):
        TINY.on("cpu", examples=1)


def test_a_gpu_that_is_not_there_or_not_for_a_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_device("cpu", ["training"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidValueError, match=r"^device 'cuda' was asked for, but torch finds no GPU here; choose"):
        bench(rows=("ablation",), shapes=("1/2/16",), seconds=0.1, threads=torch.get_num_threads(), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_device("cuda", ["ablation", "patching", "attribution"])
    with pytest.raises(InvalidValueError, match=r"asked for training, sampling, but only ablation, patching, attribut"):
        check_device("cuda", ["training", "ablation", "sampling"])


def test_on_a_gpu_every_unit_is_waited_for_and_memory_is_counted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: happened.append("waited"))
    run_rounds([Contender("a", lambda unit: happened.append(f"unit {unit}"))], seconds=0, device="cuda")
    assert happened == [each for unit in (0, 2, 3, 4) for each in (f"unit {unit}", "waited")]
    # 5 bytes were held before, 12 at the most: 7 more.
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: happened.append("reset"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 5)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 12)
    happened.clear()
    assert peak_bytes(lambda: happened.append("work"), device="cuda") == 7
    assert happened == ["waited", "reset", "work", "waited"]
    assert machine.matrix_product_flops("cuda") == 4 * 2 * 4096**3


def test_the_padded_batch_holds_the_examples_of_our_step() -> None:
    batch = padded_batch(TINY.config(), 3)
    assert len(batch) == 6
    markers = {member.task.vocabulary.index[member.task.marker] for member in TASKS}
    assert set(batch.tokens[:, 0].tolist()) <= markers


def test_peers_hold_our_weights() -> None:
    model = TINY.model(initializer_range=LARGE_WEIGHTS)
    tokens = padded_batch(TINY.config(), 0).inputs
    with torch.no_grad():
        wanted = model(tokens)
        for peer in (plain_model(model), to_transformer_lens(model), llama_bridge(model)):
            torch.testing.assert_close(peer(tokens), wanted, rtol=0, atol=1e-5)


def test_training_steps_lose_the_same() -> None:
    # The plain loop follows ours; TransformerLens' trains biases that ours does not have, and leaves it slowly; and
    # bfloat16 rounds to three digits.
    steps = training_steps(TINY.config(initializer_range=LARGE_WEIGHTS))
    losses = {name: torch.stack([step(number) for number in range(4)]) for name, step in steps.items()}
    torch.testing.assert_close(losses["plain PyTorch"], losses["ours"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(losses["TransformerLens"][0], losses["ours"][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(losses["TransformerLens"], losses["ours"], rtol=1e-2, atol=0)
    for name in ("ours, bfloat16", "plain PyTorch, bfloat16"):
        torch.testing.assert_close(losses[name], losses["ours"], rtol=1e-2, atol=0)
        assert not torch.equal(losses[name], losses["ours"])
    assert losses["ours"].unique().numel() == 4


def test_without_its_biases_the_bridge_trains_as_the_plain_model_does() -> None:
    config = TINY.config(initializer_range=LARGE_WEIGHTS)
    model = TINY.model(initializer_range=LARGE_WEIGHTS)
    bridge = to_transformer_lens(model)
    for name, parameter in bridge.named_parameters():
        parameter.requires_grad_(not name.endswith("bias"))
    losses = [_losses(peer, config) for peer in (bridge, plain_model(model))]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)


def _losses(peer: nn.Module, config: TrainConfig) -> Tensor:
    step = padded_loop(peer, config)
    return torch.stack([step(number) for number in range(4)])


def test_ablation_maps_agree_and_a_wrong_one_is_found() -> None:
    for name in ("nnsight", "pyvene"):
        pytest.importorskip(name)
    model = TINY.model(initializer_range=0.5)
    before = [parameter.clone() for parameter in model.parameters()]
    maps, left_out = ablation_maps(model)
    assert (list(maps), left_out) == (["ours", "TransformerLens", "plain PyTorch", "nnsight", "pyvene"], {})
    batches = sample_batches(5)
    check_equal(maps, batches)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(map(torch.equal, before, model.parameters()))
    assert not hasattr(object, "save")  # nnsight's own idea
    effects = maps["ours"](batches[0], "nll")
    assert effects.shape == (4, 5)
    assert effects.abs().min() > 1e-4  # the comparison is not one of zeros
    wrong = {**maps, "wrong": lambda batch, metric: maps["ours"](batch, metric).roll(1, dims=0)}
    with pytest.raises(RuntimeError, match=r"effects \(nll\) of wrong and ours differ by"):
        check_equal(wrong, batches)


def test_a_library_that_cannot_be_imported_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(peers, "import_module", missing)
    maps, left_out = ablation_maps(TINY.model())
    assert list(maps) == ["ours", "TransformerLens", "plain PyTorch"]
    assert left_out == {"nnsight": "No module named 'nnsight'", "pyvene": "No module named 'pyvene'"}


def test_logit_differences_by_hand() -> None:
    # Clean answers b c, counterfactual b d (b is 1, c 2, d 3): only the second token differs; position 1 predicts it.
    scored = torch.tensor([[False, True, True]])
    pair = Pair(Batch(torch.tensor([[0, 1, 2]]), scored), Batch(torch.tensor([[0, 1, 3]]), scored))
    logits = torch.tensor([[[9.0, 8.0, 7.0, 6.0], [0.0, 0.0, 5.0, 3.5]]])
    assert logit_differences(logits, pair).tolist() == [1.5]


def test_patching_sweeps_agree_and_a_wrong_one_is_found() -> None:
    sweeps, pair = patching_sweeps(TINY.model(initializer_range=0.5)), sample_pair(3)
    found = {name: sweep(pair) for name, sweep in sweeps.items()}
    assert list(found) == ["ours", "TransformerLens", "plain PyTorch"]
    check_close(found, tolerance=1e-5)
    width = pair.clean.inputs.shape[1]
    assert found["ours"].shape == (2 * 2 * width, 3)
    moved = (found["ours"].view(2, 2, width, 3).std(dim=2) > 1e-4).float().mean()
    assert moved == 1  # positions differ, in every head and pair
    with pytest.raises(RuntimeError, match=r"^what wrong found and what ours found differ by \d"):
        check_close({**found, "wrong": found["ours"].flip(0)}, tolerance=1e-5)


def test_edge_scores_agree() -> None:
    model, pair = TINY.model(initializer_range=0.5), sample_pair(3)
    found = mean_scores(model, llama_bridge(model), pair)
    check_close(found, tolerance=1e-5)
    # Senders: the embedding, then two heads and an MLP a layer. Receivers: q, k, v of two heads and an MLP, and logits.
    assert found["ours"].shape == (7, 2 * (3 * 2 + 1) + 1)
    assert (found["ours"] != 0).sum() > 20
    integrated = our_scores(model, pair, method="EAP-IG-inputs").mean(dim=0)
    assert not torch.allclose(integrated, found["ours"])


def test_passes_only_runs_the_model_as_the_tool_does_and_scores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pair = TINY.model(initializer_range=0.5), sample_pair(3)
    bridge, calls = llama_bridge(model), []
    bridge.register_forward_hook(lambda *_: calls.append("forward"))
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *values, **named: calls.append("back") or grad(*values, **named))
    results = bridge_passes(bridge, pair)
    assert calls == ["forward", "forward", "back"] * 3  # of each pair: clean, counterfactual and its gradient
    assert [(one.edge_scores, one.node_scores) for one in results] == [({}, {})] * 3
    calls.clear()
    whole = bridge_scores(bridge, pair)  # the tool is as it was
    assert calls == ["forward", "forward", "back"] * 3
    assert all(one.edge_scores for one in whole)


def test_all_ways_to_exact_match_call_the_same_examples_right() -> None:
    model = TINY.model(initializer_range=0.5)
    ways = evaluation_row.evaluation_ways(model)
    batch = evaluation_row.half_right(model, evaluation_row.sample_batch(4))
    assert ways["ours"](batch).tolist() == [False, True, False, True]
    evaluation_row.check_equal(ways, batch)
    ways["wrong"] = lambda batch: ~ways["ours"](batch)
    with pytest.raises(RuntimeError, match="wrong and ours call 4 examples differently"):
        evaluation_row.check_equal(ways, batch)


def test_operations_of_a_small_model_by_hand() -> None:
    config = ModelConfig.read({"n_layers": 1, "n_heads": 1, "d_model": 2, "d_mlp": 3, "d_vocab": 5})
    # 3 tokens are read, the last predicts. Keys and values of 3 tokens, query and output map of 1, each 2*2*2 a token.
    # The query attends to 3 keys: 2*2 for the product, 2*2 for the mixture, each. MLP: 3 maps of 2*2*3. Logits: 2*2*5.
    forward = (3 + 3 + 1 + 1) * 8 + 3 * 8 + 3 * 12 + 20
    assert operations.forward(config, read=3, scored=1) == forward
    assert operations.training(config, read=3, scored=1) == 3 * forward
    # One head: its exchanged output through W_O (2*2*2) at the scored position, then MLP and logits.
    assert operations.ablation_map(config, read=3, scored=1) == forward + 8 + 36 + 20
    # Four heads of width 1 in 4: each through W_O (2*1*4), into the MLP by rank 1 (12 of the 48 that its two first maps
    # take, which the clean pass has made), out of it (2*3*4), and logits (2*4*5).
    plain = {"positions": "none"}  # rotary ones want heads of an even width
    wide = ModelConfig.read({"n_layers": 1, "n_heads": 4, "d_model": 4, "d_mlp": 3, "d_vocab": 5, **plain})
    whole = operations.forward(wide, read=3, scored=1)
    assert operations.ablation_map(wide, read=3, scored=1) == whole + 4 * (8 + 12 + 24 + 40)
    # A patch where nothing is predicted changes nothing; at the last position it costs what the ablation does.
    assert operations.patching_sweep(config, read=3, scored=1) == 2 * forward + 8 + 36 + 20
    # EAP: both runs; a gradient, in which attention costs twice; the head's change through W_O where it is scored;
    # and products of 2*2: the embedding into q at 1 position, k and v at 3, the MLP and the logits at 1, and head and
    # MLP into what comes after them. EAP-IG: a run and a gradient at each of 5 points more.
    edges = 4 * (1 + 3 + 3 + 1 + 1 + 2 + 1)
    assert operations.attribution_passes(config, read=3, scored=1, points=0) == 3 * forward + 24
    assert operations.attribution(config, read=3, scored=1, points=0) == 3 * forward + 24 + 8 + edges
    assert operations.attribution(config, read=3, scored=1, points=5) == 12 * forward + 5 * 24 + 8 + edges


def test_operations_of_attribution_in_two_layers_by_hand() -> None:
    config = ModelConfig.read({"n_layers": 2, "n_heads": 1, "d_model": 2, "d_mlp": 3, "d_vocab": 5})
    # Layer 0 of 3 tokens: q, k, v and output map, 8 a token each; 1 + 2 + 3 products and mixtures of 8; MLP, 36 each.
    # Layer 1, whose last token predicts, as the only layer above: k and v of 3, the rest of 1, 3 keys; logits, 20.
    mixed = 6 * 8 + 3 * 8
    one = 4 * 3 * 8 + 3 * 36 + (3 + 3 + 1 + 1) * 8 + 36 + 20 + mixed
    # Through W_O: layer 0's head at 3 positions, layer 1's at 1. Edges of 2*2: the embedding into q, k, v and MLP of
    # layer 0, its head into its MLP, at 3 positions; three senders into layer 1's q at 1, k and v at 3, they and its
    # head into its MLP at 1; five senders into the logits at 1.
    edges = 4 * (3 * (3 + 1 + 1) + 3 * (1 + 3 + 3) + 4 + 5)
    assert operations.forward(config, read=3, scored=1) == one
    assert operations.attribution(config, read=3, scored=1, points=0) == 3 * one + mixed + (3 + 1) * 8 + edges


def test_operations_of_a_patch_by_hand() -> None:
    sizes = {"n_heads": 1, "d_model": 2, "d_mlp": 3, "d_vocab": 5}
    two, three = (ModelConfig.read({"n_layers": layers, **sizes}) for layers in (2, 3))
    # In each case W_O, 8, and the MLP, 36, at the patched position of layer 0.
    # Two layers: layer 1 takes keys and values there, 16 (and a query, 8, if it predicts), its last query reads 3 keys,
    # 24, and has its output map, 8, MLP, 36, and logits, 20.
    one = {"layer": 0, "read": 3, "scored": 1}
    assert operations.patch(two, position=0, **one) == 8 + 36 + 16 + 24 + 8 + 36 + 20
    assert operations.patch(two, position=2, **one) == 8 + 36 + 16 + 8 + 24 + 8 + 36 + 20
    # Three layers, position 1: layer 1 projects it alone, 24, and computes positions 1 and 2 from there on: they read
    # 2 and 3 keys, 40, output map, 16, MLP, 72. Layer 2 takes both as keys and values, 32, and the last as a query.
    middle = 24 + 40 + 16 + 72
    assert operations.patch(three, position=1, **one) == 8 + 36 + middle + 32 + 8 + 24 + 8 + 36 + 20
    assert operations.patch(three, layer=2, position=1, read=3, scored=1) == 0


def test_peak_memory_counts_what_is_held_at_once() -> None:
    def work() -> None:
        first = torch.ones(1024)  # 4 KiB
        second = first + first  # 8 KiB at once
        del first
        second.add_(1)

    assert peak_bytes(work) == 2 * 4096


def test_every_contender_does_the_same_units_in_turn() -> None:
    done: list[tuple[str, int]] = []
    contenders = [Contender(name, lambda unit, name=name: done.append((name, unit))) for name in "ab"]
    rounds = run_rounds(contenders, seconds=0)
    assert (len(rounds), rounds.units) == (3, 1)
    assert done == [("a", 0), ("b", 0), ("a", 2), ("b", 2), ("b", 3), ("a", 3), ("a", 4), ("b", 4)]


def test_ratios_are_taken_within_rounds() -> None:
    rounds = Rounds(1, {"ours": [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 20.0]})
    assert rounds.ratio("ours", over="peer") == Spread(3.0, 2.0, 5.0)
    assert rounds.speed("ours", per_unit=8.0) == Spread(4.0, 2.0, 8.0)


def no_environment() -> Path:
    raise lens3.Unavailable("no index")


WORKER = """
import sys
from torch import nn
from benchmarks.lens3_worker import serve
class Model(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Embedding(5, 3), nn.Linear(3, 5))
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.5)
serve(lambda settings: Model(), sys.stdin, sys.stdout)
"""


@pytest.mark.slow
def test_the_other_process_takes_the_steps_that_are_taken_here() -> None:
    # All weights are equal, so all five logits are: the first loss is ln 5, over the two targets that count. The
    # gradient of the embedding is then 0, as 0.5 times the logits' gradients, which sum to 0.
    settings = {"model": {}, "threads": 1, "weight_decay": 0.0, "betas": (0.9, 0.98), "clip": 1.0}
    inputs, targets = torch.tensor([[0, 1, 2], [3, 4, 0]]), torch.tensor([[1, -100, 3], [-100, -100, -100]])
    with lens3.Worker([sys.executable, "-c", WORKER], settings) as worker:
        assert worker.parameters == 5 * 3 + 3 * 5 + 5
        first, second = (worker.step(inputs, targets, 0.1) for _ in range(2))
        assert worker.peak(inputs, targets, 0.1) > 5 * 3 * 4  # at least the embedding's gradient
    assert first == pytest.approx(math.log(5))
    assert second < first


def test_a_process_that_ends_is_a_reason_to_leave_it_out() -> None:
    with pytest.raises(lens3.Unavailable, match=r"^its process ended with exit code 3$"):
        lens3.Worker([sys.executable, "-c", "raise SystemExit(3)"], {})


@pytest.mark.slow
def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(lens3.Unavailable, match="Invalid requirement"):
        lens3.environment(tmp_path / "made", requirements=["no such / thing"])
    assert not (tmp_path / "made" / ".installed").exists()


def test_tokens_cross_the_pipe_unchanged() -> None:
    tokens = torch.tensor([[0, 300, -100], [7, 1, 2]])
    assert torch.equal(unpacked(packed(tokens)), tokens)


@pytest.mark.slow
def test_bench_prints_tables_and_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Shape, "parse", classmethod(lambda cls, text: TINY))
    monkeypatch.setattr(lens3, "environment", no_environment)
    out = tmp_path / "bench.json"
    rows = ("training", "ablation", "patching", "attribution", "evaluation")
    bench(rows=rows, shapes=("2/2/8",), seconds=0.1, threads=torch.get_num_threads(), out=out)
    printed = capsys.readouterr().out
    assert "training, mixed lengths 1..16 and 1..32, 2/2/8" in printed
    for title in ("mean ablation of every head", "patching of every head", "attribution of every edge", "exact match"):
        assert title in printed
    assert "TransformerLens 3.9 left out: no index" in " ".join(printed.split())
    found = json.loads(out.read_text())
    assert found["machine"]["threads"] == torch.get_num_threads()
    training, ablation, patching, attribution, evaluation = found["rows"]
    assert training["left_out"] == {"TransformerLens 3.9": "no index"}
    assert all(slope > 0 for slope in training["slopes"].values())
    assert list(training["slopes"]) == ["ours", "ours, bfloat16"]
    halves = {one["name"]: one["half"] for one in training["measured"]}
    assert [name for name, half in halves.items() if half is None] == ["ours, bfloat16"]
    names = [[one["name"] for one in row["measured"]] for row in (ablation, patching, attribution, evaluation)]
    assert names[0] == ["ours", "TransformerLens", "plain PyTorch", "nnsight", "pyvene"]
    assert names[1] == ["ours", "TransformerLens", "plain PyTorch"]
    assert names[2] == ["ours", "ours, EAP-IG of 5 steps", "TransformerLens", "TransformerLens, passes only"]
    assert names[3] == ["ours", "ours, cached decoding", "TransformerLens"]
    needed = [one["flops"] for one in attribution["measured"]]
    assert needed[1] > 2 * needed[0] == 2 * needed[2]
    assert 0 < needed[3] < needed[2]
    assert "on cpu, 5 examples per task; a unit is both maps;" in " ".join(printed.split())
    for row in found["rows"]:
        ours, *others = row["measured"]
        assert (ours["name"], ours["ratio"]) == ("ours", None)
        assert "TransformerLens" in {peer["name"] for peer in others}
        assert all(peer["ratio"]["low"] <= peer["ratio"]["median"] <= peer["ratio"]["high"] for peer in others)
        assert all(one["peak"] > 0 for one in row["measured"])


@pytest.mark.parametrize("name", list_tasks())
def test_python_loops_write_the_tasks_examples(name: str) -> None:
    # What the loop writes token by token is what the task writes for the same prompts.
    task = get_task(name)
    lengths = torch.arange(2, 18)
    rows = python_loop(task, lengths)(3)
    texts = [task.vocabulary.decode(row) for row in rows]
    prompts = [task.prompt_and_answer(text)[0] for text in texts]
    assert torch.equal(task.examples(prompts).tokens, rows)


@pytest.mark.slow
def test_bench_of_sampling_has_every_task_and_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("EXAMPLES", 4), ("MAZE", 4), ("NUMBERS", 4), ("LONGEST", 4)):
        monkeypatch.setattr(sampling_row, name, value)
    monkeypatch.setattr(sampling_row, "SHAPE", "1/1/8")
    monkeypatch.setattr(sampling_row, "list_groups", lambda: ["copy+shift", "copy/recall-scaled", "add/carry"])
    out, threads = tmp_path / "bench.json", torch.get_num_threads()
    bench(rows=("sampling",), seconds=0.1, threads=threads, out=out)
    assert torch.get_num_threads() == threads
    (row,) = json.loads(out.read_text())["rows"]
    assert sorted(one["task"] for one in row["tasks"]) == list_tasks()
    assert list(row["shares"]) == ["copy+shift", "add/carry"]
    for one in row["tasks"]:
        assert one["ratio"]["low"] <= one["ratio"]["median"] <= one["ratio"]["high"]
        assert one["tokens"]["median"] >= one["examples"]["median"] > 0
    assert all(0 < share["low"] <= share["median"] < 1 for share in row["shares"].values())
    printed = capsys.readouterr().out
    assert "sampling, 4 examples, one thread" in printed
    assert "share of a training" in printed


@pytest.mark.slow
def test_bench_of_overlap_agrees_with_scipy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        overlap_row, "OVERLAP", dataclasses.replace(overlap_row.OVERLAP, permutations=2_000, bootstraps=20)
    )
    monkeypatch.setattr(overlap_row, "EXAMPLES", 8)
    monkeypatch.setattr(overlap_row, "SHAPES", ((2, 3),))
    out = tmp_path / "bench.json"
    bench(rows=("overlap",), seconds=0.1, threads=torch.get_num_threads(), out=out)  # p-values differ: RuntimeError
    (row,) = json.loads(out.read_text())["rows"]
    (size,) = row["sizes"]
    assert size["heads"] == 6
    assert all(size[name]["median"] > 0 for name in ("seconds", "scipy", "loop", "over_scipy", "over_loop"))
    assert "overlap of stored effects: 8 examples, 2,000 shuffles, 20 samples" in capsys.readouterr().out


def test_the_mixture_s_lengths_are_those_of_the_title() -> None:
    assert [member.max_length for member in TASKS] == [16, 32]
    assert TINY.config().train == OptimizerConfig(steps=10_000, batch_size=6)
    assert dataclasses.asdict(TINY)["d_model"] == 8
