"""Notebook widgets: the head-overlap explorer. They need the extra `notebook`."""

from importlib.util import find_spec

if any(find_spec(name) is None for name in ("anywidget", "ipywidgets")):
    raise ImportError(
        "the notebook widgets need anywidget and ipywidgets, which are not installed; "
        "install them with: pip install 'interp-toolkit[notebook]'"
    )

from interp.widgets.explored import Explored as Explored
from interp.widgets.explorer import HeadOverlapExplorer as HeadOverlapExplorer
from interp.widgets.question import Exploring as Exploring
from interp.widgets.question import Question as Question
