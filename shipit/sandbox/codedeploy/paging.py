"""Lists in pages. A token names the last item that was given out, so that new items shift nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from shipit.sandbox.wire import ApiError

#: How many items AWS puts on a page of CodeDeploy's lists; none of them lets the caller choose.
PAGE = 100


def page(items: Sequence[str], token: str | None) -> tuple[list[str], str | None]:
    """Return the page behind `token` (None: the first) and the next token (None: that was the last).

    Raises InvalidNextTokenException for a token that no page of these items ended with.
    """
    start = 0
    if token:
        try:
            start = items.index(base64.urlsafe_b64decode(token.encode()).decode()) + 1
        except (ValueError, binascii.Error) as error:
            raise ApiError("InvalidNextTokenException", "the nextToken is not one of this list") from error
    chunk = list(items[start : start + PAGE])
    more = start + PAGE < len(items)
    return chunk, base64.urlsafe_b64encode(chunk[-1].encode()).decode() if more else None
