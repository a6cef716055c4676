"""The document as one HTML page: no script, nothing from elsewhere, its only style named by its hash."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from typing import Any

from triggers.contract.schemas import REFERENCE

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --link: #0b57d0; --quiet: #555; }
@media (prefers-color-scheme: dark) { :root { --link: #8ab4f8; --quiet: #aaa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .25rem; } h4 { font-size: .9rem; margin: .75rem 0 .25rem; color: var(--quiet); }
nav ul { columns: 16rem; list-style: none; padding: 0; } nav li { break-inside: avoid; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: 1rem 0; }
article:target { outline: 2px solid var(--link); }
p { margin: .25rem 0; } code, pre { font: .9em/1.4 ui-monospace, monospace; }
code { background: var(--soft); border-radius: .25rem; padding: 0 .2rem; }
pre { background: var(--soft); border-radius: .5rem; padding: .5rem; overflow-x: auto; overflow-wrap: normal; }
pre code { background: none; padding: 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--soft); }
td { min-width: 5rem; } .quiet { color: var(--quiet); }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of the page (https://www.w3.org/TR/CSP3/)."""
_METHODS = ("get", "put", "post", "delete")
Json = Mapping[str, Any]


def render(document: Json) -> str:
    """The page.

    Args:
        document: as ``document.build`` makes it.
    """
    info = document["info"]
    chapters = {tag["name"]: [*_operations(document, tag["name"])] for tag in document["tags"]}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(info['title'])}: API</title><style>{STYLE}</style></head><body>",
        f"<h1>{_text(info['title'])}: API</h1><p>{_marked(info['description'])}</p>",
        '<p>For programs: <a href="/api/openapi.json">openapi.json</a>, OpenAPI 3.1.</p>',
        *_contents(chapters),
    ]
    for name, operations in chapters.items():
        parts += [f"<h2>{_text(name)}</h2>", *(_operation(document, *found) for found in operations)]
    parts.append('<h2 id="objects">Objects</h2>')
    parts += [_object(name, schema) for name, schema in document["components"]["schemas"].items()]
    parts.append("</body></html>")
    return "\n".join(parts)


def _operations(document: Json, tag: str) -> Iterable[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if tag in methods.get(method, {}).get("tags", ()):
                yield method.upper(), path, methods[method]


def _contents(chapters: Mapping[str, list[tuple[str, str, Json]]]) -> list[str]:
    items = [
        f'<li><a href="#{_text(operation["operationId"])}"><code>{method} {_text(path)}</code></a></li>'
        for operations in chapters.values()
        for method, path, operation in operations
    ]
    return ["<nav><ul>", *items, '<li><a href="#objects">Objects</a></li>', "</ul></nav>"]


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    parts = [
        f'<article id="{_text(operation["operationId"])}"><h3><code>{method} {_text(path)}</code></h3>',
        f"<p>{_marked(operation['summary'])}. {_marked(operation['description'])}</p>",
    ]
    if operation["parameters"]:
        rows = [
            (f"<code>{_text(p['name'])}</code>", _text(p["in"]), _type(p["schema"]), _marked(p["description"]))
            for p in operation["parameters"]
        ]
        parts += ["<h4>Parameters</h4>", _table(("name", "in", "type", "meaning"), rows)]
    if "requestBody" in operation:
        parts += ["<h4>Body</h4>", *_body(operation["requestBody"])]
    answers = [_answer(document, status, answer) for status, answer in operation["responses"].items()]
    parts += ["<h4>Answers</h4>", _table(("status", "meaning", "body", "headers"), answers), "</article>"]
    return "\n".join(parts)


def _body(body: Json) -> list[str]:
    parts = [f"<p>{_marked(body['description'])}{'' if body['required'] else ' It may be left out.'}</p>"]
    for media, content in body["content"].items():
        parts.append(f"<p><code>{_text(media)}</code>: {_type(content.get('schema', {}))}</p>")
        if "example" in content:
            example = content["example"]
            text = example if isinstance(example, str) else json.dumps(example, indent=2)
            parts.append(f"<pre><code>{_text(text)}</code></pre>")
    return parts


def _answer(document: Json, status: str, answer: Json) -> tuple[str, ...]:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    contents = answer.get("content", {})
    body = "<br>".join(_type(content["schema"]) if "schema" in content else _text(m) for m, content in contents.items())
    headers = ", ".join(f"<code>{_text(name)}</code>" for name in answer.get("headers", ()))
    return _text(status), _marked(answer["description"]), body, headers


def _object(name: str, schema: Json) -> str:
    parts = [f'<article id="{_text(name)}"><h3>{_text(name)}</h3>']
    if "description" in schema:
        parts.append(f"<p>{_marked(' '.join(schema['description'].split()))}</p>")
    if "enum" in schema:
        parts.append(f"<p>{_type(schema)}</p>")
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{_text(field)}</code>" + ("" if field in required else ' <span class="quiet">optional</span>'),
            _type(of),
            _marked(of.get("description", "")),
        )
        for field, of in schema.get("properties", {}).items()
    ]
    if rows:
        parts.append(_table(("field", "type", "meaning"), rows))
    return "\n".join([*parts, "</article>"])


def _type(schema: Json) -> str:
    """What values a schema allows, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        return f'<a href="#{_text(name)}">{_text(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{_text(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{_text(str(schema['const']))}</code>"
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    return " ".join([_text(schema.get("format", kind)), *_limits(schema)])


def _limits(schema: Json) -> Iterable[str]:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "minLength": "at least",
        "maxLength": "at most",
        "default": "default",
    }
    for key, word in words.items():
        if schema.get(key) not in (None, ""):
            yield f'<span class="quiet">{word} {_text(str(schema[key]))}</span>'
    if "pattern" in schema:
        yield f"<code>{_text(schema['pattern'])}</code>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _text(value: str) -> str:
    return html.escape(value)


def _marked(value: str) -> str:
    """Text in which what stands between backquotes is code."""
    parts = _text(value).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
