"""The way in through an identity provider: there, with a state that this browser's cookie holds, and back, with a code. The way back ends on a page of the
console's own and not in a redirect: the session's cookie is strict, and a browser that still comes from the other site would not send it.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from tillwatch.collector.people.console_db import ConsoleDbError
from tillwatch.collector.people.directory import Full
from tillwatch.collector.people.oidc import BEGUN_S, CALLBACK, OidcError, Provider, welcome
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.people.signing_in import Refused, SigningIn
from tillwatch.collector.web.entry.door import House, local, needs
from tillwatch.collector.web.entry.sign_in import caller_of, page, set_cookies, text_of

log = logging.getLogger(__name__)

STATE = "tw_oidc"
PATH = "/sign-in/oidc"


def add(app: FastAPI, people: SigningIn, house: House, provider: Provider) -> None:
    opens = [needs(Permission.OPEN)]

    def failed(request: Request, code: str) -> Response:
        text = text_of(request)
        answer = page(request, "over", text("entry.provider_title"), error=text(f"entry.error_{code}"), status=403)
        answer.delete_cookie(STATE, path=PATH)
        return answer

    @app.get(PATH, include_in_schema=False, dependencies=opens)
    async def away(request: Request) -> Response:
        try:
            address, state = await provider.begin(local(request.query_params.get("next", "/")))
        except OidcError as error:
            log.warning("the identity provider cannot be used: %s", error)
            return failed(request, error.code)
        answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
        # Lax: the provider sends the browser back from another site. It proves nothing but who began.
        answer.set_cookie(STATE, state, max_age=BEGUN_S, httponly=True, samesite="lax", secure=house.secure, path=PATH)
        return answer

    @app.get(CALLBACK, include_in_schema=False, dependencies=opens)
    async def back(request: Request) -> Response:
        try:
            who, wanted = await provider.finish(dict(request.query_params), request.cookies.get(STATE, ""))
            entered = await people.vouched(await welcome(people.directory, who), caller_of(request))
        except OidcError as error:
            log.warning("nobody comes in through the identity provider: %s", error)
            await people.refused_elsewhere(caller_of(request), error.code)
            return failed(request, error.code)
        except Refused:
            return failed(request, "provider_nobody")
        except (Full, ConsoleDbError):
            return failed(request, "busy")
        text = text_of(request)
        goes = local(wanted)
        answer = page(
            request,
            "in",
            text("entry.in_title"),
            lead=text("entry.in_lead", name=who.full_name or who.name),
            next=goes,
            forward=goes,
        )
        set_cookies(answer, house, entered)
        answer.delete_cookie(STATE, path=PATH)
        return answer
