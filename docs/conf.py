"""The documentation site: `make docs` builds it into build/docs, offline and without a warning."""

import sys
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "interp"
author = "The interp authors"
project_copyright = "the interp authors"
version = release = installed("interp-toolkit")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs.api.docstrings",
]
exclude_patterns = ["**/.ipynb_checkpoints", "notebooks/runs"]
if any(find_spec(name) is None for name in ("anywidget", "ipywidgets")):  # the extra `notebook`
    exclude_patterns.append("api/interp-widgets.md")

# Every reference must lead somewhere, but for three kinds of types in signatures.
nitpicky = True
nitpick_ignore_regex = [
    # Other libraries' types: a link to their pages needs their inventories, hence the network.
    (r"py:class", r"(?!(tasks|training|analyses|interp)\.)\w+\..*"),
    (r"py:class", r"(Tensor|ndarray|NoneType)"),
    # The shapes that jaxtyping writes are no types.
    (r"py:class", r"'[\w *#+/-]*'"),
    # Our own types that are not in a package's public namespace have no page; tests hold every public name to have one.
    (r"py:class", r"(tasks|training|analyses|interp)\.\w+\..*"),
]

# Markdown and notebooks: notebooks are shown as they are stored, for CI executes them elsewhere.
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # else every page with a widget asks two remote servers for scripts

# The API, from docstrings: single backticks are code, as in the rest of the project.
default_role = "code"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "special-members": "__call__",
    "exclude-members": "model_config",
}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # the signature has them
napoleon_custom_sections = [("Attributes", "params_style")]  # a dataclass's fields are its parameters
napoleon_use_rtype = False
python_maximum_signature_line_length = 90
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"interp {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
