"""The queues of this application, and which task goes to which: one queue, one Auto Scaling group."""

from __future__ import annotations

import os

QUEUES = (
    "analytics-events",
    "analytics-rollup",
    "analytics-sessions",
    "audio-transcribe",
    "audit-log",
    "billing-charges",
    "billing-dunning",
    "billing-invoices",
    "billing-refunds",
    "documents-ocr",
    "documents-render",
    "documents-sign",
    "email-bounces",
    "email-digest",
    "email-inbound",
    "email-marketing",
    "email-transactional",
    "feeds-partners",
    "feeds-products",
    "images-moderation",
    "images-resize",
    "images-thumbnails",
    "imports-csv",
    "inventory-sync",
    "maintenance",
    "orders-fulfilment",
    "orders-intake",
    "payments-webhooks",
    "payouts",
    "push-mobile",
    "push-web",
    "recommendations",
    "reports",
    "reports-exports",
    "reports-scheduled",
    "returns",
    "search-index",
    "search-reindex",
    "search-suggest",
    "shipping-labels",
    "shipping-tracking",
    "sms-inbound",
    "sms-outbound",
    "users-deletion",
    "users-export",
    "users-import",
    "video-previews",
    "video-transcode",
    "webhooks-inbound",
    "webhooks-outbound",
)

ROUTES = {
    "billing.total_invoice": {"queue": "billing-invoices"},
    "email.render_receipt": {"queue": "email-transactional"},
    "email.build_digest": {"queue": "email-digest"},
    "images.fit": {"queue": "images-resize"},
    "imports.summarise_csv": {"queue": "imports-csv"},
    "search.index_terms": {"queue": "search-index"},
    "webhooks.sign": {"queue": "webhooks-outbound"},
}


def url_of(queue: str) -> str:
    """Return the URL of an SQS queue: of this account and region, or of the endpoint that the environment names."""
    region = os.environ.get("AWS_REGION", "us-east-1")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_SQS") or f"https://sqs.{region}.amazonaws.com"
    return f"{endpoint}/{os.environ.get('AWS_ACCOUNT_ID', '')}/{queue}"
