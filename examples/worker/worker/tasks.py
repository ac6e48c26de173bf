"""The tasks: small, real, and safe to run twice."""

from __future__ import annotations

import csv
import hashlib
import hmac
import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from string import Template

from worker.app import app

_RECEIPT = Template("Dear $name,\n\nthank you: we received $amount for order $order.\n")


@app.task(name="email.render_receipt")
def render_receipt(name: str, order: str, amount: str) -> str:
    """Render the text of a receipt."""
    return _RECEIPT.substitute(name=name, order=order, amount=amount)


@app.task(name="email.build_digest")
def build_digest(subjects: list[str], limit: int = 10) -> str:
    """List the most frequent subjects of a day, one a line, with their counts."""
    return "\n".join(f"{count} × {subject}" for subject, count in Counter(subjects).most_common(limit))


@app.task(name="images.fit")
def fit(width: int, height: int, box: int) -> tuple[int, int]:
    """Return the size of an image scaled down, never up, to fit a square box."""
    scale = min(1.0, box / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


@app.task(name="billing.total_invoice")
def total_invoice(lines: list[tuple[int, str]], tax_percent: str) -> str:
    """Add up `(quantity, unit price)` lines and the tax, rounded to cents."""
    net = sum((quantity * Decimal(price) for quantity, price in lines), Decimal())
    gross = net * (1 + Decimal(tax_percent) / 100)
    return str(gross.quantize(Decimal("0.01"), ROUND_HALF_UP))


@app.task(name="imports.summarise_csv")
def summarise_csv(text: str) -> dict[str, int]:
    """Count, for each column, the rows that have a value."""
    counts: Counter[str] = Counter()
    for row in csv.DictReader(text.splitlines()):
        counts.update(column for column, value in row.items() if value)
    return dict(counts)


@app.task(name="search.index_terms")
def index_terms(text: str) -> dict[str, int]:
    """Count the words of a document, folded to lower case."""
    return dict(Counter(re.findall(r"\w+", text.casefold())))


@app.task(name="webhooks.sign")
def sign(secret: str, body: str) -> str:
    """Sign the body of an outgoing webhook (HMAC-SHA256, hex)."""
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
