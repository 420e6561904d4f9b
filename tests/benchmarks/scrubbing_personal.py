"""The personal data of the labelled set: e-mail and IP addresses, phone and card numbers."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_coordinator.scrubbing import Kind
from tests.benchmarks.scrubbing_samples import Fakes, Sample, sample


def personal_data(seed: int) -> list[Sample]:
    """Texts with somebody's data in them."""
    return [*_emails(), *_phones(), *_cards(Fakes(seed)), *_ip_addresses()]


def _emails() -> Iterator[Sample]:
    at = "@"
    for template, *addresses in (
        ("Write to {} please.", f"jane.doe{at}acme.io"),
        ("From: Jane <{}>", f"jane{at}mail.acme.co.uk"),
        ('git config user.email "{}"', f"j.doe+git{at}gmail.com"),
        ("mailto:{}?subject=x", f"sales{at}acme.com"),
        ("Author: J <{}>\nDate: now", f"12345+joe{at}users.noreply.github.com"),
        ('{"email":"{}"}', f"o'neil{at}acme.ie"),
        ("[{}]", f"x_y-z{at}sub.domain.acme.travel"),
        ("cc {}, {}", f"a.b{at}web.de", f"c{at}gmx.net"),
        ("user={} logged in", f"JOE{at}ACME.COM"),
        ("Kontakt: {}", f"müller{at}bücher.de"),
        ("{}", f"root{at}acme-corp.org"),
        ("Reply-To: {};", f"no-reply{at}acme.dev"),
        ("INSERT INTO users VALUES (1, '{}')", f"maria_23{at}yahoo.fr"),
        ('<a href="mailto:{}">', f"press{at}acme.museum"),
        ("email = {}\n", f"kim{at}naver.kr"),
        ("Is {}. my address?", f"li.wei{at}qq.com"),
        ("2026-01-01 smtp: rcpt to=<{}>, relay=x", f"bob{at}example-shop.com"),
        ("sent from {} / {}", f"ann{at}proton.me", f"ann{at}icloud.com"),
        ("ping me at {}!", f"dev{at}company.ai"),
        ("||{}||", f"q{at}x.co"),
    ):
        yield sample(Kind.EMAIL, template, *addresses)


def _phones() -> Iterator[Sample]:
    for template, *written in (
        ("Call me at {} after six.", "+1 212 555 " + "0123"),
        ("Phone: {}", "(212) 555-" + "0187"),
        ("my number is {}", "415-555-" + "2671"),
        ("tel:{}", "+14155552" + "671"),
        ("Fax {}", "+49 30 1234" + "5678"),
        ("Tel.: {}", "030 1234" + "5678"),
        ("mobil {}", "0151 2345" + "6789"),
        ("Ring {} or {}", "020 7946 " + "0958", "07911 123" + "456"),
        ("WhatsApp {}", "+44 7911 123" + "456"),
        ('{"phone": "{}"}', "+33 1 42 68 " + "53 00"),
        ("contact: {}", "+91 98765 " + "43210"),
        ("Mobile: {}", "4155552" + "671"),
        ("phone={}&x=1", "+81 3-1234-" + "5678"),
        ("office {} ext. 12", "1-800-356-" + "9377"),
        ("({})", "+41 44 668 " + "18 00"),
        ("Telefon {}", "089/123" + "4567"),
        ("• {}", "212.555." + "0199"),
        ("call {} today", "2125550" + "176"),
        ("Support line {} is closed", "0800 123 " + "4567"),
        ("sms to {}", "+61 412 345 " + "678"),
    ):
        yield sample(Kind.PHONE, template, *written)


def _cards(f: Fakes) -> Iterator[Sample]:
    def grouped(number: str, *sizes: int, by: str = " ") -> str:
        at, parts = 0, []
        for size in sizes:
            parts.append(number[at : at + size])
            at += size
        return by.join(parts)

    for template, number in (
        ("My card {} was charged twice.", grouped(f.card("4", 16), 4, 4, 4, 4)),
        ("card_number={}", f.card("4", 16)),
        ("pan: {}", f.card("52", 16)),
        ('{"number": "{}", "cvc": 1}', f.card("2345", 16)),
        ("Amex {}", grouped(f.card("37", 15), 4, 6, 5)),
        ("amex: {}.", f.card("34", 15)),
        ("Visa {} exp 12/29", grouped(f.card("4", 16), 4, 4, 4, 4, by="-")),
        ("Discover {}", f.card("6011", 16)),
        ("JCB {}", grouped(f.card("3530", 16), 4, 4, 4, 4)),
        ("diners {}", grouped(f.card("305", 14), 4, 6, 4)),
        ("UnionPay {}", f.card("62", 19)),
        ("({})", f.card("55", 16)),
        ("Maestro {}", f.card("6759", 16)),
        ("INSERT INTO cards VALUES ('{}')", f.card("51", 16)),
        ("cc {}, thanks", f.card("4", 13)),
    ):
        yield sample(Kind.CARD, template, number)


def _ip_addresses() -> Iterator[Sample]:
    dot = "."
    for template, written in (
        ("ssh root@{}", dot.join(("81", "2", "69", "142"))),
        (
            '{} - - [01/Jan/2026:10:00:00 +0000] "GET / HTTP/1.1" 200',
            dot.join(("93", "184", "7", "34")),
        ),
        ("listen {}:8080;", dot.join(("192", "168", "178", "21"))),
        ('server = "{}"', dot.join(("10", "0", "12", "7"))),
        ("ping {} times out", dot.join(("172", "16", "4", "9"))),
        ("Failed password for root from {} port 22", dot.join(("185", "220", "101", "4"))),
        ("inet6 {}/64 scope global", "2a02:8109:" + "b40:1c2::17"),
        ("inet6 {}/64 scope link", "fe80::" + "1ff:fe23:4567:890a"),
        ("http://[{}]:80/", "2606:4700:" + "4700::1111"),
        ("AAAA {}", "2a00:1450:4001:82a:" + "0:0:0:200e"),
        ("route via {} dev eth0", dot.join(("100", "64", "3", "1"))),
        ("peer {}, port 51820", "fd12:3456:" + "789a:1::1"),
    ):
        yield sample(Kind.IP_ADDRESS, template, written)
