"""Tasks in a checkpoint's tokens: the right rows, new rows for the rest, and all of it saved."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks import BrokenRunError, InvalidValueError, Vocabulary, get_task
from tests.training.pretrained_models import (
    END,
    ROWS,
    change_config,
    some_ids,
    theirs,
    tokenizer,
    write_checkpoint,
)
from training import evaluate
from training.pretrained import (
    CheckpointTokenizer,
    TokenMap,
    extended,
    load_for_tasks,
    load_pretrained,
    open_checkpoint,
    save_pretrained,
)

COPY = get_task("copy", alphabet=4, case="lower")
VOCABULARY = Vocabulary(("[copy]", *"abcd=", "[EOS]", "[5]"))
LAST = 262
"""The first id that the tokenizer does not have."""


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def test_each_token_of_a_task_has_the_id_of_that_character(folder: Path) -> None:
    tokens = TokenMap.of(VOCABULARY, open_checkpoint(folder))
    # in byte-level order printable ASCII comes first after the end of text: "!" is 1, so chr(c) is c - 32
    assert tokens.ids == (LAST, *(ord(letter) - 32 for letter in "abcd="), 0, LAST + 1)
    assert tokens.appended == ("[copy]", "[5]")
    text = "[copy]abca=abca[EOS]"
    ids = tokens.to_checkpoint(VOCABULARY.encode(text))
    assert open_checkpoint(folder).tokenizer.decode(ids[1:]) == f"abca=abca{END}"
    assert VOCABULARY.decode(tokens.from_checkpoint(ids)) == text
    with pytest.raises(InvalidValueError, match="^the checkpoint's id 7 is no token of this vocabulary$"):
        tokens.from_checkpoint(torch.tensor([[LAST, 7]]))


def test_characters_of_several_bytes_and_spaces_are_found(folder: Path) -> None:
    read = CheckpointTokenizer.read(folder)
    assert read.id_of("é") == read.pieces["\u00c3\u00a9"]  # its two bytes, merged into one piece
    assert read.id_of(" ") == read.pieces["Ġ"]
    assert read.id_of("the") is not None  # a name may be several characters; tasks write none such
    assert read.id_of("ü") is None  # two pieces
    assert read.encode("the an").tolist() == [read.pieces["the"], read.pieces["Ġ"], read.pieces["an"]]
    assert read.decode(read.encode("the añ 12")) == "the añ 12"


def test_pieces_inside_a_word_are_preferred_to_those_at_its_beginning(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    library = Tokenizer(
        models.BPE(vocab={"<s>": 0, "\u2581a": 1, "a": 2, "\u2581": 3, "b": 4}, merges=[("\u2581", "a")])
    )
    library.pre_tokenizer, library.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    library.save(str(tmp_path / "tokenizer.json"))
    read = CheckpointTokenizer.read(tmp_path)
    assert [read.id_of(letter) for letter in "ab"] == [2, 4]
    assert read.encode("a").tolist() == [1]


@torch.no_grad()
def test_the_models_logits_are_the_checkpoints_at_these_tokens(folder: Path) -> None:
    whole = load_pretrained(folder)
    chosen = load_for_tasks(folder, Vocabulary((*"abcd=", "[EOS]")), generator=seeded())
    tokens = torch.randint(6, (2, 9), generator=seeded(1))
    ids = chosen.tokens.to_checkpoint(tokens)
    logits = whole.model(ids)[..., list(chosen.tokens.ids)]
    torch.testing.assert_close(chosen.model(tokens), logits, rtol=1e-5, atol=1e-5)
    assert chosen.model.config == whole.model.config.model_copy(update={"d_vocab": 6})
    assert chosen.tokenizer.file == folder / "tokenizer.json"


def test_tasks_run_on_it(folder: Path) -> None:
    vocabulary = COPY.vocabulary.union(get_task("reverse", alphabet=4, case="lower").vocabulary)
    model = load_for_tasks(folder, vocabulary, generator=seeded()).model
    table = evaluate(model, COPY, lengths=[2, 3], n=8, generator=seeded(2))
    assert table["n"].tolist() == [8, 8]
    assert (table["nll"] > 0).all()
    assert model.to_tokens("[copy]ab=").shape == (1, 4)


def test_new_rows_lie_at_the_mean_with_the_rows_own_covariance() -> None:
    # rows (0, 0), (2, 0), (4, 3), (6, 9): mean (3, 3); the noise's covariance is theirs, times 0.5 squared
    rows = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 3.0], [6.0, 9.0]])
    # deviations (-3, -3), (-1, -3), (1, 0), (3, 6): variances 20/4 and 54/4, covariance (9 + 3 + 0 + 18)/4
    wanted = 0.25 * torch.tensor([[5.0, 7.5], [7.5, 13.5]])
    new = extended(rows, 40_000, generator=seeded(), noise=0.5)
    torch.testing.assert_close(new.mean(dim=0), torch.tensor([3.0, 3.0]), rtol=0, atol=0.03)
    torch.testing.assert_close(new.T.cov(), wanted, rtol=0.05, atol=0)
    assert torch.equal(extended(rows, 2, generator=seeded(), noise=0.0), torch.tensor([[3.0, 3.0]]).expand(2, 2))
    assert torch.equal(extended(rows, 2, generator=seeded(3)), extended(rows, 2, generator=seeded(3)))
    assert extended(rows.bfloat16(), 1, generator=seeded()).dtype == torch.bfloat16


def rows_of(model: Any) -> tuple[Tensor, Tensor]:
    return model.model.embed_tokens.weight.detach(), model.lm_head.weight.detach()


@pytest.mark.parametrize("kind", ["Llama", "Llama, tied"])
def test_saved_whole_with_the_trained_rows_written_in(kind: str, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source", kind)
    chosen = load_for_tasks(source, VOCABULARY, generator=seeded())
    with torch.no_grad():
        for parameter in chosen.model.parameters():
            parameter.add_(0.01)
    saved = save_pretrained(chosen, tmp_path / "saved")
    before, after = rows_of(theirs(kind)), rows_of(AutoModelForCausalLM.from_pretrained(saved))
    ids = list(chosen.tokens.ids)
    others = [place for place in range(ROWS) if place not in ids]
    for old, new, trained in zip(before, after, (chosen.model.W_E, chosen.model.W_U.T), strict=True):
        assert new.shape == old.shape  # 262 and 263 are spare rows of the checkpoint
        assert torch.equal(new[others], old[others])
        assert torch.equal(new[ids], trained)
    again = load_for_tasks(saved, VOCABULARY, generator=seeded(9))
    assert (again.tokens.ids, again.tokens.appended) == (chosen.tokens.ids, ())  # its tokenizer has them now
    tokens = torch.randint(len(VOCABULARY), (2, 9), generator=seeded(1))
    assert torch.equal(again.model(tokens), chosen.model(tokens))
    read: Any = AutoTokenizer.from_pretrained(saved)
    assert read("[copy]ab=[5]", add_special_tokens=False)["input_ids"] == [
        chosen.tokens.ids[VOCABULARY.index[token]] for token in ("[copy]", "a", "b", "=", "[5]")
    ]


def test_rows_are_appended_where_none_are_spare(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source")
    change_config(source, {"eos_token_id": None})
    nodes = tuple(f"[{number}]" for number in range(1, 60))
    chosen = load_for_tasks(source, Vocabulary((*nodes, "[EOS]", "a")), generator=seeded())
    assert chosen.tokens.appended == (*nodes, "[EOS]")
    saved = save_pretrained(chosen, tmp_path / "saved")
    values = json.loads((saved / "config.json").read_text())
    assert (values["vocab_size"], values["eos_token_id"]) == (LAST + 60, LAST + 59)
    reloaded: Any = AutoModelForCausalLM.from_pretrained(saved)
    embedding = rows_of(reloaded)[0]
    assert torch.equal(embedding[LAST : LAST + 59], chosen.model.W_E[:59])
    assert torch.equal(embedding[:65], load_pretrained(source).model.W_E[:65])
    assert open_checkpoint(saved).named == {"[EOS]": LAST + 59}


def test_the_whole_vocabulary_has_readable_names(folder: Path) -> None:
    tokens = load_pretrained(folder).tokens
    names = tokens.vocabulary.tokens
    assert names[0] == "[EOS]"
    assert names[ord("a") - 32] == "a"
    assert names[ord("[") - 32] == f"[#{ord('[') - 32}]"
    assert names[259:262] == ("[he]", "[Ġa]", "é")
    assert names[-1] == f"[#{ROWS - 1}]"
    assert tokens.vocabulary.index[" "] == tokenizer().token_to_id("Ġ")
    assert torch.equal(tokens.to_checkpoint(some_ids()), some_ids())


def test_a_task_without_markers_runs_on_the_whole_vocabulary(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source")
    change_config(source, {"bos_token_id": 70})
    model = load_pretrained(source).model
    task = get_task("copy", alphabet=4, case="lower", marking="none")
    table = evaluate(model, task, lengths=[2], n=4, generator=seeded())
    assert table["n"].tolist() == [4]
    assert TokenMap.of(task.vocabulary, open_checkpoint(source)).ids == tuple(
        model.vocabulary.index[token] for token in task.vocabulary.tokens
    )
    change_config(source, {"bos_token_id": 0})  # as SmolLM2's, where it is the end of text: then it is a new token
    assert TokenMap.of(task.vocabulary, open_checkpoint(source)).appended == ("[BOS]",)


def test_a_character_without_a_token_is_named(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source")
    text = (
        f"^'{source}/tokenizer.json' has no token that is the character 'ü' alone; tasks are read one character a "
        "token, so choose another checkpoint, or tasks without this character$"
    )
    with pytest.raises(InvalidValueError, match=text):
        load_for_tasks(source, Vocabulary(("[EOS]", "a", "ü")), generator=seeded())


def test_tokenizers_that_do_not_serve(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source")
    change_config(source, {"eos_token_id": 65})
    with pytest.raises(InvalidValueError, match="^'.*tokenizer.json' has one id for two tokens of the tasks"):
        load_for_tasks(source, Vocabulary(("[EOS]", "a")), generator=seeded())
    change_config(source, {"eos_token_id": ROWS})
    with pytest.raises(InvalidValueError, match="field 'eos_token_id' = 300: ids are 0 to 299$"):
        load_for_tasks(source, Vocabulary(("[EOS]", "a")), generator=seeded())
    file = source / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(BrokenRunError, match=f"^'{file}' is no tokenizer .*; fetch the checkpoint again$"):
        load_for_tasks(source, VOCABULARY, generator=seeded())
    grown = tokenizer()
    grown.add_tokens([f"<{number}>" for number in range(39)])
    grown.save(str(file))
    text = (
        f"^'{file}' has ids up to 300, but field 'vocab_size' of '{source}/config.json' is 300; they belong to "
        "different checkpoints$"
    )
    with pytest.raises(InvalidValueError, match=text):
        load_pretrained(source)
    file.unlink()
    text = f"^'{file}' is missing: without it no task can be written in the checkpoint's tokens; fetch the checkpoint"
    with pytest.raises(BrokenRunError, match=text):
        load_for_tasks(source, VOCABULARY, generator=seeded())
    change_config(source, {"eos_token_id": [3, 4]})
    assert load_pretrained(source).model.vocabulary.tokens[2:5] == ("[#2]", "[EOS]", "[#4]")


def test_the_page_works_as_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pretrained.md").read_text()
    code = page.split("```python\n")[1].split("```")[0].replace("SmolLM2-360M", str(folder))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["logits"].shape == (1, len(names["ids"]), ROWS)
    assert AutoModelForCausalLM.from_pretrained("runs/finetuned").config.vocab_size == ROWS
