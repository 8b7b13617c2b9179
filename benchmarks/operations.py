"""How many floating-point operations the work needs, whoever does it."""

from training import ModelConfig

FORMULA = (
    "2 per multiply-add; matrix products and attention only; of the tokens that exist (no padding) and of what the "
    "result needs: the last layer's queries, output map and MLP and the unembedding at scored positions only; training "
    "is three forward passes; an ablation map is one clean pass, plus for each head its own product with W_O and "
    "everything behind it"
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
    width, grouped = config.n_heads * config.d_head, config.n_key_value_heads * config.d_head
    queries = scored if last else read
    pairs = sum(range(read - queries + 1, read + 1))  # the query at position p attends to p + 1 keys
    return 2 * config.d_model * (2 * width * queries + 2 * grouped * read) + 4 * width * pairs


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
    """One example of an ablation map of every head."""
    total = forward(config, read=read, scored=scored)
    for layer in range(config.n_layers):
        behind = unembedding(config, scored)
        for later in range(layer, config.n_layers):
            last = later == config.n_layers - 1
            behind += mlp(config, scored if last else read)
            behind += attention(config, read, scored, last) if later > layer else 0
        changed = scored if layer == config.n_layers - 1 else read
        total += config.n_heads * (2 * config.d_head * config.d_model * changed + behind)
    return total
