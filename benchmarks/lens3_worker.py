"""TransformerLens 3.9's training loop, in its own environment: `python -m benchmarks.lens3_worker` (see `lens3`).

Reads lines of JSON and answers each with one: first the settings, then a batch at a time. Imports nothing of this
project that needs more than torch.
"""

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, TextIO

import torch
from torch import Tensor, nn

from benchmarks.memory import peak_bytes
from benchmarks.padded import padded_steps

Settings = dict[str, Any]


def serve(make_model: Callable[[Settings], nn.Module], lines: Iterable[str], answers: TextIO) -> None:
    """Answers the settings with `{"ready": parameters}` and each batch with its loss, or its step's peak memory."""
    requests = iter(lines)
    settings: Settings = json.loads(next(requests))
    torch.set_num_threads(settings["threads"])
    model = make_model(settings["model"])
    step = padded_steps(
        model, weight_decay=settings["weight_decay"], betas=tuple(settings["betas"]), clip=settings["clip"]
    )
    _say(answers, {"ready": sum(parameter.numel() for parameter in model.parameters())})
    for line in requests:
        request = json.loads(line)
        batch = (unpacked(request["inputs"]), unpacked(request["targets"]), request["learning_rate"])
        if request["peak"]:
            _say(answers, {"peak": peak_bytes(lambda batch=batch: step(*batch))})
        else:
            _say(answers, {"loss": step(*batch).item()})


def packed(tokens: Tensor) -> dict[str, Any]:
    """A tensor of token ids as JSON: its shape, and its values as 16-bit integers in base 64."""
    values = tokens.to(torch.int16).contiguous().numpy().tobytes()
    return {"shape": list(tokens.shape), "values": base64.b64encode(values).decode()}


def unpacked(value: dict[str, Any]) -> Tensor:
    """The tensor again."""
    values = torch.frombuffer(bytearray(base64.b64decode(value["values"])), dtype=torch.int16)
    return values.long().view(value["shape"])


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def hooked_transformer(settings: Settings) -> nn.Module:
    """TransformerLens 3.9's model of the given configuration, in training mode."""
    lens: Any = import_module("transformer_lens")  # another version than this project's
    return lens.HookedTransformer(lens.HookedTransformerConfig(**settings)).train()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    serve(hooked_transformer, sys.stdin, answers)
