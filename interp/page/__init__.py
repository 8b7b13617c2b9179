"""The report page: one self-contained HTML file that a reader can open anywhere, send on, and print."""

from interp.page.comparison import render_comparison as render_comparison
from interp.page.comparison import write_comparison as write_comparison
from interp.page.html import rich as rich
from interp.page.html import script_json as script_json
from interp.page.seeds import render_seeds as render_seeds
from interp.page.seeds import write_seeds as write_seeds
from interp.page.study import render_page as render_page
from interp.page.study import write_page as write_page
