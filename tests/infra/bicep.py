"""Reads Bicep files with tree-sitter's grammar: what they declare, what they call and what they name.

There is no Bicep compiler here. What it would find that these tests do not is the types of Azure's own properties.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from deploy.package import REPOSITORY

INFRA = REPOSITORY / "infra"
MAIN = INFRA / "main.bicep"
FILES = sorted(INFRA.rglob("*.bicep"))


@dataclass(slots=True)
class Parameter:
    """A declared parameter; ``default`` is its source text, None where a caller must give a value."""

    default: str | None
    decorators: set[str]


@dataclass(slots=True)
class Block:
    """A resource or a module: its symbol, its type or path, and its body."""

    symbol: str
    kind: str
    existing: bool
    body: Node
    node: Node

    def property(self, *path: str) -> Node | None:
        """The value at a path of property names."""
        found: Node | None = self.body
        for name in path:
            found = properties(found).get(name) if found is not None else None
        return found


@dataclass(slots=True)
class Bicep:
    """One file."""

    path: Path
    root: Node
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    resources: list[Block] = field(default_factory=list)
    modules: list[Block] = field(default_factory=list)

    def of_type(self, kind: str) -> list[Block]:
        """The resources of a type that are made, not only looked up."""
        return [one for one in self.resources if one.kind.split("@")[0] == kind and not one.existing]


@cache
def read(path: Path) -> Bicep:
    """Read a file."""
    root = Parser(Language(tree_sitter_bicep.language())).parse(path.read_bytes()).root_node
    found = Bicep(path, root)
    decorators: set[str] = set()
    for node in root.named_children:
        if node.type == "decorators":
            decorators = {name_of(call) for call in walk(node) if call.type == "call_expression"}
            continue
        if node.type == "parameter_declaration":
            found.parameters[name_of(node)] = Parameter(_text(_assigned(node)), decorators)
        elif node.type == "variable_declaration":
            found.variables[name_of(node)] = node
        elif node.type == "output_declaration":
            found.outputs[name_of(node)] = node
        elif node.type == "module_declaration":
            found.modules.append(_block(node))
        if node.type != "comment":
            decorators = set()
    found.resources = [_block(node) for node in walk(root) if node.type == "resource_declaration"]
    return found


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    """Its source."""
    return (node.text or b"").decode()


def literal(node: Node | None) -> str:
    """The content of a string without interpolations, as it stands in the source."""
    return text(node)[1:-1] if node is not None and node.type == "string" else ""


def name_of(node: Node) -> str:
    """The first identifier below a declaration or a call."""
    return text(next(child for child in node.children if child.type == "identifier"))


def properties(node: Node) -> dict[str, Node]:
    """Keys and values of an object."""
    found = {}
    for one in node.named_children:
        if one.type == "object_property" and len(one.named_children) == 2:
            key, value = one.named_children
            found[literal(key) or text(key)] = value
    return found


def declared(bicep: Bicep) -> set[str]:
    """Every name that an expression of the file may use, functions apart."""
    loops = {text(part) for node in walk(bicep.root) if node.type == "for_statement" for part in _loop_names(node)}
    loops |= {text(node.named_children[0]) for node in walk(bicep.root) if node.type == "lambda_expression"}
    blocks = {one.symbol for one in [*bicep.resources, *bicep.modules]}
    return {*bicep.parameters, *bicep.variables, *blocks, *loops}


def named(bicep: Bicep) -> Iterator[tuple[str, bool]]:
    """Names that the file's expressions use, and whether they are called."""
    for node in walk(bicep.root):
        parent = node.parent
        if node.type != "identifier" or parent is None or (parent.parent and parent.parent.type == "decorator"):
            continue
        is_key = parent.type == "object_property" and node == parent.named_children[0]
        is_declared = (
            parent.type.endswith("_declaration") and text(node) == name_of(parent) and parent.children[1] == node
        )
        if not is_key and not is_declared:
            yield text(node), parent.type == "call_expression" and parent.children[0] == node


def settings_of_the_app() -> dict[str, str]:
    """The app's settings as infra gives them: value, or the source of the expression that makes it."""
    found: dict[str, str] = json.loads((INFRA / "app-settings.json").read_text())
    for name in ("app.bicep", "../main.bicep"):
        for node in walk(read((INFRA / "modules" / name).resolve()).root):
            if node.type == "object":
                values = {key: text(value) for key, value in properties(node).items() if _is_setting(key)}
                found |= values
    return found


def _is_setting(key: str) -> bool:
    return re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|AzureWebJobs\w+|AzureFunctionsJobHost__\w+", key) is not None


def parameter_file() -> dict[str, str]:
    """Values of the parameter file."""
    content: dict[str, Any] = json.loads((INFRA / "main.parameters.json").read_text())
    return {name: one["value"] for name, one in content["parameters"].items()}


def roles() -> dict[str, str]:
    """Built-in roles by the name that the files use."""
    found: dict[str, str] = json.loads((INFRA / "roles.json").read_text())
    return found


def _block(node: Node) -> Block:
    kind = next(child for child in node.children if child.type == "string")
    body = next(one for one in walk(node) if one.type == "object" and one.parent is not None)
    existing = any(child.type == "existing" for child in node.children)
    loop = next((one for one in node.children if one.type == "for_statement"), None)
    body = (loop.child_by_field_name("body") if loop is not None else None) or body
    return Block(name_of(node), literal(kind), existing, body, node)


def _loop_names(node: Node) -> Iterator[Node]:
    initializer = node.child_by_field_name("initializer")
    if initializer is not None:
        yield initializer
    for part in node.named_children:
        if part.type == "for_loop_parameters":
            for one in part.named_children:
                yield from (leaf for leaf in walk(one) if not leaf.children)


def _assigned(node: Node) -> Node | None:
    signs = [index for index, child in enumerate(node.children) if child.type == "="]
    return node.children[signs[0] + 1] if signs else None


def _text(node: Node | None) -> str | None:
    return None if node is None else text(node)
