"""Which URLs of webhooks are taken, and which addresses are refused when they are connected to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInputError
from shared.domain.webhook_urls import (
    MAX_URL,
    NOBODY,
    WebhookUrl,
    host_of,
    masked,
    parse_webhook_url,
    read_allowed,
    refused_because,
)

TAKEN = {
    "https://example.org": WebhookUrl("https", "example.org", 443, "/"),
    "https://example.org/": WebhookUrl("https", "example.org", 443, "/"),
    "HTTPS://Example.ORG:443/A/b": WebhookUrl("https", "example.org", 443, "/A/b"),
    "https://example.org:8443/a?b=c&d=%20?": WebhookUrl("https", "example.org", 8443, "/a?b=c&d=%20?"),
    "https://example.org?b=c": WebhookUrl("https", "example.org", 443, "/?b=c"),
    "https://xn--bcher-kva.example/~a;b=1/@x:y": WebhookUrl("https", "xn--bcher-kva.example", 443, "/~a;b=1/@x:y"),
    "https://8.8.8.8/": WebhookUrl("https", "8.8.8.8", 443, "/"),
    "https://[2606:4700::1111]:1024/a": WebhookUrl("https", "2606:4700::1111", 1024, "/a"),
    "https://a1.b2.c3": WebhookUrl("https", "a1.b2.c3", 443, "/"),
}
REFUSED = [
    "",
    "example.org",
    "//example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
    "https:///a",
    "https:/example.org",
    "https:\\\\example.org",
    "http://example.org/",
    "https://user@example.org/",
    "https://user:secret@example.org/",
    "https://example.org@127.0.0.1/",
    "https://example.org\\@127.0.0.1/",
    "https://example.org#@127.0.0.1/",
    "https://example.org/#fragment",
    "https://example.org/a b",
    " https://example.org/",
    "https://example.org/\r\nX-Header: 1",
    "https://example.org/\n",
    "https://exa\tmple.org/",
    "https://example.org/\0",
    "https://exämple.org/",
    "https://example.org/ü",
    "https://example.org/<script>",
    "https://example.org/{a}",
    "https://ex%61mple.org/",
    "https://127%2e0.0.1/",
    "https://example..org/",
    "https://example.org./",
    "https://.example.org/",
    "https://-a.example.org/",
    "https://a-.example.org/",
    "https://a_b.example.org/",
    f"https://{'a' * 64}.org/",
    f"https://{'a.' * 127}org/",
    "https://example.org:/",
    "https://example.org:0/",
    "https://example.org:65536/",
    "https://example.org:99999/",
    "https://example.org:443443/",
    "https://example.org:-1/",
    "https://example.org:22/",
    "https://example.org:25/",
    "https://example.org:80/",
    "https://example.org:1023/",
    "https://localhost/",
    "https://intranet/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.1.1/",
    "https://256.0.0.1/",
    "https://a.0x10/",
    "https://example.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[not-an-address]/",
    "https://[::1/",
    "https://127.0.0.1/",
    "https://10.0.0.1/",
    "https://169.254.169.254/metadata/instance",
    "https://168.63.129.16/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://example.org/" + "a" * MAX_URL,
]


class TestForm:
    @pytest.mark.parametrize(("text", "url"), TAKEN.items())
    def test_taken(self, text: str, url: WebhookUrl) -> None:
        assert parse_webhook_url(text) == url

    @pytest.mark.proves("Q3")
    @pytest.mark.parametrize("text", REFUSED)
    def test_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError) as refused:
            parse_webhook_url(text)
        assert (refused.value.code, refused.value.field) == ("invalid_webhook_url", "webhook_url")
        assert refused.value.hint

    def test_at_the_longest_and_just_beyond(self) -> None:
        start = "https://example.org/"
        text = start + "a" * (MAX_URL - len(start))
        assert len(parse_webhook_url(text).target) == MAX_URL - len(start) + 1
        with pytest.raises(InvalidInputError):
            parse_webhook_url(text + "a")

    @pytest.mark.parametrize("text", ["http://example.org/T0KEN", "https://u:T0KEN@a.org", "https://10.0.0.1/?k=T0KEN"])
    def test_a_refusal_does_not_repeat_what_may_be_secret(self, text: str) -> None:
        with pytest.raises(InvalidInputError) as refused:
            parse_webhook_url(text)
        assert "T0KEN" not in str(refused.value.to_dict())

    @given(st.text(max_size=200) | st.text(max_size=100).map("https://{}".format))
    def test_any_text_is_taken_or_refused(self, text: str) -> None:
        try:
            url = parse_webhook_url(text)
        except InvalidInputError:
            return
        assert text.isascii()
        assert url.scheme == "https"
        assert not set(url.authority + url.target) & set(" \t\r\n\\#<>\"'{}|^`\0")
        assert url.address is None or not refused_because(url.host)

    @pytest.mark.parametrize(
        ("text", "authority"),
        [
            ("https://example.org/a", "example.org"),
            ("https://example.org:443/a", "example.org"),
            ("https://example.org:8443/a", "example.org:8443"),
            ("https://[2606:4700::1111]:8443/", "[2606:4700::1111]:8443"),
        ],
    )
    def test_authority(self, text: str, authority: str) -> None:
        assert parse_webhook_url(text).authority == authority


class TestAllowed:
    ALLOWED = read_allowed(" localhost, 127.0.0.0/8,::1 ,10.1.2.3,Receiver.LAN,, 192.168.1.77/24")

    @pytest.mark.parametrize(
        "text",
        [
            "http://localhost:5/a",
            "https://localhost",
            "http://LOCALHOST:25",
            "http://127.0.0.1:8080/a?b",
            "http://127.8.9.10",
            "http://[::1]:9000/",
            "http://10.1.2.3/",
            "http://receiver.lan/",
            "http://192.168.1.1/",
            "https://example.org/",
        ],
    )
    def test_taken(self, text: str) -> None:
        assert parse_webhook_url(text, self.ALLOWED)

    @pytest.mark.parametrize(
        "text",
        [
            "http://example.org/",
            "http://10.1.2.4/",
            "http://192.168.2.1/",
            "http://sub.receiver.lan/",
            "http://localhost:0/",
            "http://localhost:65536/",
            "http://user@localhost/",
            "https://10.1.2.4/",
            "https://127.1/",
            "https://[::ffff:127.0.0.1]/",
        ],
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            parse_webhook_url(text, self.ALLOWED)

    @pytest.mark.parametrize("text", ["127.0.0.0/33", "a b", "http://localhost", "*", "ä.org", "localhost;10.0.0.1"])
    def test_an_entry_that_is_neither(self, text: str) -> None:
        with pytest.raises(ValueError, match="^" + text.replace("*", r"\*").lower() + "$"):
            read_allowed(f"localhost,{text}")

    def test_nobody_is_what_an_empty_list_allows(self) -> None:
        assert read_allowed("") == read_allowed(" , ") == NOBODY


ADDRESSES = {
    # IPv4: at the first and the last of each network, and at the neighbours
    "1.0.0.0": True,
    "0.255.255.255": False,
    "9.255.255.255": True,
    "10.0.0.0": False,
    "10.255.255.255": False,
    "11.0.0.0": True,
    "100.63.255.255": True,
    "100.64.0.0": False,
    "100.127.255.255": False,
    "100.128.0.0": True,
    "126.255.255.255": True,
    "127.0.0.1": False,
    "127.255.255.255": False,
    "128.0.0.0": True,
    "168.63.129.15": True,
    "168.63.129.16": False,
    "168.63.129.17": True,
    "169.253.255.255": True,
    "169.254.0.0": False,
    "169.254.169.254": False,
    "169.255.0.0": True,
    "172.15.255.255": True,
    "172.16.0.0": False,
    "172.31.255.255": False,
    "172.32.0.0": True,
    "192.0.0.192": False,
    "192.0.1.0": True,
    "192.0.2.1": False,
    "192.88.99.1": False,
    "192.167.255.255": True,
    "192.168.0.0": False,
    "192.168.255.255": False,
    "192.169.0.0": True,
    "198.17.255.255": True,
    "198.18.0.0": False,
    "198.19.255.255": False,
    "198.51.100.7": False,
    "203.0.113.7": False,
    "223.255.255.255": True,
    "224.0.0.1": False,
    "239.255.255.255": False,
    "240.0.0.1": False,
    "255.255.255.255": False,
    # IPv6
    "::": False,
    "::1": False,
    "::7f00:1": False,
    "::ffff:127.0.0.1": False,
    "::ffff:8.8.8.8": False,
    "::ffff:0:8.8.8.8": False,
    "64:ff9b::7f00:1": False,
    "64:ff9b::808:808": False,
    "64:ff9b:1::a9fe:a9fe": False,
    "100::1": False,
    "1fff:ffff::": False,
    "2000::1": True,
    "2001::1": False,
    "2001:1ff:ffff::": False,
    "2001:200::": True,
    "2001:db8::1": False,
    "2002:7f00:1::1": False,
    "2002:808:808::1": False,
    "2003::1": True,
    "2606:4700::1111": True,
    "3ffe:ffff::": True,
    "3fff::1": False,
    "3fff:fff::1": False,
    "3fff:1000::1": True,
    "4000::1": False,
    "fc00::1": False,
    "fd00:ec2::254": False,
    "fe80::1": False,
    "fe80::1%eth0": False,
    "fec0::1": False,
    "ff02::1": False,
    "ff0e::1": False,
    # no addresses at all
    "": False,
    "localhost": False,
    "127.1": False,
    "0177.0.0.1": False,
}


class TestAddress:
    @pytest.mark.proves("Q3")
    @pytest.mark.parametrize(("address", "taken"), ADDRESSES.items())
    def test_public_ones_only(self, address: str, taken: bool) -> None:
        assert bool(refused_because(address)) is not taken

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "192.168.1.200"])
    def test_allowed_networks(self, address: str) -> None:
        assert refused_because(address, TestAllowed.ALLOWED) == ""

    @pytest.mark.parametrize("address", ["10.1.2.2", "192.168.0.255", "::ffff:127.0.0.1", "169.254.169.254", "::2"])
    def test_others_are_not_allowed_with_them(self, address: str) -> None:
        assert refused_because(address, TestAllowed.ALLOWED)

    def test_it_says_why(self) -> None:
        assert refused_because("169.254.169.254") == "link-local, where metadata services are"


class TestMask:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("https://example.org", "https://example.org/..."),
            ("https://example.org/T0KEN", "https://example.org/..."),
            ("https://example.org?T0KEN", "https://example.org/..."),
            ("http://127.0.0.1:80/a?T0KEN", "http://127.0.0.1:80/..."),
            ("https://[2606:4700::1]:8443/T0KEN", "https://[2606:4700::1]:8443/..."),
            ("https://user:T0KEN@example.org/", "..."),
            ("T0KEN", "..."),
        ],
    )
    def test_by_the_host_only(self, url: str, shown: str) -> None:
        assert masked(url) == shown

    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("https://Example.org:8443/a", "example.org"),
            ("http://localhost:1/a", "localhost"),
            ("https://[::1]/", "[::1]"),
            ("nonsense", ""),
        ],
    )
    def test_host(self, url: str, host: str) -> None:
        assert host_of(url) == host
