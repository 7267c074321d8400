"""How Sphinx makes the site: myst-nb reads the pages, and Furo dresses them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where `pages` is

project = html_title = "gptlib"
author = "gptlib authors"
copyright = f"2026 {author}"
root_doc = "index"
language = "en"
extensions = ["myst_nb", "pages"]
highlight_language = "text"

nb_execution_mode = "off"  # build.py runs what must be run
nb_merge_streams = True
nb_ipywidgets_js = {}  # they would come from a network
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
myst_heading_slug_func = "pages.anchor"

html_theme = "furo"
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it asks for the pages that were found, which a browser refuses to a page from disk
html_use_index = False
