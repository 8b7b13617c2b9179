"""One table of patches of `hand_model`, worked out on paper, for patching, path patching and attribution.

The clean example is `aa`, its counterfactual `ab`; only the second token differs. At the two positions:

    t = z00 = z01        aa: 4, 4      ab: 4, 2      (heads 0.0 and 0.1 read the mean of the tokens so far)
    m = 2 z00 - z01      aa: 4, 4      ab: 4, 2      (the stream's middle coordinate)
    l = relu(m)          aa: 4, 4      ab: 4, 2      (MLP 0 writes the logit coordinate)
    z10 = mean of m      aa: 4, 4      ab: 4, 3
    z11 = mean of l      aa: 4, 4      ab: 4, 3
    logit of [EOS] at the second position = l - z10 + 2 z11:     aa: 4 - 4 + 8 = 8        ab: 2 - 3 + 6 = 5
"""

from typing import NamedTuple

CLEAN, CORRUPTED = 8, 5


class SiteCase(NamedTuple):
    """A site, its layer and head (-1: of no head) and positions; the logit in direction noise and denoise."""

    site: str
    layer: int
    head: int
    positions: tuple[int, ...]
    noise: float
    denoise: float
    why: str


BOTH = (0, 1)

SITES = [
    SiteCase("resid_pre", 0, -1, BOTH, 5, 8, "the whole example is exchanged"),
    SiteCase("resid_pre", 0, -1, (1,), 5, 8, "and it differs at the second position only"),
    SiteCase("resid_pre", 0, -1, (0,), 8, 5, "not at the first"),
    SiteCase("q", 0, 0, BOTH, 8, 5, "queries are 0"),
    SiteCase("k", 0, 1, BOTH, 8, 5, "keys are 0"),
    SiteCase("pattern", 1, 0, BOTH, 8, 5, "patterns are uniform in both"),
    SiteCase("v", 0, 0, BOTH, 2, 11, "as z of 0.0, since patterns are uniform"),
    SiteCase("v", 1, 1, (0,), 8, 5, "l is 4 at the first position of both"),
    SiteCase("v", 1, 1, (1,), 6, 7, "z11 = 3, so 4 - 4 + 6; and z11 = 4, so 2 - 3 + 8"),
    SiteCase("z", 0, 0, BOTH, 2, 11, "m = 4, 0 and l = 4, 0: 0 - 2 + 4; m = 4, 6 and l = 4, 6: 6 - 5 + 10"),
    SiteCase("z", 0, 0, (0,), 8, 5, "z00 is 4 at the first position of both"),
    SiteCase("z", 0, 1, BOTH, 11, 2, "m = 4, 6: 6 - 5 + 10; m = 4, 0: 0 - 2 + 4"),
    SiteCase("z", 1, 0, BOTH, 9, 4, "4 - 3 + 8 and 2 - 4 + 6"),
    SiteCase("z", 1, 1, (1,), 6, 7, "4 - 4 + 6 and 2 - 3 + 8"),
    SiteCase("attn_out", 0, -1, BOTH, 5, 8, "m is the other's, and all follows from m"),
    SiteCase("attn_out", 1, -1, BOTH, 7, 6, "4 - 3 + 6 and 2 - 4 + 8"),
    SiteCase("resid_mid", 0, -1, (1,), 5, 8, "m is the other's"),
    SiteCase("mlp_out", 0, -1, BOTH, 4, 9, "l alone is the other's: 2 - 4 + 6 and 4 - 3 + 8"),
    SiteCase("mlp_out", 1, -1, BOTH, 8, 5, "MLP 1 writes nothing"),
    SiteCase("resid_post", 0, -1, (1,), 5, 8, "m and l are the other's"),
    SiteCase("resid_post", 1, -1, (1,), 5, 8, "the logit itself"),
]


class EdgeCase(NamedTuple):
    """An edge; the logit in direction noise and denoise."""

    sender: str
    receiver: str
    noise: float
    denoise: float
    why: str


EDGES = [
    EdgeCase("embed", "0.0.v", 2, 11, "head 0.0 reads the other's tokens: as z of 0.0"),
    EdgeCase("embed", "0.1.v", 11, 2, "as z of 0.1"),
    EdgeCase("embed", "0.0.q", 8, 5, "queries are 0 whatever is read"),
    EdgeCase("embed", "0.mlp", 8, 5, "the MLP reads m, which the embedding does not write"),
    EdgeCase("embed", "logits", 8, 5, "nor does it write l"),
    EdgeCase("0.0", "0.mlp", 0, 13, "it reads m = 4, 0 so l = 4, 0: 0 - 4 + 4; m = 4, 6 so l = 4, 6: 6 - 3 + 10"),
    EdgeCase("0.1", "0.mlp", 12, 1, "it reads m = 4, 6: 6 - 4 + 10; m = 4, 0: 0 - 3 + 4"),
    EdgeCase("0.0", "1.0.v", 10, 3, "z10 = 2: 4 - 2 + 8; z10 = 5: 2 - 5 + 6"),
    EdgeCase("0.1", "1.0.v", 7, 6, "it reads m = 4, 6, so z10 = 5: 4 - 5 + 8; m = 4, 0, so z10 = 2: 2 - 2 + 6"),
    EdgeCase("0.0", "1.1.v", 8, 5, "head 1.1 reads l, which head 0.0 does not write"),
    EdgeCase("0.mlp", "1.1.v", 6, 7, "z11 = 3: 4 - 4 + 6; z11 = 4: 2 - 3 + 8"),
    EdgeCase("0.mlp", "1.0.v", 8, 5, "head 1.0 reads m"),
    EdgeCase("0.mlp", "logits", 6, 7, "2 - 4 + 8 and 4 - 3 + 6"),
    EdgeCase("0.0", "logits", 8, 5, "the logit is l"),
    EdgeCase("1.0", "logits", 9, 4, "4 - 3 + 8 and 2 - 4 + 6"),
    EdgeCase("1.1", "logits", 6, 7, "4 - 4 + 6 and 2 - 3 + 8"),
    EdgeCase("1.0", "1.mlp", 8, 5, "MLP 1 writes nothing"),
]
