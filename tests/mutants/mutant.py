"""A planted fault, and how it is applied to the text of a source file."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


class EditError(LookupError):
    """An edit does not apply to the source; the message says why."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Args:
        name: What is wrong, in a few words.
        cases: Regular expression of the cases whose laws must fail.
        edits: Triples (where, old, new). `where` is the qualified name of a function, a method, a class or an assigned
            variable, such as "Additive.inverse". `old` occurs exactly once in the code of that definition, printed by
            `ast.unparse` and without its docstring: line breaks, quotes and comments of the source file do not matter.
    """

    name: str
    cases: str
    edits: Sequence[tuple[str, str, str]]

    def apply(self, source: str) -> str:
        """Return the text of a source file with the fault in it.

        Raises:
            EditError: A definition is missing, or the fragment does not occur exactly once in it.
        """
        tree = ast.parse(source)
        for where, old, new in self.edits:
            _edit(tree, where, old, new)
        return ast.unparse(tree)


def _edit(tree: ast.Module, where: str, old: str, new: str) -> None:
    """Replace a fragment of one definition, in place."""
    owner, index = find(tree, where)
    node = owner.body[index]
    docstring = node.body.pop(0) if has_docstring(node) else None
    text = ast.unparse(node)
    if text.count(old) != 1:
        raise EditError(f"expected {old!r} once in the code of {where!r}, found it {text.count(old)} times in\n{text}")
    changed = ast.parse(text.replace(old, new)).body[0]
    if docstring is not None:
        changed.body.insert(0, docstring)
    owner.body[index] = changed


def find(tree: ast.Module, where: str) -> tuple[ast.Module | Definition, int]:
    """Return the node whose body holds a definition, and the place of the definition in that body.

    Args:
        tree: A module.
        where: Qualified name, such as "Additive.inverse".

    Raises:
        EditError: There is no such definition, or more than one.
    """
    owner: ast.AST = tree
    parts = where.split(".")
    for depth, part in enumerate(parts):
        places = [i for i, node in enumerate(owner.body) if part in names(node)]
        if len(places) != 1:
            raise EditError(f"expected one definition of {'.'.join(parts[: depth + 1])!r}, found {len(places)}")
        if depth + 1 < len(parts):
            owner = owner.body[places[0]]
    return owner, places[0]


def names(node: ast.stmt) -> set[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def has_docstring(node: ast.stmt) -> bool:
    """Return whether a definition starts with a docstring and has more than that."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or len(node.body) < 2:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
