"""TransformerLens' hooks and caching, except that a hook which cannot work is an error instead of a silent no-op."""

# ruff: noqa: FBT001, FBT002 - the signatures are TransformerLens'.
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

from torch import Tensor
from transformer_lens import ActivationCache, HookedRootModule
from transformer_lens.hook_points import HookPoint

from tasks import InvalidValueError
from tasks.errors import unknown_name
from training.model.parts import hooked

HookName = str | Callable[[str], bool]
"""The name of a hook point, or a filter that says of each name whether it is meant."""

Hook = tuple[HookName, Callable[..., Any]]


class StrictlyHooked(HookedRootModule):
    """A hooked module that refuses hooks on points it does not have, and reports hooks that nothing fired."""

    @property
    def is_hooked(self) -> bool:
        """Whether anything is attached to any hook point."""
        return hooked(*self.hook_dict.values())

    @contextmanager
    def hooks(
        self,
        fwd_hooks: Sequence[Hook] = (),
        bwd_hooks: Sequence[Hook] = (),
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
    ) -> Generator[Self, None, None]:
        """Attaches hooks for as long as the context lasts, as TransformerLens does.

        Raises:
            UnknownNameError: A hook point that this model does not have.
            InvalidValueError: A filter that matches no hook point, or a forward hook that nothing fired: the result
                would be an unedited run that looks like an edited one.
        """
        for name, _ in (*fwd_hooks, *bwd_hooks):
            self._check_hook_name(name)
        fired = [0] * len(fwd_hooks)
        counted = [(name, _counting(hook, fired, place)) for place, (name, hook) in enumerate(fwd_hooks)]
        with super().hooks(counted, list(bwd_hooks), reset_hooks_end, clear_contexts):
            yield self
        silent = [name for (name, _), count in zip(fwd_hooks, fired, strict=True) if not count]
        if silent and reset_hooks_end:
            where = repr(silent[0]) if isinstance(silent[0], str) else "the points of a filter"
            raise InvalidValueError(
                f"the hook on {where} never fired, so nothing was edited; run the model inside the context"
            )

    def add_hook(
        self,
        name: HookName,
        hook: Callable[..., Any],
        dir: Literal["fwd", "bwd"] = "fwd",
        is_permanent: bool = False,
        level: int | None = None,
        prepend: bool = False,
    ) -> None:
        """Attaches a hook until `reset_hooks`, as TransformerLens does.

        Raises:
            UnknownNameError: A hook point that this model does not have.
            InvalidValueError: A filter that matches no hook point.
        """
        self._check_hook_name(name)
        super().add_hook(name, hook, dir, is_permanent, level, prepend)

    def run_with_cache(
        self,
        *model_args: Any,
        return_cache_object: bool = True,
        names_filter: HookName | list[str] | None = None,
        remove_batch_dim: bool = False,
        **model_kwargs: Any,
    ) -> tuple[Any, Any]:
        """TransformerLens' `run_with_cache`: the output, and an `ActivationCache` (or a dict of activations).

        Raises:
            UnknownNameError: `names_filter` names a hook point that this model does not have.
            InvalidValueError: `names_filter` matches no hook point.
        """
        if isinstance(names_filter, str) or callable(names_filter):
            self._check_hook_name(names_filter)
        for name in names_filter if isinstance(names_filter, list) else ():
            self._check_hook_name(name)
        output, cache = super().run_with_cache(
            *model_args, names_filter=names_filter, remove_batch_dim=remove_batch_dim, **model_kwargs
        )
        if return_cache_object:
            cache = ActivationCache(cache, self, has_batch_dim=not remove_batch_dim)
        return output, cache

    def _check_hook_name(self, name: HookName) -> None:
        if isinstance(name, str) and name not in self.hook_dict:
            raise unknown_name("hook point", name, self.hook_dict, listing="'model.hook_dict' lists all of them")
        if not isinstance(name, str) and not any(name(point) for point in self.hook_dict):
            raise InvalidValueError(
                "the hook's filter matches no hook point, so nothing would be edited; 'model.hook_dict' lists them"
            )


def _counting(hook: Callable[..., Any], fired: list[int], place: int) -> Callable[..., Any]:
    def counted(tensor: Tensor, hook_point: HookPoint | None = None, **named: HookPoint) -> Any:
        fired[place] += 1
        return hook(tensor, hook=named.get("hook", hook_point))

    return counted
