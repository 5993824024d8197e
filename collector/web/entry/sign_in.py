"""The way in as plain pages: forms that work without a script, each a step. Which one is shown follows from what the browser's cookie says is still asked.
What is wrong is said once, in one line, and never which of name and password it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, StrictUndefined, Template
from nicegui import app as nicegui_app

from tillwatch.collector.people import accounts, second_factor, sessions
from tillwatch.collector.people.accounts import AccountError
from tillwatch.collector.people.console_db import ConsoleDbError
from tillwatch.collector.people.directory import Asker, Full
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.people.signing_in import BOARD_NS, Caller, Entered, Refused, SigningIn
from tillwatch.collector.web.entry.door import House, local, needs
from tillwatch.collector.web.messages import Text, choose
from tillwatch.collector.web.pages.theme import static_version
from tillwatch.collector.web.rest.answers import problem

DEVICE = "tw_device"
DEVICE_S = 400 * 86_400
"""As long as browsers keep a cookie."""
MAX_FORM = 16 * 1024
"""Bytes of a form: two passwords and where to go on."""
MAX_FIELDS = 10
ISSUER = "tillwatch"
"""What an authenticator app writes beside the name."""


@lru_cache(maxsize=1)
def _template() -> Template:
    source = (files("tillwatch.collector.web.entry") / "sign_in.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(source)


def text_of(request: Request) -> Text:
    return choose(
        request.query_params.get("lang"), request.cookies.get("tw_lang"), request.headers.get("accept-language", "")
    )


def page(request: Request, step: str, title: str, *, status: int = 200, **more: Any) -> HTMLResponse:
    """One page of the way in. step: which form it shows; more: what the template takes beside."""
    text = text_of(request)
    other = urlencode({**dict(request.query_params), "lang": "en" if text.language == "zh" else "zh"})
    theme = request.cookies.get("tw_theme", "")
    shown: dict[str, Any] = {
        "lead": "", "error": "", "next": "/", "name": "", "token": "", "provider": "", "anonymous": False, "picture": "", "secret": "", "codes": (),
        "forward": "", **more,
    }  # fmt: skip
    body = _template().render(
        text=text, base=f"/console/{static_version()}", title=title, step=step, other_language=f"{request.url.path}?{other}",
        theme=theme if theme in {"dark", "light"} else "", **shown,
    )  # fmt: skip
    answer = HTMLResponse(body, status, {"Cache-Control": "no-store"})
    asked = request.query_params.get("lang")
    if asked == text.language:
        answer.set_cookie("tw_lang", asked, max_age=DEVICE_S, samesite="lax")
    return answer


def caller_of(request: Request) -> Caller:
    address = request.client.host if request.client is not None else ""
    return Caller(address, request.headers.get("user-agent", ""), request.cookies.get(DEVICE, ""))


def asker_of(request: Request) -> Asker:
    """Who the door found."""
    asker: Asker = request.state.asker
    return asker


def set_cookies(answer: Response, house: House, entered: Entered) -> None:
    """Strict: a link from another site does not carry it, so nobody acts by a click there."""
    length = (entered.session.until - entered.session.begun_at) // 10**9
    keep = (
        length if entered.session.until - entered.session.begun_at >= BOARD_NS else None
    )  # else the browser forgets it when it ends
    answer.set_cookie(
        house.cookie, entered.cookie, max_age=keep, httponly=True, samesite="strict", secure=house.secure, path="/"
    )
    if entered.device:
        answer.set_cookie(
            DEVICE,
            entered.device,
            max_age=DEVICE_S,
            httponly=True,
            samesite="strict",
            secure=house.secure,
            path="/sign-in",
        )


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a plain form; empty where it is none, or more than one takes."""
    held = b""
    async for piece in request.stream():
        held += piece
        if len(held) > MAX_FORM:
            return {}
    try:
        return dict(parse_qsl(held.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except (UnicodeDecodeError, ValueError):
        return {}


def onward(house: House, entered: Entered, wanted: str) -> Response:
    """To the next step, or to where somebody wanted to go."""
    wanted = local(wanted)
    address = wanted if not entered.session.step else f"/sign-in?{urlencode({'next': wanted})}"
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    set_cookies(answer, house, entered)
    return answer


async def may_not(request: Request, error: Exception) -> Response:
    """A page that one's role does not open, in words; for a program the same as a problem."""
    if "text/html" not in request.headers.get("accept", ""):
        return problem(request, 403, str(getattr(error, "detail", "")))
    text, visitor = text_of(request), asker_of(request).visitor
    lead = text("entry.may_not_lead", name=visitor.name, role=text(f"role.{visitor.role}"))
    return page(request, "in", text("entry.may_not_title"), lead=lead, status=403)


def add(app: FastAPI, people: SigningIn, house: House, provider: str = "") -> None:
    """provider: what the button of an identity provider says; empty for none."""
    nicegui_app.add_exception_handler(403, may_not)  # the pages are an application of their own
    directory = people.directory
    opens = [needs(Permission.OPEN)]

    def show(request: Request, *, error: str = "", status: int = 200, wanted: str = "/", name: str = "") -> Response:
        """The step that this browser is at."""
        text, session = text_of(request), asker_of(request).session
        person = accounts.find(directory.db, session.person) if session is not None else None
        common: dict[str, Any] = {"error": error, "status": status, "next": local(wanted)}
        if session is None or person is None:
            if not directory.peopled():
                return page(request, "none", text("entry.not_yet_title"), lead=text("entry.not_yet_lead"), **common)
            ended = "ended" in request.query_params and not error
            return page(
                request, "name", text("entry.title"), lead=text("entry.ended") if ended else "", name=name, provider=provider,
                anonymous=directory.nobody().anonymous, **common,
            )  # fmt: skip
        shown = person.full_name or person.name
        if session.step == "totp":
            return page(request, "totp", text("entry.code_title"), lead=text("entry.code_lead"), **common)
        if session.step == "password":
            return page(
                request,
                "password",
                text("entry.choose_title"),
                lead=text("entry.choose_lead", name=shown),
                name=person.name,
                **common,
            )
        if session.step == "enrol":
            secret = people.offer_factor(session)
            picture = second_factor.picture(second_factor.address(secret, person.name, ISSUER))
            return page(
                request, "enrol", text("entry.enrol_title"), lead=text("entry.enrol_lead"), picture=picture,
                secret=" ".join(secret[k : k + 4] for k in range(0, len(secret), 4)), **common,
            )  # fmt: skip
        return page(request, "in", text("entry.in_title"), lead=text("entry.in_lead", name=shown), **common)

    def refused(request: Request, error: Exception, wanted: str, name: str = "") -> Response:
        text = text_of(request)
        if isinstance(error, Refused) and error.code == "wait":
            seconds = max(1, int(error.wait + 0.999))
            answer = show(
                request, error=text("entry.error_wait", seconds=seconds), status=429, wanted=wanted, name=name
            )
            answer.headers["Retry-After"] = str(seconds)
            return answer
        if isinstance(error, Refused):
            return show(request, error=text(f"entry.error_{error.code}"), status=403, wanted=wanted, name=name)
        if isinstance(error, AccountError):
            return show(request, error=text(f"entry.error_{error.code}"), status=422, wanted=wanted)
        answer = show(request, error=text("entry.error_busy"), status=503, wanted=wanted, name=name)
        answer.headers["Retry-After"] = "2"
        return answer

    @app.get("/sign-in", include_in_schema=False, dependencies=opens)
    async def sign_in(request: Request) -> Response:
        return show(request, wanted=request.query_params.get("next", "/"))

    @app.post("/sign-in", include_in_schema=False, dependencies=opens)
    async def name_and_password(request: Request) -> Response:
        form = await form_of(request)
        wanted, name = form.get("next", "/"), form.get("name", "")
        if not name or not form.get("password"):
            return show(request, error=text_of(request)("entry.error_form"), status=422, wanted=wanted, name=name[:60])
        try:
            return onward(
                house,
                await people.password(name, form["password"], caller_of(request), asker_of(request).session),
                wanted,
            )
        except (Refused, Full, ConsoleDbError) as error:
            return refused(request, error, wanted, name[:60])

    async def stepped(request: Request, step: str, go: Callable[[Mapping[str, str]], Any]) -> Response:
        form = await form_of(request)
        wanted, session = form.get("next", "/"), asker_of(request).session
        if session is None or session.step != step:
            return show(request, error=text_of(request)("entry.error_over"), status=403, wanted=wanted)
        if "again" in form and form["again"] != form.get("password"):
            return show(request, error=text_of(request)("entry.error_again"), status=422, wanted=wanted)
        try:
            answer: Response = await go(form)
        except (Refused, AccountError, Full, ConsoleDbError) as error:
            return refused(request, error, wanted)
        return answer

    @app.post("/sign-in/code", include_in_schema=False, dependencies=opens)
    async def second_step(request: Request) -> Response:
        async def go(form: Mapping[str, str]) -> Response:
            session = asker_of(request).session
            assert session is not None
            return onward(
                house, await people.code(session, form.get("code", ""), caller_of(request)), form.get("next", "/")
            )

        return await stepped(request, "totp", go)

    @app.post("/sign-in/password", include_in_schema=False, dependencies=opens)
    async def own_password(request: Request) -> Response:
        async def go(form: Mapping[str, str]) -> Response:
            session = asker_of(request).session
            assert session is not None
            return onward(
                house, await people.choose(session, form.get("password", ""), caller_of(request)), form.get("next", "/")
            )

        return await stepped(request, "password", go)

    @app.post("/sign-in/factor", include_in_schema=False, dependencies=opens)
    async def enrol(request: Request) -> Response:
        async def go(form: Mapping[str, str]) -> Response:
            session, text = asker_of(request).session, text_of(request)
            assert session is not None
            entered, codes = await people.confirm_factor(session, form.get("code", ""), caller_of(request))
            assert entered is not None
            answer = page(
                request,
                "codes",
                text("entry.codes_title"),
                lead=text("entry.codes_lead"),
                codes=codes,
                next=local(form.get("next", "/")),
            )
            set_cookies(answer, house, entered)
            return answer

        return await stepped(request, "enrol", go)

    def welcoming(request: Request, token: str, *, error: str = "", status: int = 200) -> Response:
        text, person = text_of(request), accounts.invited(directory.db, sessions.digest_of(token), directory.now())
        if person is None:
            return page(request, "over", text("entry.over_title"), lead=text("entry.over_lead"), status=403)
        lead = text("entry.welcome_lead", name=person.full_name or person.name)
        return page(
            request,
            "welcome",
            text("entry.choose_title"),
            lead=lead,
            name=person.name,
            token=token,
            error=error,
            status=status,
        )

    @app.get("/sign-in/welcome", include_in_schema=False, dependencies=opens)
    async def welcome(request: Request) -> Response:
        return welcoming(request, request.query_params.get("token", ""))

    @app.post("/sign-in/welcome", include_in_schema=False, dependencies=opens)
    async def welcomed(request: Request) -> Response:
        form, text = await form_of(request), text_of(request)
        token = form.get("token", "")
        if form.get("again") != form.get("password"):
            return welcoming(request, token, error=text("entry.error_again"), status=422)
        try:
            return onward(house, await people.invitation(token, form.get("password", ""), caller_of(request)), "/")
        except AccountError as error:
            return welcoming(request, token, error=text(f"entry.error_{error.code}"), status=422)
        except Refused:
            return welcoming(request, "")
        except (Full, ConsoleDbError):
            return welcoming(request, token, error=text("entry.error_busy"), status=503)

    @app.post("/sign-in/out", include_in_schema=False, dependencies=opens)
    async def out(request: Request) -> Response:
        session = asker_of(request).session
        if session is not None:
            await people.out(session)
            house.look()
        answer = RedirectResponse("/sign-in", 303, {"Cache-Control": "no-store", "Clear-Site-Data": '"storage"'})
        answer.delete_cookie(house.cookie, secure=house.secure, httponly=True, samesite="strict")
        return answer
