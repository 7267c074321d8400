"""Where a bug can be planted in a module, and the module with it.

Sites are found on the syntax tree. Text is left alone: docstrings, annotations, every f-string, what stands behind
`raise`; and so are imports, `__all__` and names for types. So a changed sentence moves no site, and a draw stays.
"""

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
NEGATED = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)  # a comparison with one of them negated is another
TEXT_FIELDS = {"annotation", "returns", "exc", "cause", "msg"}
EVERYWHERE = range(1, 10**9)


@dataclass(frozen=True)
class Site:
    """A change of `parent.field`: its value, or in a list the item `i`, becomes `new`."""

    owner: str  # the function around it
    operator: str
    lines: range  # that a test must run to notice
    parent: ast.AST
    field: str
    i: int | None
    new: ast.AST


@dataclass(frozen=True)
class Mutant:
    name: str
    lines: range
    source: str


def draw(module: str, source: str, count: int = 60, seed: int = 0) -> list[Mutant]:
    """`count` mutants of a module, the same ones as long as its code is the same."""
    tree = ast.parse(source)
    found = list(sites(tree))
    drawn = random.Random(f"{module} {seed}").sample(found, min(count, len(found)))
    mutants: dict[str, Mutant] = {}
    for site in drawn:
        mutant = plant(tree, site)
        number = sum(name.split(" #")[0] == mutant.name for name in mutants)
        name = f"{mutant.name} #{number + 1}" if number else mutant.name  # the same line twice in a function
        mutants[name] = Mutant(name, mutant.lines, mutant.source)
    return list(mutants.values())


def plant(tree: ast.AST, site: Site) -> Mutant:
    """The source with this one change; its name shows the line before and after."""
    before, old = ast.unparse(tree), getattr(site.parent, site.field)
    setattr(site.parent, site.field, site.new if site.i is None else [*old[: site.i], site.new, *old[site.i + 1 :]])
    after = ast.unparse(ast.fix_missing_locations(tree))
    setattr(site.parent, site.field, old)
    lines = zip(before.splitlines(), after.splitlines(), strict=False)
    was, becomes = excerpts(*next((a.strip(), b.strip()) for a, b in lines if a != b))
    return Mutant(f"{site.owner}: {site.operator}: {was} -> {becomes}", site.lines, after)


def excerpts(a: str, b: str, around: int = 40) -> tuple[str, str]:
    """Of two lines the part in which they differ, and some characters before and behind."""
    same = in_common(a, b)
    end = min(in_common(a[::-1], b[::-1]), min(len(a), len(b)) - same)
    start = max(0, same - around)
    left, right = "..." * (start > 0), "..." * (end > around)
    return tuple(left + line[start : len(line) - max(0, end - around)] + right for line in (a, b))


def in_common(a: str, b: str) -> int:
    """With how many characters both begin."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def sites(node: ast.AST, owner: str = "", lines: range = EVERYWHERE) -> Iterator[Site]:
    """Every site below `node`, which belongs to `owner` and is run with `lines`."""
    for field, value in ast.iter_fields(node):
        if field in TEXT_FIELDS:
            continue
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or is_text(child, owner):
                continue
            inside, reach = owner, lines
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inside = f"{owner}.{child.name}".strip(".")
            if isinstance(child, ast.FunctionDef):
                reach = range(child.lineno, child.end_lineno + 1)  # of its default values
            elif isinstance(child, ast.stmt) and lines is not EVERYWHERE:
                ends = [part[0].lineno - 1 for part in (getattr(child, "body", []),) if part]
                reach = range(child.lineno, max(child.lineno, *ends, *([] if ends else [child.end_lineno])) + 1)
            for operator, new in replacements(child, field):
                yield Site(inside, operator, reach, node, field, i if isinstance(value, list) else None, new)
            yield from sites(child, inside, reach)


def is_text(node: ast.AST, owner: str) -> bool:
    """Whether nothing inside is code to change: a text with holes, an import, `__all__`, a name for a type."""
    if isinstance(node, ast.Assign) and not owner and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
        return name == "__all__" or (name[0].isupper() and not name.isupper())
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def replacements(node: ast.AST, field: str) -> Iterator[tuple[str, ast.AST]]:
    """The operators that fit a node, and what each makes of it.

    No `return x` becomes `return None`: the types that are checked while testing would kill each of them.
    """
    if field in ("test", "ifs") and not is_negated(node):
        yield "condition", ast.UnaryOp(ast.Not(), node)
    match node:
        case ast.Compare():
            for i, op in enumerate(node.ops):
                yield "comparison", changed(node, ops=[*node.ops[:i], COMPARISONS[type(op)](), *node.ops[i + 1 :]])
        case ast.BinOp(op=ast.MatMult()):
            yield "arithmetic", changed(node, left=node.right, right=node.left)
        case ast.BinOp():
            yield "arithmetic", changed(node, op=ARITHMETIC[type(node.op)]())
        case ast.AugAssign():
            yield "arithmetic", changed(node, op=ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield "boolean", changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp():
            yield "sign", node.operand
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield "constant", ast.Constant(node.value + 1)
        case ast.Constant(value=float()):
            yield "constant", ast.Constant(2 * node.value or 1.0)
        case ast.Slice():
            for part in ("lower", "upper", "step"):
                if getattr(node, part) is not None:
                    yield "slice", changed(node, **{part: None})
        case ast.Call():
            yield from other_calls(node)
    if is_removable(node):
        yield "removed", ast.Pass()


def other_calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    match node.func:
        case ast.Name(id=name) if name in NAMES:
            yield "function", changed(node, func=ast.Name(NAMES[name]))
        case ast.Attribute(attr=name) if name in NAMES:
            yield "function", changed(node, func=changed(node.func, attr=NAMES[name]))
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            yield "keyword", changed(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])


def is_removable(node: ast.AST) -> bool:
    """A statement that the others can do without: a call, a raise, a jump, a change of something that is there."""
    match node:
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]) | ast.AnnAssign(target=ast.Attribute()):
            return True
    return isinstance(node, ast.AugAssign | ast.Raise | ast.Break | ast.Continue) or (
        isinstance(node, ast.Return) and node.value is None
    )


def is_negated(node: ast.AST) -> bool:
    """Whether another operator negates it already, or it is a constant, as in `while True`."""
    one = isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], NEGATED)
    return one or isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))


def changed(node: ast.AST, **fields: Any) -> ast.AST:
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new
