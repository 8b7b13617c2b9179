"""From activations and gradients of two runs to a score for each edge."""

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.attribution.traces import Trace, Tracer, working
from analyses.attribution.two_runs import TwoRuns
from analyses.graph import heads_among_senders, inputs_among_receivers, receivers, senders
from analyses.metrics import Metric


def written(runs: TwoRuns) -> Float[Tensor, "sender batch pos d_model"]:
    """What each sender writes in the clean run, less what it writes in the counterfactual run.

    That of a head is (z - z') @ W_O; biases cancel.
    """
    clean, other, model = runs.clean, runs.counterfactual, runs.tracer.model
    config, start = model.config, clean.resid[0]
    found = working(start).new_zeros(len(senders(config)), *start.shape)
    found[0] = working(start) - working(other.resid[0])
    for layer, block in enumerate(model.blocks):
        rows, width = heads_among_senders(layer, config), clean.mid[layer].shape[1]
        z = working(clean.z[layer]) - working(other.z[layer])
        found[rows, :, -width:] = torch.einsum("bphd,hdm->hbpm", z, working(block.attn.W_O))
        found[rows.stop, :, -width:] = working(clean.mlp_out[layer]) - working(other.mlp_out[layer])
    return found


def edge_scores(
    runs: TwoRuns,
    trace: Trace,
    metric: Metric,
    *,
    differences: Float[Tensor, "some batch pos d_model"],
    rows: slice,
) -> Float[Tensor, "batch some receiver"]:
    """The sum over positions of each sender's difference times the metric's gradient at each receiver's input.

    Args:
        runs: The two runs.
        trace: The run at which gradients are taken, made by the same tracer.
        metric: The metric.
        differences: What some senders write in one run, less what they write in another.
        rows: The places of those in `senders`; the trace starts where the first of them writes, or before.

    Returns:
        The scores, 0 where there is no edge.
    """
    tracer, config = runs.tracer, runs.tracer.model.config
    wanted = [*trace.qkv.values(), *trace.mlp_in.values(), trace.resid[config.n_layers]]
    grads = iter(tracer.gradients(trace, runs.reading, metric, wanted=wanted))
    scores = differences.new_zeros(differences.shape[1], len(differences), len(receivers(config)))
    for layer in trace.qkv:
        earlier = _before(heads_among_senders(layer, config).start, rows)
        inputs = _head_inputs(tracer, layer, trace.resid[layer], next(grads))
        scores[:, earlier, inputs_among_receivers(layer, config)] = _product(differences[earlier], inputs)
    for layer in trace.mlp_in:
        earlier, place = (
            _before(heads_among_senders(layer, config).stop, rows),
            inputs_among_receivers(layer, config).stop,
        )
        scores[:, earlier, place] = _product(differences[earlier], next(grads)[None])[..., 0]
    scores[:, :, -1] = _product(differences, next(grads)[None])[..., 0]
    return scores


def _before(place: int, rows: slice) -> slice:
    """Those of some rows that stand before a place, counted from the first of the rows."""
    return slice(0, max(0, min(place, rows.stop) - rows.start))


def _product(
    differences: Float[Tensor, "some batch pos d_model"], gradients: Float[Tensor, "receiver batch last_pos d_model"]
) -> Float[Tensor, "batch some receiver"]:
    """Summed over the last positions, those for which there are gradients, and d_model."""
    width = gradients.shape[2]
    return torch.einsum("sbx,rbx->bsr", differences[:, :, -width:].flatten(2), gradients.flatten(2))


def _head_inputs(
    tracer: Tracer, layer: int, resid: Tensor, grad: Float[Tensor, "batch pos all"]
) -> Float[Tensor, "input batch pos d_model"]:
    """The gradient with respect to the residual stream as each query, key and value head reads it, before the norm.

    With x = resid, s the norm's scale, n = x / s, and u = w * (W g) the gradient at n: that at x is
    (u - n mean(n * u)) / s. Layer norm subtracts the mean over d_model from x before, and from the result after.
    """
    norm, config = tracer.model.blocks[layer].ln1, tracer.model.config
    x = working(resid)
    if norm.kind == "LN":
        x = x - x.mean(dim=-1, keepdim=True)
    scale = (x.pow(2).mean(dim=-1, keepdim=True) + norm.eps).sqrt()
    n = x / scale
    weight = working(tracer.projections[layer][0]) * working(norm.w)[:, None]
    heads = config.n_heads + 2 * config.n_key_value_heads
    by_head = (grad / scale).unflatten(-1, (heads, -1))
    u = torch.einsum("bphd,mhd->hbpm", by_head, weight.unflatten(-1, (heads, -1)))
    along = torch.einsum("hbpm,bpm->hbp", u, n)[..., None]
    u = u.addcmul_(along, n, value=-1 / n.shape[-1])
    return u - u.mean(dim=-1, keepdim=True) if norm.kind == "LN" else u
