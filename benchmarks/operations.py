"""How many floating-point operations the work needs, whoever does it."""

from training import ModelConfig

FORMULA = (
    "2 per multiply-add; matrix products and attention only; of the tokens that exist (no padding) and of what the "
    "result needs: the last layer's queries, output map and MLP and the unembedding at scored positions only; training "
    "is three forward passes; an ablation map is one clean pass, plus for each head its own product with W_O, its own "
    "way into its layer's MLP (of rank d_head), and everything behind it; patching is a pass of both runs, plus for "
    "each patch what its change reaches: the rest of its layer at its position, and from the next layer on everything "
    "at that position and later ones; attribution is a pass of both runs, a pass and its gradient for each further "
    "point, and a product for each edge and position"
)


def forward(config: ModelConfig, *, read: int, scored: int) -> int:
    """One example's forward pass: `read` input tokens, the last `scored` of which predict something."""
    layers = sum(
        attention(config, read, scored, last) + mlp(config, scored if last else read)
        for last in (layer == config.n_layers - 1 for layer in range(config.n_layers))
    )
    return layers + unembedding(config, scored)


def attention(config: ModelConfig, read: int, scored: int, last: bool) -> int:  # noqa: FBT001
    """Queries, keys, values, causal pattern, mixed values and output map of one layer."""
    queries = scored if last else read
    projected = projections(config, queries=queries, keys=read)
    return projected + mixing(config, read, queries) + output_map(config, queries)


def projections(config: ModelConfig, *, queries: int, keys: int) -> int:
    """The queries of some tokens, and the keys and values of some."""
    heads, groups = config.n_heads, config.n_key_value_heads
    return 2 * config.d_model * config.d_head * (heads * queries + 2 * groups * keys)


def mixing(config: ModelConfig, read: int, queries: int) -> int:
    """Pattern and mixed values of the last `queries` of `read` tokens."""
    pairs = sum(range(read - queries + 1, read + 1))  # the query at position p attends to p + 1 keys
    return 4 * config.n_heads * config.d_head * pairs


def output_map(config: ModelConfig, tokens: int) -> int:
    """The heads' outputs through W_O."""
    return 2 * config.d_model * config.n_heads * config.d_head * tokens


def mlp(config: ModelConfig, tokens: int) -> int:
    """The two maps of the MLP, or three if it is gated."""
    return 2 * (3 if config.mlp == "gated" else 2) * config.d_model * config.d_mlp * tokens


def unembedding(config: ModelConfig, scored: int) -> int:
    """The logits of the scored positions."""
    return 2 * config.d_model * config.d_vocab * scored


def training(config: ModelConfig, *, read: int, scored: int) -> int:
    """One example's forward pass and its gradient, which costs two more."""
    return 3 * forward(config, read=read, scored=scored)


def ablation_map(config: ModelConfig, *, read: int, scored: int) -> int:
    """One example of an ablation map of every head.

    What a head changes reaches its own layer's MLP through d_head numbers a position: the MLP's first products are
    those of the clean pass, which are counted there, plus a product of d_head instead of d_model rows.
    """
    total = forward(config, read=read, scored=scored)
    for layer in range(config.n_layers):
        changed = scored if layer == config.n_layers - 1 else read
        entered = first_products(config, changed)
        behind = unembedding(config, scored) + mlp(config, changed) - entered
        for later in range(layer + 1, config.n_layers):
            last = later == config.n_layers - 1
            behind += mlp(config, scored if last else read) + attention(config, read, scored, last)
        directly = config.n_heads * entered
        total += min(directly, directly * config.d_head // config.d_model)
        total += config.n_heads * (2 * config.d_head * config.d_model * changed + behind)
    return total


def first_products(config: ModelConfig, tokens: int) -> int:
    """The maps into the MLP: one, or two if it is gated."""
    return 2 * (2 if config.mlp == "gated" else 1) * config.d_model * config.d_mlp * tokens


def patching_sweep(config: ModelConfig, *, read: int, scored: int) -> int:
    """One example of patching every head's z at every position: a pass of both runs, and every patch."""
    patches = sum(
        patch(config, layer=layer, position=position, read=read, scored=scored)
        for layer in range(config.n_layers)
        for position in range(read)
    )
    return 2 * forward(config, read=read, scored=scored) + config.n_heads * patches


def patch(config: ModelConfig, *, layer: int, position: int, read: int, scored: int) -> int:
    """One example with one head's z exchanged at one position, from the unpatched run's activations.

    The change passes W_O and the layer's MLP at its own position. The next layer projects it there alone, but mixes it
    in at that position and all later ones, and later layers compute all of those. The last layer has queries, an output
    map, an MLP and logits at scored positions only, so a change that it makes elsewhere needs nothing.

    The way into the MLP at the patched position is counted directly, with products of d_model rows, not by rank d_head
    as in `ablation_map`: there is one position, so there is little to save.
    """
    last, reached = config.n_layers - 1, read - position
    answers, here = min(scored, reached), int(position >= read - scored)
    if layer == last:
        return here * (_exchange(config) + mlp(config, 1) + unembedding(config, 1))
    total = _exchange(config) + mlp(config, 1) + unembedding(config, answers)
    for later in range(layer + 1, config.n_layers):
        queries = answers if later == last else reached
        first = later == layer + 1
        projected = queries if not first else here if later == last else 1
        total += projections(config, queries=projected, keys=1 if first else reached)
        total += mixing(config, read, queries) + output_map(config, queries) + mlp(config, queries)
    return total


def _exchange(config: ModelConfig) -> int:
    """A head's changed z at one position through its part of W_O."""
    return 2 * config.d_head * config.d_model


def attribution(config: ModelConfig, *, read: int, scored: int, points: int) -> int:
    """One pair's scores of every edge: EAP, with its gradient at one of the two runs, or EAP-IG at so many points.

    Beside the passes, what each head changes is its difference of z through W_O; an edge is the product of two vectors
    at each position that is read (what the last layer's heads change, and edges into its queries and MLP and into the
    logits: at each scored position).

    Args:
        config: The model's shape.
        read: Input tokens.
        scored: How many of them, at the end, predict something.
        points: Points besides the two runs; 0 for EAP.
    """
    passes = attribution_passes(config, read=read, scored=scored, points=points)
    written = (config.n_layers - 1) * output_map(config, read) + output_map(config, scored)
    return passes + written + _edges(config, read=read, scored=scored)


def attribution_passes(config: ModelConfig, *, read: int, scored: int, points: int) -> int:
    """One pair's runs and gradients, as `attribution` needs them.

    A gradient with regard to activations takes each product with weights once more, and mixing twice.
    """
    one = forward(config, read=read, scored=scored)
    last = config.n_layers - 1
    gradient = one + sum(mixing(config, read, scored if layer == last else read) for layer in range(config.n_layers))
    return (2 + points) * one + max(1, points) * gradient


def _edges(config: ModelConfig, *, read: int, scored: int) -> int:
    total = 0
    for layer in range(config.n_layers):
        queries = scored if layer == config.n_layers - 1 else read
        senders = 1 + layer * (config.n_heads + 1)
        total += senders * (config.n_heads * queries + 2 * config.n_key_value_heads * read)
        total += (senders + config.n_heads) * queries
    total += (1 + config.n_layers * (config.n_heads + 1)) * scored
    return 2 * config.d_model * total
