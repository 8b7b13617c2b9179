"""`interp pretraining`."""

from typing import TYPE_CHECKING, Literal

from interp.asking.options import Output
from interp.terminal.console import check_output, counting, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses.pretraining import Finetuned

COLUMNS = (
    "group", "pretraining_step", "auxiliary", "low", "high", "alone", "gain", "gain_low", "gain_high", "before",
    "after", "seeds",
)  # fmt: skip
"""What a person sees."""


def pretraining(
    sweep: str | None = None,
    /,
    *,
    n: int = 128,
    quantity: Literal["cosine", "spearman", "weighted_jaccard"] = "cosine",
    weights: str = "averaged",
    format: Literal["svg", "pdf", "png", "pgf"] = "svg",
    draws: int = 10_000,
    seed: int = 0,
    output: Output = Output(),
) -> None:
    """Show what finetuning reaches, and which heads are shared, over a family of pretraining checkpoints.

    Two examples:

    - `interp pretraining`
    - `interp pretraining runs/pretraining --quantity spearman --format pdf`

    Args:
        sweep: A sweep over start.revision (docs/analyses/pretraining.md), by folder or name; the one that was started
            last if left out.
        n: Examples per ablation map.
        quantity: Which similarity of the maps is shown.
        weights: averaged, raw, or averaged-DECAY.
        format: Of the figure.
        draws: Permutations for the p-values.
        seed: Seeds them.
    """
    check_output(output)
    from analyses.pretraining import finetuned_accuracy, finetuned_runs, pretraining_transfer
    from interp.paper.pretraining import pretraining_figure
    from interp.paper.style import save_figure
    from training.files import write_whole
    from training.finding import find_sweep

    folder = find_sweep(sweep)
    runs = finetuned_runs(folder)
    accuracy = finetuned_accuracy(runs, weights=weights)
    transfer, reuse = pretraining_transfer(accuracy), _reuse(runs, n=n, weights=weights)
    association = _association(transfer, reuse, draws=draws, seed=seed)
    path = folder / "figures" / f"pretraining.{format}"
    save_figure(pretraining_figure(transfer, reuse, quantity=quantity), path, form=format)
    written = {"accuracy": accuracy, "transfer": transfer, "reuse": reuse, "association": association}
    for name, table in written.items():
        write_whole(
            path.with_name(f"pretraining-{name}.csv"), lambda part, table=table: table.to_csv(part, index=False)
        )
    title = f"{folder.name}: exact match beyond the main task's lengths, and {quantity} of ablation maps (nll)"
    emit(_summary(transfer, reuse, quantity), output, columns=list(COLUMNS), title=title)
    _say(association, ("beyond", f"{quantity}, before", f"{quantity}, after"))
    say(f"figure: {path}")


def _reuse(runs: "list[Finetuned]", *, n: int, weights: str) -> "pd.DataFrame":
    import pandas as pd

    from analyses.pretraining import PretrainingReuse
    from tasks import InvalidValueError

    reuse = PretrainingReuse(n=n, weights=weights)
    paired = [one for one in runs if len(one.run.mixture) > 1]
    if not any(one.condition == "auxiliary" for one in paired):
        raise InvalidValueError(
            "the sweep has no finished run with the auxiliary, so nothing can be shared; add condition = 'auxiliary'"
        )
    tables: list[pd.DataFrame] = []
    with counting() as bar:
        done = bar("reuse")
        for place, one in enumerate(paired):
            tables.append(reuse(one))
            done(place + 1, len(paired))
    return pd.concat(tables, ignore_index=True)


def _association(transfer: "pd.DataFrame", reuse: "pd.DataFrame", *, draws: int, seed: int) -> "pd.DataFrame":
    """Of everything that has a value for each seed and checkpoint, reuse as its mean over auxiliaries.

    An empty table where there are too few checkpoints.
    """
    import pandas as pd

    from analyses.pretraining import pretraining_association
    from analyses.pretraining.association import FEWEST
    from training import named_generator

    point = ["group", "condition", "pretraining_step", "seed"]
    means = reuse.groupby([*point, "quantity", "when"], as_index=False)["value"].mean()
    named = means.assign(quantity=means["quantity"] + ", " + means["when"])
    outcomes = pd.concat([transfer, named], ignore_index=True)
    by = ("group", "condition", "quantity")
    parts: list[pd.DataFrame] = []
    for (group, condition, quantity), part in outcomes.groupby(list(by)):
        wide = part.pivot(index="seed", columns="pretraining_step", values="value")
        if wide.shape[1] >= FEWEST and not wide.isna().to_numpy().any():
            parts.append(part)
        elif quantity == "beyond":
            say(
                f"{group}, {condition}: no correlation with the pretraining step, which needs {FEWEST} checkpoints and "
                "a run of every seed at each"
            )
    if not parts:
        return pd.DataFrame(columns=[*by, "spearman", "p", "q"])
    outcomes = pd.concat(parts, ignore_index=True)
    generator = named_generator(seed, "pretraining")
    return pretraining_association(outcomes, by=by, draws=draws, generator=generator)


def _say(association: "pd.DataFrame", quantities: tuple[str, ...]) -> None:
    """What goes with the pretraining step, a line for each."""
    for row in association.to_dict("records"):
        if row["quantity"] in quantities:
            say(
                f"{row['group']}, {row['condition']}, {row['quantity']}: Spearman with pretraining step "
                f"{row['spearman']:+.2f} (p {row['p']:.2g}, q {row['q']:.2g}; {row['checkpoints']} checkpoints, "
                f"{row['seeds']} seeds)"
            )


def _summary(transfer: "pd.DataFrame", reuse: "pd.DataFrame", quantity: str) -> "pd.DataFrame":
    """A row per group and pretraining step."""
    from analyses.pretraining import over_pretraining

    point = ["group", "pretraining_step"]
    beyond = transfer[transfer["quantity"] == "beyond"]
    means = over_pretraining(beyond, by=["group", "condition"])
    means[["low", "high"]] = means[["low", "high"]].clip(0, 1)  # an accuracy
    table = means[means["condition"] == "auxiliary"].rename(columns={"mean": "auxiliary"}).drop(columns="condition")
    wide = beyond.pivot(index=[*point, "seed"], columns="condition", values="value")
    if "alone" in wide:
        alone = wide["alone"].groupby(level=point).mean().rename("alone").reset_index()
        gains = (wide["auxiliary"] - wide["alone"]).dropna().rename("value").reset_index()
        gain = over_pretraining(gains, by=["group"]).drop(columns="seeds")
        gain[["low", "high"]] = gain[["low", "high"]].clip(-1, 1)
        gain = gain.rename(columns={"mean": "gain", "low": "gain_low", "high": "gain_high"})
        table = table.merge(alone, on=point).merge(gain, on=point)
    chosen = reuse[(reuse["quantity"] == quantity) & (reuse["condition"] == "auxiliary")]
    maps = chosen.groupby([*point, "when"])["value"].mean().unstack("when").reset_index()
    table = table.merge(maps, on=point)
    return table[[column for column in COLUMNS if column in table]]
