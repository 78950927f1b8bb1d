"""Errors that the other party causes or must know about.

One vocabulary for every layer.  The text of an error is always safe to show to
the other party and says what they can do about it.  `server/taxii/resources.py`
maps each error to an HTTP status, once; the layers below do not know HTTP.
"""


class ShareError(Exception):
    """The other party caused it; the text is written for them."""


class Malformed(ShareError):
    """The input cannot be parsed: broken JSON, a bad parameter."""


class Unprocessable(ShareError):
    """Well-formed, but cannot be processed here."""


class NotAuthenticated(ShareError):
    """No credential, or one that is not known."""


class NotAllowed(ShareError):
    """The account is known but has no right to this."""


class NotFound(ShareError):
    """It does not exist, or the account may not know that it does."""


class NotAcceptable(ShareError):
    """None of the requested media types can be produced."""


class UnsupportedMediaType(ShareError):
    """The media type of the request's body is not supported."""


class UnsupportedCoding(UnsupportedMediaType):
    """The content coding of the request's body is not supported."""


class TooLarge(ShareError):
    """The request's body is longer than `max_content_length`."""


class TooManyRequests(ShareError):
    """The account exceeds its rate limit."""

    def __init__(self, text: str, seconds: int) -> None:
        """`seconds`: how long the account must wait."""
        super().__init__(text)
        self.seconds = seconds


class Conflict(ShareError):
    """It exists already with other content."""


class Unavailable(ShareError):
    """The database is unreachable or a limit is reached; try again later."""

    def __init__(self, text: str, seconds: int = 5) -> None:
        """`seconds`: when it is worth to try again."""
        super().__init__(text)
        self.seconds = seconds


class PolicyError(Exception):
    """A policy is invalid; the text names the setting and its allowed values."""
