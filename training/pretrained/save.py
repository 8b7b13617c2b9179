"""Back to a folder that other libraries load."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from tasks import InvalidValueError
from tasks.frame import BOS
from tasks.vocabulary import EOS
from training.files import write_json, write_whole
from training.model.layout import to_linear
from training.pretrained.load import Pretrained
from training.pretrained.shards import INDEX, WHOLE
from training.pretrained.tokenizer import FILE
from training.pretrained.weights import EMBEDDING, UNEMBEDDING, checkpoint_name

_COPIED = (
    "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "vocab.json", "merges.txt",
    "added_tokens.json", "tokenizer.model", "chat_template.jinja",
)  # fmt: skip
"""Files beside the weights that are kept as they are."""


def save_pretrained(pretrained: Pretrained, folder: str | Path, *, shard_bytes: int = 5_000_000_000) -> Path:
    """Writes a model, with the rest of its checkpoint's vocabulary, to a folder that `transformers` loads.

    Rows of the model's tokens take the place of the checkpoint's; all other rows stay as they were. Tokens that the
    checkpoint lacked are added to its tokenizer. Weights have the model's type. The folder appears when it is whole.

    Args:
        pretrained: The model and what it was loaded from, whose folder must still be there.
        folder: A folder that does not exist, or is empty.
        shard_bytes: Most bytes of a file of weights; only so many are held twice in memory.

    Returns:
        The folder.

    Raises:
        InvalidValueError: The folder is not empty or cannot be written, the model has another shape than the
            checkpoint, or the tokenizer cannot take a new token.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(f"{str(folder)!r} exists and is not empty; choose another place")
    _refuse_other_shape(pretrained)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        _write_files(pretrained, part)
        _write_weights(part, _tensors(pretrained), shard_bytes)
        if folder.is_dir():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        raise InvalidValueError(
            f"cannot write {str(folder)!r}: {error.strerror or error}; choose another place"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _refuse_other_shape(pretrained: Pretrained) -> None:
    ours, theirs = pretrained.model.config, pretrained.checkpoint.config
    for field in type(ours).model_fields:
        mine, its = getattr(ours, field), getattr(theirs, field)
        if mine != its and field not in ("d_vocab", "initializer_range"):
            raise InvalidValueError(
                f"the model has {field} {mine!r}, its checkpoint {str(pretrained.checkpoint.folder)!r} {its!r}; "
                "save it with the checkpoint that it was loaded from"
            )
    if pretrained.model.vocabulary != pretrained.tokens.vocabulary:
        raise InvalidValueError("the model's vocabulary is not that of its token map; save it with its own map")


def _rows(pretrained: Pretrained) -> int:
    """How many tokens the saved checkpoint has."""
    return max(pretrained.checkpoint.config.d_vocab, pretrained.tokens.size)


def _write_files(pretrained: Pretrained, part: Path) -> None:
    """Everything but the weights."""
    checkpoint, tokens = pretrained.checkpoint, pretrained.tokens
    values: dict[str, Any] = dict(checkpoint.fields.values)
    precision = str(pretrained.model.dtype).removeprefix("torch.")
    values |= {"vocab_size": _rows(pretrained), "dtype" if "dtype" in values else "torch_dtype": precision}
    for name in _COPIED:
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, part / name)
    for token, field in ((EOS, "eos_token_id"), (BOS, "bos_token_id")):
        if token in tokens.appended:
            values[field] = tokens.ids[tokens.vocabulary.index[token]]
    write_json(part / "config.json", values)
    if checkpoint.has_tokenizer:
        ids = dict(zip(tokens.vocabulary.tokens, tokens.ids, strict=True))
        if tokens.appended:
            checkpoint.tokenizer.save_with({token: ids[token] for token in tokens.appended}, part)
        else:
            shutil.copyfile(checkpoint.folder / FILE, part / FILE)


def _tensors(pretrained: Pretrained) -> Iterator[tuple[str, int, Callable[[], Tensor]]]:
    """Each weight's name in the checkpoint, its bytes, and what makes it."""
    for name, parameter in pretrained.model.named_parameters():
        theirs, leaf, values = checkpoint_name(name), name.rsplit(".", maxsplit=1)[-1], parameter.detach().cpu()
        linear = to_linear(leaf, values)
        if theirs not in (EMBEDDING, UNEMBEDDING):
            yield theirs, values.nbytes, linear.contiguous
        else:
            rows = _rows(pretrained) * linear.shape[1] * linear.element_size()
            yield theirs, rows, lambda theirs=theirs, linear=linear: _all_rows(pretrained, theirs, linear)


def _all_rows(
    pretrained: Pretrained, name: str, trained: Float[Tensor, "vocab d_model"]
) -> Float[Tensor, "token d_model"]:
    """The checkpoint's rows, those of the model's tokens replaced, new ones behind them."""
    rows = torch.zeros(_rows(pretrained), trained.shape[1], dtype=trained.dtype)
    if len(pretrained.tokens.ids) < len(rows):
        old = pretrained.checkpoint.shards.tensor(name)
        rows[: len(old)] = old.to(trained.dtype)
    rows[torch.tensor(pretrained.tokens.ids)] = trained
    return rows


def _write_weights(part: Path, tensors: Iterator[tuple[str, int, Callable[[], Tensor]]], limit: int) -> None:
    """Writes shards, one after the other; a single one has the usual name and no index."""
    written: list[list[str]] = []  # the names in each shard
    shard: dict[str, Tensor] = {}
    size = total = 0

    def flush() -> None:
        write_whole(part / _temporary(len(written)), lambda file: save_file(shard, file, metadata={"format": "pt"}))
        written.append(list(shard))
        shard.clear()

    for name, nbytes, made in tensors:
        if shard and size + nbytes > limit:
            flush()
            size = 0
        shard[name] = made()
        size, total = size + nbytes, total + nbytes
    flush()
    if len(written) == 1:
        (part / _temporary(0)).rename(part / WHOLE)
        return
    places: dict[str, str] = {}
    for number, names in enumerate(written):
        file = f"model-{number + 1:05d}-of-{len(written):05d}.safetensors"
        (part / _temporary(number)).rename(part / file)
        places |= dict.fromkeys(names, file)
    write_json(part / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def _temporary(number: int) -> str:
    return f"shard-{number}.safetensors"
