"""Which function answers a request: route templates as in ASP.NET Core, tried in the order of the Functions host.

The Functions host tries the routes in the alphabetical order of the function names, not by how specific they are, so
that `{*path}` of a function `a_page` hides every other route. The local host does the same, in order that such a
mistake shows before it is deployed. Literals match in any case; a slash at the end is ignored.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#customize-the-http-endpoint
"""

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from local.host.functions import Function
from local.host.settings import HostConfigurationError

type Constraint = Callable[[str], bool]

_PARAMETER: Final = re.compile(r"\{(?P<body>[^{}]*)\}")
_SEGMENT: Final = re.compile(r"(?:\{[^{}]*\}|[^/])+")
_OPENING, _CLOSING = "\x01", "\x02"  # stand for `{{` and `}}`, which are braces of a literal or of a regex
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*\Z")
_INTEGER: Final = re.compile(r"[+-]?\d+\Z", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    constraints: tuple[Constraint, ...]
    optional: bool
    default: str | None
    catch_all: bool


@dataclass(frozen=True, slots=True)
class Route:
    """One function's route: `methods` in upper case, empty for all of them."""

    function: Function
    methods: frozenset[str]
    pattern: re.Pattern[str]
    parameters: tuple[_Parameter, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The route parameters when the template matches a decoded path without slash at its end, else None."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, text in zip(self.parameters, found.groups(), strict=True):
            if text is None or (text == "" and (parameter.optional or parameter.catch_all)):
                if parameter.default is not None:
                    values[parameter.name] = parameter.default
            elif all(accepts(text) for accepts in parameter.constraints):
                values[parameter.name] = text
            else:
                return None
        return values


@dataclass(frozen=True, slots=True)
class Match:
    """The answer to a request: the function and its parameters, or None with the methods that the path would allow."""

    function: Function | None
    parameters: dict[str, str]
    allowed: frozenset[str]


class RouteTable:
    """All routes of an app.

    Args:
        functions: those with another trigger than HTTP are passed over.
        prefix: `extensions.http.routePrefix`, without slashes at its ends; may be empty.

    Raises:
        HostConfigurationError: when a template cannot be read.
    """

    def __init__(self, functions: Iterable[Function], prefix: str) -> None:
        self.routes = [
            _make_route(function, prefix)
            for function in sorted(functions, key=lambda function: function.name.casefold())
            if function.trigger == "httptrigger"
        ]

    def find(self, method: str, raw_path: str) -> Match:
        """The first function whose template and methods match.

        Args:
            method: in upper case.
            raw_path: the path as it was sent, percent-encoded; `%2F` stays as it is, it does not end a segment.
        """
        segments = [unquote(segment).replace("/", "%2F") for segment in raw_path.split("/")]
        path = "/".join(segments).rstrip("/")
        allowed: set[str] = set()
        for route in self.routes:
            parameters = route.match(path)
            if parameters is None:
                continue
            if not route.methods or method in route.methods:
                return Match(route.function, parameters, route.methods)
            allowed |= route.methods
        return Match(None, {}, frozenset(allowed))


def _make_route(function: Function, prefix: str) -> Route:
    template = str(function.binding.get("route") or function.name).strip("/")
    methods = frozenset(str(method).upper() for method in function.binding.get("methods") or ())
    whole = "/".join(part for part in (prefix, template) if part)
    try:
        pattern, parameters = _compile(whole)
    except (ValueError, re.error) as error:
        raise HostConfigurationError(f"function {function.name}: route {template!r}: {error}") from error
    return Route(function, methods, pattern, parameters)


def _compile(template: str) -> tuple[re.Pattern[str], tuple[_Parameter, ...]]:
    parameters: list[_Parameter] = []
    pattern = ""
    for segment in _SEGMENT.findall(template.replace("{{", _OPENING).replace("}}", _CLOSING)):
        whole = _PARAMETER.fullmatch(segment)
        parameter = _parse_parameter(whole["body"]) if whole else None
        if parameter and parameter.catch_all:
            pattern += "(?:/(.*))?"
        elif parameter and (parameter.optional or parameter.default is not None):
            pattern += "(?:/([^/]+))?"
        elif parameter:
            pattern += "/([^/]+)"
        else:
            literal_and_parameters, inner = _compile_mixed(segment)
            pattern += "/" + literal_and_parameters
            parameters += inner
        if parameter:
            parameters.append(parameter)
    names = [parameter.name.casefold() for parameter in parameters]
    if len(names) != len(set(names)):
        raise ValueError("a parameter occurs twice")
    return re.compile(pattern, re.IGNORECASE | re.DOTALL), tuple(parameters)


def _compile_mixed(segment: str) -> tuple[str, list[_Parameter]]:
    """A segment that is a literal, or literals and parameters, as `{name}.{extension}`."""
    pattern, inner, end = "", [], 0
    for found in _PARAMETER.finditer(segment):
        inner.append(_parse_parameter(found["body"]))
        pattern += _literal(segment[end : found.start()]) + "([^/]+?)"
        end = found.end()
    return pattern + _literal(segment[end:]), inner


def _literal(text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError("the braces do not match")
    return re.escape(_with_braces(text))


def _with_braces(text: str) -> str:
    return text.replace(_OPENING, "{").replace(_CLOSING, "}")


def _parse_parameter(body: str) -> _Parameter:
    stars = len(body) - len(body.lstrip("*"))
    text = body[stars:]
    optional = text.endswith("?")
    text, _, default = text.removesuffix("?").partition("=") if "(" not in text else (text.removesuffix("?"), "", "")
    name, *constraints = re.split(r":(?![^(]*\))", text)
    if not _NAME.match(name):
        raise ValueError(f"{{{body}}} is not a parameter")
    return _Parameter(name, tuple(_constraint(c) for c in constraints), optional, default or None, stars > 0)


def _constraint(text: str) -> Constraint:
    """A route constraint by its ASP.NET Core name."""
    name, _, rest = text.partition("(")
    if "(" in text and not rest.endswith(")"):
        raise ValueError(f"the parentheses of {text!r} do not match")
    argument = rest.removesuffix(")")
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "regex":
        expression = re.compile(_with_braces(argument), re.IGNORECASE)
        return lambda value: expression.search(value) is not None
    numbers = [int(number) for number in argument.split(",")]
    match name, numbers:
        case ("minlength", [least]):
            return lambda value: len(value) >= least
        case ("maxlength", [most]):
            return lambda value: len(value) <= most
        case ("length", [exactly]):
            return lambda value: len(value) == exactly
        case ("length", [least, most]):
            return lambda value: least <= len(value) <= most
        case ("min", [least]):
            return lambda value: bool(_INTEGER.match(value)) and int(value) >= least
        case ("max", [most]):
            return lambda value: bool(_INTEGER.match(value)) and int(value) <= most
        case ("range", [least, most]):
            return lambda value: bool(_INTEGER.match(value)) and least <= int(value) <= most
        case _:
            raise ValueError(f"unknown constraint {text!r}")


def _is_guid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


_PLAIN: Final[dict[str, Constraint]] = {
    "int": lambda value: bool(_INTEGER.match(value)) and -(2**31) <= int(value) < 2**31,
    "long": lambda value: bool(_INTEGER.match(value)) and -(2**63) <= int(value) < 2**63,
    "bool": lambda value: value.casefold() in ("true", "false"),
    "guid": _is_guid,
    "alpha": lambda value: re.fullmatch("[A-Za-z]*", value) is not None,
    "float": lambda value: _FLOAT.match(value) is not None,
    "double": lambda value: _FLOAT.match(value) is not None,
    "decimal": lambda value: _FLOAT.match(value) is not None,
    "required": lambda value: value != "",
}
