"""The words of the command line, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from elb.addresses import DEFAULT_API
from elb.api import DEFAULT_PATIENCE_SECONDS
from elb.commands import clusters, results, searches, submitting
from elb.errors import UsageError
from elb.text import parse_duration

_PROGRAMS = ("blastn", "blastp", "blastx", "tblastn", "tblastx")
_EPILOG = """\
environment:
  ELB_API    the address of the app, when there is no --api
  ELB_TOKEN  a bearer token, when there is no --token-command

exit codes:
  0 done, or completed   1 the search or other work failed   2 wrong command line    3 cancelled
  4 not found            5 not signed in, or not allowed     6 the API does not answer
  7 --timeout is over    8 refused by the API                9 a download is not whole
  70 a defect of the client                              130 interrupted: what was begun goes on
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the client's own."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError("usage", message, f"{self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The whole command line. Options that every command has may stand before or behind its name."""
    main = Parser(
        prog="python -m elb",
        description="Submit BLAST searches to an ElasticBLAST control plane, follow them, and fetch their results.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _common(main, first=True)
    commands = main.add_subparsers(dest="command", metavar="command", required=True)

    def add(name: str, run: Callable[..., Any], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run)
        _common(made, first=False)
        return made

    _add_submitting(add)
    _add_searches(add)
    _add_results(add)
    _add_clusters(add)
    return main


_Add = Callable[[str, Callable[..., Any], str], argparse.ArgumentParser]


def _common(to: argparse.ArgumentParser, *, first: bool) -> None:
    """The options of every command. Only the first parser gives defaults, or the second would undo what it read."""
    default = (lambda value: value) if first else (lambda _: argparse.SUPPRESS)
    group = to.add_argument_group("for every command")
    group.add_argument(
        "--api", default=default(None), metavar="URL", help=f"address of the app (default {DEFAULT_API})"
    )
    group.add_argument(
        "--token-command",
        default=default(None),
        metavar="COMMAND",
        help="prints a bearer token, alone or as accessToken of JSON",
    )
    group.add_argument("--json", action="store_true", default=default(False), help="print JSON and nothing else")
    group.add_argument(
        "--patience", type=_duration, default=default(DEFAULT_PATIENCE_SECONDS), metavar="TIME",
        help=f"how long an API that does not answer is asked again (default {DEFAULT_PATIENCE_SECONDS:g}s)",
    )  # fmt: skip


def _add_submitting(add: _Add) -> None:
    submit = add("submit", submitting.submit, "begin a search; prints its id")
    _query_argument(submit, "?", "-")
    _search_options(submit, required=True)
    _after_submit(submit)
    clone = add("clone", submitting.clone, "begin a search like another one, with edits")
    clone.add_argument("job", help="id of the search that is taken as the example")
    clone.add_argument("--query", metavar="FASTA", help="other queries, - for standard input (default: the same)")
    _search_options(clone, required=False)
    _after_submit(clone)
    validate = add("validate", submitting.validate, "check a search without beginning it; 0 when it would be accepted")
    _query_argument(validate, "?", "-")
    _search_options(validate, required=True)


def _query_argument(to: argparse.ArgumentParser, count: str, default: str) -> None:
    to.add_argument(
        "query",
        nargs=count,
        default=default,
        metavar="FASTA",
        help="file of sequences, plain or gzip; - for standard input",
    )


def _search_options(to: argparse.ArgumentParser, *, required: bool) -> None:
    to.add_argument("--program", choices=_PROGRAMS, required=required)
    to.add_argument("--db", dest="database", required=required, metavar="NAME", help="database")
    to.add_argument("--task", help="such as megablast or blastn-short")
    to.add_argument("--evalue", type=float, metavar="E", help="largest E-value")
    to.add_argument("--max-target-seqs", type=int, metavar="N", help="subjects per query at most")
    to.add_argument("--word-size", type=int, metavar="N")
    to.add_argument("--outfmt", metavar="FORMAT", help='such as 5, or "6 std staxids"')
    to.add_argument("--extra", metavar="OPTIONS", help='further BLAST options in one word: --extra="-dust no"')
    to.add_argument("--title")
    to.add_argument("--label", action="append", default=[], type=_label, metavar="NAME=VALUE", help="may be repeated")
    to.add_argument("--engine", choices=("native", "cli"))
    to.add_argument("--batch-len", type=int, metavar="LETTERS", help="letters of query in a batch")
    to.add_argument("--webhook-url", metavar="URL", help="is told of the end")
    _cluster_options(to)


def _after_submit(to: argparse.ArgumentParser) -> None:
    to.add_argument("--key", help="Idempotency-Key: with the same one it is the same search (default: a new one)")
    to.add_argument("--out", metavar="FOLDER", help="wait for the end, and save the results there")
    to.add_argument("--force", action="store_true", help="replace files that are there")
    _wait_options(to)


def _wait_options(to: argparse.ArgumentParser) -> None:
    to.add_argument("--wait", action="store_true", help="until it has ended; the exit code is its end")
    _timeout_option(to)


def _timeout_option(to: argparse.ArgumentParser) -> None:
    to.add_argument("--timeout", type=_duration, metavar="TIME", help="wait no longer: 90, 90s, 15m, 2h (exit code 7)")


def _cluster_options(to: argparse.ArgumentParser) -> None:
    group = to.add_argument_group("where, if not on the app's default cluster")
    group.add_argument("--subscription", dest="subscription_id", metavar="ID")
    group.add_argument("--resource-group", metavar="NAME")
    group.add_argument("--cluster", dest="cluster_name", metavar="NAME")
    group.add_argument("--storage-account", metavar="NAME")


def _page_options(to: argparse.ArgumentParser, limit: int) -> None:
    to.add_argument("--limit", type=_count, default=limit, metavar="N", help=f"rows at most (default {limit})")
    to.add_argument("--all", action="store_true", help="all rows")
    to.add_argument("--cursor", help="go on where another list ended")


def _add_searches(add: _Add) -> None:
    jobs = add("jobs", searches.jobs, "list searches, newest first")
    for name in ("status", "program", "owner"):
        jobs.add_argument(f"--{name}")
    jobs.add_argument("--db", dest="database", metavar="NAME")
    jobs.add_argument("--title", help="a part of it")
    _page_options(jobs, 50)
    for name, run, text in (
        ("show", searches.show, "show a search as it is now"),
        ("watch", searches.watch, "show a search until it has ended; the exit code is its end"),
        ("events", searches.events, "show what happened to a search, newest first"),
        ("logs", searches.logs, "show the last lines that the Jobs of a search wrote"),
        ("cancel", searches.cancel, "end a search"),
        ("retry", searches.retry, "run what is missing of a failed or cancelled search"),
        ("delete", searches.delete, "delete a search with all that it left"),
    ):
        made = add(name, run, text)
        made.add_argument("job", help="id of the search")
        if name == "watch":
            _timeout_option(made)
        elif name == "events":
            _page_options(made, 50)
        elif name == "logs":
            made.add_argument("--job", dest="job_name", metavar="NAME", help="of this Kubernetes Job only")
            made.add_argument("--tail", type=_count, metavar="N", help="lines of each")
        elif name in ("cancel", "retry", "delete"):
            _wait_options(made)
        if name == "cancel":
            made.add_argument("--reason")


def _add_results(add: _Add) -> None:
    shown = add("results", results.results, "list the results of a search, or download them with --out")
    shown.add_argument("job", help="id of the search")
    shown.add_argument("--out", metavar="FOLDER", help="save them there; again, it goes on where it ended")
    shown.add_argument("--file", action="append", metavar="NAME", help="this one only; may be repeated")
    shown.add_argument("--force", action="store_true", help="replace files that are there")
    hits = add("hits", results.hits, "show hits as rows")
    hits.add_argument("job", help="id of the search")
    hits.add_argument("--query", metavar="ID", help="of this query only")
    hits.add_argument(
        "--sort", metavar="FIELD", help="evalue, bit_score, identity or length; --sort=-bit_score: largest first"
    )
    hits.add_argument("--min-identity", type=float, metavar="PERCENT")
    hits.add_argument("--max-evalue", type=float, metavar="E")
    _page_options(hits, 50)


def _add_clusters(add: _Add) -> None:
    _cluster_options(add("databases", clusters.databases, "list the databases: storage, warmth, fit"))
    warm = add("warm", clusters.warm, "bring a database into the nodes' memory")
    warm.add_argument("database")
    warm.add_argument("--force", action="store_true", help="also in the place of a version that searches read")
    warm.add_argument("--key", help="Idempotency-Key (default: a new one)")
    release = add("release", clusters.release, "take a database off the nodes")
    release.add_argument("database")
    release.add_argument("--force", action="store_true", help="also while searches use it")
    for made in (warm, release):
        _wait_options(made)
        _cluster_options(made)
    add("clusters", clusters.clusters, "list the clusters and how each stands")
    cluster = add("cluster", clusters.cluster_power, "status, start or stop of a cluster")
    actions = cluster.add_subparsers(dest="action", metavar="action", required=True)
    for name, run, text in (
        ("status", clusters.clusters, "the same as clusters"),
        ("start", clusters.cluster_power, "start it"),
        ("stop", clusters.cluster_power, "stop it"),
    ):
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        action.set_defaults(run=run)
        _common(action, first=False)
        if name != "status":
            _wait_options(action)
            _cluster_options(action)
        if name == "stop":
            action.add_argument("--force", action="store_true", help="also while searches are at work")
    add("me", clusters.me, "say who the API takes you for")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90, 90s, 15m or 2h") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:10]) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not (name and given):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
