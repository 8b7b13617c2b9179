"""Before probes are timed: both ways find the same ones, at a size that takes no time."""

import json

import pytest
import torch
from rich.console import Console

from benchmarks import probing_row
from benchmarks.probing_row import check_equal, drawn, measure_probing, print_probing, scikit_loop


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("PROBES", 3), ("EXAMPLES", 300), ("FEATURES", 8), ("CLASSES", 4)):
        monkeypatch.setattr(probing_row, name, size)


@pytest.mark.parametrize("kind", ["activations", "noise"])
def test_labels_can_be_read_from_the_features_with_errors(kind: str) -> None:
    features, labels = drawn(kind)
    assert features.shape == (3, 600, 8)
    assert labels.shape == (3, 600)
    assert labels.unique().tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(features[:, :300].std(dim=1), torch.ones(3, 8), rtol=0, atol=0.15)
    peers = scikit_loop(features, labels, 1e-4)
    scores = [peer.score(x, y) for peer, x, y in zip(peers, features.numpy(), labels.numpy(), strict=True)]
    assert 0.4 < min(scores) <= max(scores) < 1
    assert torch.equal(drawn(kind)[0], features)


def test_both_ways_have_one_accuracy() -> None:
    features, labels = drawn("noise")
    train, test = (features[:, :300], labels[:, :300]), (features[:, 300:], labels[:, 300:])
    assert check_equal(train, test) < 0.005
    shifted = (labels + 1) % 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing_row, "scikit_loop", lambda x, _, tolerance: scikit_loop(x, shifted[:, :300], tolerance))
        with pytest.raises(RuntimeError, match=r"^accuracies differ by 0\.\d+$"):
            check_equal(train, test)


@pytest.mark.slow
def test_the_row_is_measured_and_printed() -> None:
    found = measure_probing(seconds=0)
    assert [one.kind for one in found.kinds] == ["activations", "noise"]
    for one in found.kinds:
        assert one.seconds.median > 0
        assert one.difference < 0.005
    values = json.loads(json.dumps(found.values()))
    assert values["title"] == "probing"
    assert values["kinds"][0]["over_default"]["low"] <= values["kinds"][0]["over_default"]["high"]
    console = Console(record=True, width=150)
    print_probing(console, found)
    assert "linear probes: 3 probes of 300 x 8, 4 classes" in console.export_text()
