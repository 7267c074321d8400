"""What Sphinx is taught for the site: the anchors of JupyterLab, and formulas as MathML, which browsers draw."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

BETTER = {
    # docutils knows \bigl and not \big, which differ in their spaces alone
    r"\\([bB]igg?)(?![a-zA-Z])": r"\\\1l",
    # and leaves no space between a function and its argument
    r"(\\(?:cos|exp|ln|log|sin|tanh)(?![a-zA-Z])([_^](\w|\{[^{}]*\}))?)\s*(?=\w|\\[a-z])(?!\\(?:left|big))": r"\1\,",
}


def anchor(heading: str) -> str:
    """The anchor that JupyterLab gives a heading, so that a link works in both."""
    return heading.strip().replace(" ", "-")


def formula(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write a formula, and nothing in its place if it is none: the build then fails with its warning."""
    block = isinstance(node, nodes.math_block)
    text = node.astext()
    for pattern, better in BETTER.items():
        text = re.sub(pattern, better, text)
    try:
        made = tex2mathml(text, as_block=block)
        translator.body.append(f'<div class="math">{made}</div>' if block else made)
    except MathError as error:
        logging.getLogger(__name__).warning("%r is no formula: %s", node.astext(), error, location=node)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
