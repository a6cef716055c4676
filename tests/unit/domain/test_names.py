"""Names and label values: valid for any input, the same for the same input, different for different ones."""

from __future__ import annotations

import random
import re
import string
from itertools import product

import pytest

from shared.domain.names import blast_job_name, clean_job_name, label_value, object_name, plain_name, warmup_job_name

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

HOSTILE = [
    "",
    " ",
    "-",
    "---",
    ".",
    "_",
    "a-",
    "-a",
    "A",
    "core_nt",
    "core-nt",
    "core nt",
    "core.nt",
    "nt/../../etc",
    "a\x00b",
    "a\nb",
    "a,b",
    "a=b",
    "$(rm -rf /)",
    "'; drop table",
    "\u202eabc",
    "\ud800",
    "İstanbul",
    "日本語",
    "🧬" * 40,
    "é" * 63,
    "x" * 10_000,
    "-" * 63 + "a",
]
LENGTHS = [*(c * n for c, n in product("aA", (61, 62, 63, 64, 65))), "a" * 62 + "-", "a" * 63 + "-", "a" * 61 + "-b"]


@pytest.mark.parametrize("text", [*HOSTILE, *LENGTHS])
def test_any_text_gives_valid_names(text: str) -> None:
    for name in (
        object_name(text, text),
        plain_name("warm", text, "00"),
        warmup_job_name(text, 0),
        blast_job_name("blastn", text, 0, 0, text, 1),
        blast_job_name(text, text, 99, 999, text, 10**6),
    ):
        assert DNS_LABEL.fullmatch(name), name
    assert LABEL_VALUE.fullmatch(label_value(text))


@pytest.mark.parametrize("make", [label_value, lambda text: warmup_job_name(text, 7), lambda t: object_name("x", t)])
def test_different_texts_give_different_names(make: object) -> None:
    assert callable(make)
    generator = random.Random(7)  # noqa: S311
    alphabet = string.ascii_letters + string.digits + "-_. \x00é"
    texts = {"".join(generator.choices(alphabet, k=generator.randint(0, 70))) for _ in range(5000)}
    texts |= {*HOSTILE, *LENGTHS}
    assert len({make(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("text", ["a b", "core_nt/x", "", "x" * 64])
def test_nobody_can_pick_the_hashed_name_of_something_else(text: str) -> None:
    assert label_value(label_value(text)) != label_value(text)
    assert warmup_job_name(warmup_job_name(text, 1), 1) != warmup_job_name(text, 1)


def test_parts_are_not_run_together() -> None:
    assert object_name("x", "a", "bc") != object_name("x", "ab", "c")
    assert object_name("x", "a\x00b", "c") != object_name("x", "a", "b\x00c")


def test_every_job_of_every_search_has_its_own_name() -> None:
    identities = list(
        product(("blastn", "blastp"), ("nt", "core_nt"), range(11), range(11), ("job-a", "job-b", "job-c"), (1, 2))
    )
    identities += [("blastn", "x" * 80 + tail, 100, 1000, "job-a", 1) for tail in "abc"]
    names = {blast_job_name(*identity) for identity in identities}
    assert len(names) == len(identities)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (warmup_job_name("resfinder", 3), "warm-resfinder-03"),
        (warmup_job_name("core-nt", 12), "warm-core-nt-12"),
        (warmup_job_name("nt", 100), "warm-nt-100"),
        (plain_name("p", "a" * 60), "p-" + "a" * 60),  # 62
        (plain_name("p", "a" * 61), "p-" + "a" * 61),  # 63
        (label_value("core_nt"), "core_nt"),
        (label_value("Nt.2024-05"), "Nt.2024-05"),
        (label_value("a" * 63), "a" * 63),
    ],
)
def test_what_is_valid_already_stays(name: str, expected: str) -> None:
    assert name == expected


def test_one_character_too_many_brings_the_hash() -> None:
    assert re.fullmatch(r"p-a{50}-[0-9a-f]{10}", plain_name("p", "a" * 62))
    assert re.fullmatch(r"a{52}-[0-9a-f]{10}", label_value("a" * 64))


def test_a_name_shows_what_it_is() -> None:
    name = blast_job_name("blastn", "core_nt", 2, 41, "job-a", 1)
    assert re.fullmatch(r"blastn-core-nt-b041-s02-[0-9a-f]{10}", name)
    assert blast_job_name("blastn", "core_nt", 2, 41, "job-a", 1) == name
    assert blast_job_name("blastn", "core_nt", 2, 41, "job-a", 2) != name


PREFIX = "elb-cache-clean-"


@pytest.mark.parametrize(
    ("database", "node", "expected"),
    [
        ("nt", "aks-blast-1234-vmss000000", "elb-cache-clean-nt-aks-blast-1234-vmss000000"),
        ("nt", "n" * (62 - len(PREFIX) - 3), f"{PREFIX}nt-{'n' * (62 - len(PREFIX) - 3)}"),
        ("nt", "n" * (63 - len(PREFIX) - 3), f"{PREFIX}nt-{'n' * (63 - len(PREFIX) - 3)}"),
        ("nt", "n" * (64 - len(PREFIX) - 3), r"elb-cache-clean-nt-n+-[0-9a-f]{10}"),
        ("core_nt", "node-a", r"elb-cache-clean-core-nt-node-a-[0-9a-f]{10}"),
        ("a-b", "c", r"elb-cache-clean-a-b-c-[0-9a-f]{10}"),
        ("x" * 300, "y" * 300, r"elb-cache-clean-x+-[0-9a-f]{10}"),
        ("", "", r"elb-cache-clean-[0-9a-f]{10}"),
    ],
)
def test_a_clean_up_job_is_named_after_database_and_node(database: str, node: str, expected: str) -> None:
    name = clean_job_name(database, node)
    assert re.fullmatch(expected, name), name
    assert len(name) <= 63


def test_no_two_clean_up_jobs_share_a_name() -> None:
    words = ("a", "a-b", "b", "b-c", "c", "a_b", "A", "x" * 60)
    assert len({clean_job_name(database, node) for database in words for node in words}) == len(words) ** 2
