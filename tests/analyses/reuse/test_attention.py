"""Differences of attention between tasks: heads set by hand, a plain loop over entries, scipy's divergence."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from analyses import AttentionDifference, Running
from tasks import Batch, Task
from tests.analyses.models import random_model, seeded
from tests.analyses.reuse.task_pairs import (
    CARRY,
    COPY,
    FIRST,
    MEASURES,
    SHIFT,
    marker_model,
    of_heads,
    total,
    vocabulary,
)
from training import HookedTransformer


# -------------------------------------------------------------------------------------------------- worked out by hand
@pytest.mark.parametrize(
    ("positions", "queries"), [("all", range(8)), ("prompt", range(5)), ("answer", range(5, 8))]
)  # [marker] a b c = | a b c, and [EOS], which is not read
def test_a_head_that_knows_the_task(positions: Any, queries: range) -> None:
    # The query at position q sees q + 1 tokens. Reading [shift], head 0 gives the marker 3 / (q + 3) and the others
    # 1 / (q + 3) each; reading [copy], 1 / (q + 1) to all. What the marker gains the others lose: the
    # difference is twice 3 / (q + 3) - 1 / (q + 1). Head 1 does not know the task.
    table = AttentionDifference(positions=positions, bootstraps=9)(
        marker_model(), SHIFT, COPY, length=3, n=4, generator=seeded()
    )
    difference = sum(2 * (3 / (q + 3) - 1 / (q + 1)) for q in queries)
    assert of_heads(table, "attention_difference") == pytest.approx([difference, 0], abs=1e-5)
    assert of_heads(table, "attention_difference")[1] == 0
    assert total(table, "attention_difference") == pytest.approx(difference, abs=1e-5)

    rows = [(np.array([3 / (q + 3), *[1 / (q + 3)] * q]), np.full(q + 1, 1 / (q + 1))) for q in queries]
    divergence = np.mean([jensenshannon(*both) ** 2 for both in rows])
    assert of_heads(table, "jensen_shannon") == pytest.approx([divergence, 0], abs=1e-6)
    assert of_heads(table, "jensen_shannon")[1] == 0
    assert total(table, "jensen_shannon") == pytest.approx(divergence / 2, abs=1e-6)

    # At distance d the queries q >= d look: the one at q = d at the marker. All examples are alike, so no noise.
    profiles = np.zeros((2, 8))
    for d in range(8):
        reaching = [q for q in queries if q >= d]
        if reaching:
            profiles[0, d] = np.mean([(3 if q == d else 1) / (q + 3) for q in reaching])
            profiles[1, d] = np.mean([1 / (q + 1) for q in reaching])
    cosine = profiles[0] @ profiles[1] / np.linalg.norm(profiles[0]) / np.linalg.norm(profiles[1])
    assert cosine < 0.995
    assert of_heads(table, "offset_cosine") == pytest.approx([cosine, 1], abs=1e-6)
    assert total(table, "offset_cosine") == pytest.approx((cosine + 1) / 2, abs=1e-6)
    assert table["stderr"].to_numpy() == pytest.approx(0, abs=1e-6)


def test_a_task_does_not_differ_from_itself() -> None:
    table = AttentionDifference(bootstraps=9)(
        random_model(COPY.vocabulary), COPY, COPY, length=4, n=5, generator=seeded()
    )
    assert (table[table["measure"] != "offset_cosine"][["estimate", "stderr", "low", "high"]] == 0).all(axis=None)
    assert table[table["measure"] == "offset_cosine"]["estimate"].to_numpy() == pytest.approx(1)


# ------------------------------------------------------------------------------------------- against independent truth
def naive(model: HookedTransformer, first: Batch, second: Batch) -> dict[str, np.ndarray]:
    """Every measure [layer, head], one entry and one example at a time; profiles by the products of different ones."""
    layers, heads, n = model.config.n_layers, model.config.n_heads, len(first)
    reads = [[int(marks.nonzero().max()) + 1 for marks in batch.predicting] for batch in (first, second)]
    patterns = []
    for batch in (first, second):
        with torch.no_grad():
            _, cache = model.run_with_cache(batch.inputs)
        patterns.append([cache[f"blocks.{layer}.attn.hook_pattern"].double().numpy() for layer in range(layers)])
    found = {measure: np.zeros((layers, heads)) for measure in MEASURES}
    longest = min(*reads[0], *reads[1])
    for layer, head in np.ndindex(layers, heads):
        profiles = np.zeros((2, n, longest))
        for i in range(n):
            one, two = (of_task[layer][i, head] for of_task in patterns)
            both = min(reads[0][i], reads[1][i])
            found[MEASURES[0]][layer, head] += np.abs(one[:both, :both] - two[:both, :both]).sum() / n
            rows = [jensenshannon(one[q, : q + 1], two[q, : q + 1]) ** 2 for q in range(both)]
            found[MEASURES[1]][layer, head] += np.mean(rows) / n
            for task, pattern in enumerate((one, two)):
                for d in range(longest):
                    profiles[task, i, d] = np.mean([pattern[q, q - d] for q in range(d, reads[task][i])])
        products = np.einsum("sid,tjd->stij", profiles, profiles)
        products[..., np.arange(n), np.arange(n)] = 0
        P = products.sum(axis=(2, 3))
        found[MEASURES[2]][layer, head] = P[0, 1] / np.sqrt(P[0, 0] * P[1, 1])
    return found


@pytest.mark.parametrize(("first", "second"), [(SHIFT, COPY), (CARRY, FIRST)], ids=["equal", "unequal answers"])
@pytest.mark.parametrize("budget", [1, 60, 4096])
def test_against_a_loop_over_entries(first: Task, second: Task, budget: int) -> None:
    words = vocabulary(first, second)
    model = random_model(words, n_layers=2, n_heads=2)
    table = AttentionDifference(bootstraps=9)(
        model, first, second, length=3, n=5, generator=seeded(3), running=Running(token_budget=budget)
    )
    batches = [task.bind(words).sample(5, length=3, generator=seeded(3), stream="test") for task in (first, second)]
    expected = naive(model, *batches)
    for measure in MEASURES:
        assert of_heads(table, measure) == pytest.approx(expected[measure].ravel(), abs=1e-5)
        reduce = np.sum if measure == "attention_difference" else np.mean
        assert total(table, measure) == pytest.approx(reduce(expected[measure]), abs=1e-4)
    assert total(table, "attention_difference") > 1
