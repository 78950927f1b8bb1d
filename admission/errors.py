"""The ways this system says no.

One small vocabulary, used by every layer.  An error's text is always safe to
show to the other party, and says what that party can do about it.  What each
kind means in HTTP is decided once, in `server/taxii/resources.py`; nothing below
the doors knows HTTP.
"""


class ShareError(Exception):
    """The other party is to blame; the text is written for them."""


class Malformed(ShareError):
    """The words themselves cannot be understood: broken JSON, a bad parameter."""


class Unprocessable(ShareError):
    """Well-formed, but not something that can be acted on here."""


class NotAuthenticated(ShareError):
    """No credential, or one that is not known."""


class NotAllowed(ShareError):
    """Known, and visible, but not for this account."""


class NotFound(ShareError):
    """It does not exist, or the asker may not know that it does."""


class NotAcceptable(ShareError):
    """The answer cannot be given in any media type that was asked for."""


class UnsupportedMediaType(ShareError):
    """The request's body is in a media type that is not taken here."""


class UnsupportedCoding(UnsupportedMediaType):
    """The request's body is compressed in a way that is not taken here."""


class TooLarge(ShareError):
    """The request's body is longer than `max_content_length`."""


class TooManyRequests(ShareError):
    """This account asks more often than it may."""

    def __init__(self, text: str, seconds: int) -> None:
        """After so many seconds it may ask again."""
        super().__init__(text)
        self.seconds = seconds


class Conflict(ShareError):
    """It is there already, with other content."""


class Unavailable(ShareError):
    """Not now: the database or a limit stands in the way; try again later."""


class PolicyError(Exception):
    """A policy cannot be followed as it stands; the text names the setting and what it may be."""
