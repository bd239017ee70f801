"""The console's own texts in the language of the setting `INTENTSTREAM_LANGUAGE`.

The texts are gettext messages, as the reasons are: English is in the code and the templates, the translations are in
`locale`. Decision record 0013 says why gettext. Tables of texts are in English, and are looked up where they are shown.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from inference.ranking.sentences import Language
from inference.translations import translations

DOMAIN, LOCALE = "console", Path(__file__).with_name("locale")

_language: ContextVar[Language] = ContextVar("language", default="en")
"""Language of the request that is handled. Tests serve several languages in one process."""


class InLanguage:
    """Middleware that makes the texts of every answer in one language."""

    def __init__(self, app: ASGIApp, language: Language) -> None:
        self._app, self._language = app, language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        token = _language.set(self._language)
        try:
            await self._app(scope, receive, send)
        finally:
            _language.reset(token)


def current_language() -> Language:
    """Return the language of this request's texts: the `lang` of the page."""
    return _language.get()


def gettext(text: str) -> str:
    """Return a text in the language of this request.

    >>> gettext("Cart")
    'Cart'
    """
    return translations(DOMAIN, LOCALE, _language.get()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """Return the text for a number in the language of this request.

    >>> ngettext("item matches", "items match", 2)
    'items match'
    """
    return translations(DOMAIN, LOCALE, _language.get()).ngettext(one, many, number)
