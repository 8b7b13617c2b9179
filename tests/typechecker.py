"""The type checker behind jaxtyping's import hook: beartype, with `Self` left to the static checker."""

from typing import Self

from beartype import BeartypeConf, FrozenDict, beartype

# jaxtyping decorates methods one by one, but beartype resolves `Self` only where it decorates the whole class.
check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({Self: object})))
