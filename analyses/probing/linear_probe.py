"""Which layer and site hold a quantity of a task in a form that a linear map can read."""

from dataclasses import dataclass

import pandas as pd
from jaxtyping import Int
from torch import Generator, Tensor

from analyses.examples import AT_ONCE, Examples, Running
from analyses.probing.activations import (
    RESIDUAL_SITES,
    Place,
    ProbeSite,
    activations,
    check_sites,
    places,
    standardised,
)
from analyses.probing.catalogue import check_label, get_label
from analyses.probing.fit import Fitting
from analyses.probing.label import Label, LabelFunction
from analyses.probing.scores import majority, scores
from analyses.probing.tokens import Tokens, Types, check_probe_scope, check_types, sampled
from analyses.scopes import Scope
from analyses.statistics.resampling import seed_of
from tasks import InvalidValueError, Task
from training import HookedTransformer, named_generator

COLUMNS = [
    "task", "length", "label", "positions", "layer", "site", "head", "accuracy", "stderr", "majority",
    "control_accuracy", "selectivity", "mdl", "compression", "untrained_accuracy", "untrained_selectivity",
    "untrained_mdl", "untrained_compression", "classes", "types", "controls", "n_train", "n_test", "n", "lambda",
    "converged", "seed",
]  # fmt: skip


@dataclass(frozen=True)
class LinearProbe:
    """How well a linear probe reads a label of a task at every layer and site, with controls.

    A probe is a multinomial logistic regression from one site's activation x at a token, each coordinate standardised,
    to the token's label: minimised is, in nats, sum of -log softmax(W x + b)[label] + lambda / 2 * |W|^2 over the
    training tokens (`logistic.fit_probes`; scikit-learn's `LogisticRegression(C=1 / lambda)`). Test tokens are those of
    other examples, without those that have all tokens up to them in a training example: what is held there is the same.

        accuracy      share of the test tokens whose most probable class is theirs: over all tokens of all examples
        selectivity   accuracy - control accuracy, where a control task gives every type of token a random label: a
                      probe that reads the label is selective, one that learns the tokens by heart is not
        mdl           bits of the online code of the training tokens' labels (`description_length.online_bits`)
        compression   n_train log2(classes) / mdl: above 1 the activations tell of the label

    All are also measured on an untrained model, of the same configuration with fresh weights: what the model holds
    because it was trained is what the untrained one does not hold.
    Sources: Alain and Bengio 2016 (arXiv 1610.01644); Hewitt and Liang 2019 (arXiv 1909.03368), section 2
    (selectivity); Voita and Titov 2020 (arXiv 2003.12298), section 2.2 (online code).

    Attributes:
        sites: Where in each layer. `z` is each head's own and has a row for each head.
        positions: Which tokens: `all`; `prompt`, those before the first scored one; `answer`, from it on.
        types: What a control task gives one label to (`tokens.Types`).
        controls: How many control tasks; their accuracy is the mean.
        fitting: Penalty and end of the fits.

    Raises:
        UnknownNameError: No such site, scope or types.
        InvalidValueError: No site, one named twice, or fewer than 1 control task.
    """

    sites: tuple[ProbeSite, ...] = RESIDUAL_SITES
    positions: Scope = "all"
    types: Types = "token"
    controls: int = 3
    fitting: Fitting = Fitting()

    def __post_init__(self) -> None:
        check_sites(self.sites)
        check_probe_scope(self.positions)
        check_types(self.types)
        if self.controls < 1:
            raise InvalidValueError(f"controls = {self.controls} tasks are not possible; allowed is 1 or more")

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        label: str | Label | LabelFunction,
        length: int | tuple[int, ...],
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per layer and site (and head, for `z`).

        Columns: task, length (several as `3 5`), label, positions, layer, site, head (missing but for z), accuracy,
        stderr (of accuracy; tokens of one example, and of its copies, count as dependent; missing for one example),
        majority (accuracy of always saying the training tokens' most frequent class), control_accuracy, selectivity,
        mdl, compression, untrained_accuracy, untrained_selectivity, untrained_mdl, untrained_compression, classes,
        types (different ones), controls, n_train, n_test (tokens), n (examples), lambda, converged (whether all fits of
        the row did), seed (of the generator).

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            label: A label's name, a `Label`, or a function of the user's (`label.LabelFunction`).
            length: The length of all examples, or several, of which each example draws one.
            n: Examples, from the test stream; a quarter of the different ones is held out for tests.
            generator: The source of examples, their division and the control tasks; its seed, of the untrained model.
            task_head: Checked only: no probe reads the unembedding.
            running: How the work is divided and followed (in batches of fits); its journal is not used.

        Raises:
            UnknownNameError: No such label.
            InvalidValueError: A label that the task does not have, or that has one class; labelled tokens of one type;
                no test token that is new;
                n below 8, a length that is not possible, a vocabulary without the task's tokens, a model with hooks
                attached.
        """
        seed, found = seed_of(generator), get_label(label)
        check_label(found, task)
        bound = task.bind(model.vocabulary)
        lengths = (length,) if isinstance(length, int) else length
        batch, testing = sampled(bound, lengths=lengths, n=n, generator=generator)
        Examples(batch[:1], None, task_head).check_model(model, before="a probe")
        tokens = Tokens.of(bound, batch, found, types=self.types, scope=self.positions, testing=testing)
        controls = tokens.controls(self.controls, generator=generator)
        own = self._scores(model, tokens, controls, running)
        running.on_done(1, 2)
        fresh = self._scores(_untrained(model, seed), tokens, controls, running)
        running.on_done(2, 2)
        about = {
            "task": task.name, "length": length if isinstance(length, int) else " ".join(map(str, length)),
            "label": found.name, "positions": self.positions, "majority": majority(tokens), "classes": tokens.classes,
            "types": int(tokens.types.max()) + 1, "controls": self.controls, "n_train": len(tokens.training),
            "n_test": len(tokens.tested), "n": n, "lambda": self.fitting.l2, "seed": seed,
        }  # fmt: skip
        names = ("accuracy", "selectivity", "mdl", "compression")
        both = {f"untrained_{name}": fresh[name] for name in names} | {
            "converged": own["converged"] & fresh["converged"]
        }
        return own.assign(**about, **both)[COLUMNS]

    def _scores(
        self, model: HookedTransformer, tokens: Tokens, controls: Int[Tensor, "control token"], running: Running
    ) -> pd.DataFrame:
        """What the probes of each place of a model score, layer by layer, the sites of a layer in their order."""
        chosen: list[Place] = []
        tables: list[pd.DataFrame] = []
        for of_heads in (False, True):
            if found := places(self.sites, model.config, of_heads=of_heads):
                held = activations(
                    model, tokens.batch, found, rows=tokens.rows, positions=tokens.positions,
                    token_budget=running.tokens(model.device),
                )  # fmt: skip
                features = standardised(held, training=tokens.training.to(held.device))
                tables.append(scores(features, tokens, controls, fitting=self.fitting))
                chosen += found
        heads = pd.array([pd.NA if place.head < 0 else place.head for place in chosen], dtype="Int64")
        table = pd.concat(tables, ignore_index=True).assign(
            layer=[place.layer for place in chosen], site=[place.site for place in chosen], head=heads
        )
        order = {place: (place.layer, self.sites.index(place.site), place.head) for place in chosen}
        rows = sorted(range(len(chosen)), key=lambda row: order[chosen[row]])
        return table.iloc[rows].reset_index(drop=True)


def _untrained(model: HookedTransformer, seed: int) -> HookedTransformer:
    """A model of the same configuration with fresh weights."""
    fresh = HookedTransformer(model.config, vocabulary=model.vocabulary, generator=named_generator(seed, "untrained"))
    return fresh.to(model.device, model.dtype)
