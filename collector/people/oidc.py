"""Signing in through the bank's identity provider: OpenID Connect, authorization code with PKCE, state and nonce. What it says of somebody is believed only
once the token's signature, issuer, audience, times and nonce are right; which role that gives says the configuration, at every sign-in anew.
"""

from __future__ import annotations

import hmac
import json
import secrets
import ssl
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import AccountError, Actor, Person
from tillwatch.collector.people.directory import NANO, Directory
from tillwatch.collector.people.settings import Claim, OidcSection
from tillwatch.collector.tickets.settings import SecretError, read_secret

if TYPE_CHECKING:
    import httpx2

BEGUN_S = 600
"""To sign in over there, with whatever it asks."""
MAX_BEGUN = 1_000
"""People who are over there now; the one who left first is forgotten."""
TIMEOUT_S = 10.0
MAX_ANSWER = 512 * 1024
"""Bytes of an answer of the provider."""
KEPT_S = 3600
"""How long its addresses and keys are used before they are asked for again; an unknown key asks at once, but not more often than once in ASK_S."""
ASK_S = 30
LEEWAY_S = 60
"""Between its clock and this one."""
SIGNED_BY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""With a key pair. Not by a secret that both know, and never by nothing."""
CALLBACK = "/sign-in/oidc/callback"


class OidcError(Exception):
    """Nobody comes in this way. code: `provider` it does not answer as it should, `provider_refused` it said no, `provider_nobody` no row of roles fits;
    the text is for the log and holds no secret.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Begun:
    """Somebody who is over there. next: where they go on afterwards."""

    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    next: str
    until: int


@dataclass(frozen=True, slots=True)
class Who:
    """What the provider says of somebody. subject: issuer and subject, by which they are known from then on."""

    subject: str
    name: str
    full_name: str
    claim: Claim


def challenge(verifier: str) -> str:
    """S256 of RFC 7636."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def fitting(rows: tuple[Claim, ...], claims: Mapping[str, Any]) -> Claim | None:
    """The first row that fits. A claim is a text or a list of texts; `realm_access.roles` looks into a map."""
    for row in rows:
        held: Any = claims.get(row.claim)
        if held is None and "." in row.claim:
            held = claims
            for part in row.claim.split("."):
                held = held.get(part) if isinstance(held, Mapping) else None
        if held == row.value or (isinstance(held, list) and row.value in held):
            return row
    return None


class Provider:
    """One identity provider. Runs on the event loop; now: UTC ns."""

    def __init__(self, settings: OidcSection, now: Callable[[], int] = time.time_ns) -> None:
        self.settings = settings
        self._now = now
        self._begun: OrderedDict[str, Begun] = OrderedDict()
        self._found: Mapping[str, Any] = {}
        self._found_at = 0
        self._keys: Any = None
        self._keys_at = 0
        self._client: httpx2.AsyncClient | None = None

    @property
    def callback(self) -> str:
        return self.settings.address.rstrip("/") + CALLBACK

    async def begin(self, wanted: str) -> tuple[str, str]:
        """Where the browser is to go, and the state that its cookie holds. Raises OidcError."""
        found = await self._discover()
        state, now = secrets.token_urlsafe(32), self._now()
        begun = Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(48), wanted, now + BEGUN_S * NANO)
        self._begun[state] = begun
        if len(self._begun) > MAX_BEGUN:
            self._begun.popitem(last=False)
        asked = {
            "response_type": "code", "client_id": self.settings.client_id, "redirect_uri": self.callback, "scope": " ".join(self.settings.scopes),
            "state": state, "nonce": begun.nonce, "code_challenge": challenge(begun.verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        address = str(found["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", state

    async def finish(self, answer: Mapping[str, str], cookie: str) -> tuple[Who, str]:
        """Who came back with this answer, and where they wanted to go. cookie: the state of the browser that began. Raises OidcError."""
        state = answer.get("state", "")
        begun = self._begun.pop(state, None) if state and hmac.compare_digest(state.encode(), cookie.encode()) else None
        if begun is None or begun.until <= self._now():
            raise OidcError("provider", "an answer that nobody of this browser has asked for, or too late")
        if "error" in answer:
            raise OidcError("provider_refused", f"it says {answer['error'][:60]!r}")
        if (
            answer.get("iss", self.settings.issuer) != self.settings.issuer
        ):  # RFC 9207: it was another provider that answered
            raise OidcError("provider", "the answer is another issuer's")
        found = await self._discover()
        try:
            secret = read_secret(self.settings.secret_file, self.settings.secret_env)
        except SecretError as error:
            raise OidcError("provider", f"[oidc] {error}") from None
        asked = {
            "grant_type": "authorization_code", "code": answer.get("code", ""), "redirect_uri": self.callback, "code_verifier": begun.verifier,
        }  # fmt: skip
        tokens = await self._ask("POST", str(found["token_endpoint"]), asked, (self.settings.client_id, secret))
        claims = await self._claims(tokens.get("id_token"), begun.nonce)
        return self._who(claims), begun.next

    def _who(self, claims: Mapping[str, Any]) -> Who:
        row = fitting(self.settings.roles, claims)
        said = claims.get(self.settings.name_claim)
        if row is None:
            raise OidcError("provider_nobody", f"no row of [oidc] roles fits {str(said)[:60]!r}")
        try:
            name = accounts.tidy(said if isinstance(said, str) else "")
        except AccountError:
            raise OidcError(
                "provider_nobody", f"the claim {self.settings.name_claim} holds no name that can be one"
            ) from None
        full = claims.get(self.settings.full_name_claim)
        shown = (
            "".join(each for each in full if each.isprintable())[: accounts.MAX_FULL_NAME]
            if isinstance(full, str)
            else ""
        )
        return Who(f"{self.settings.issuer} {claims['sub']}", name, shown, row)

    async def _claims(self, token: Any, nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt  # noqa: PLC0415 - only where a provider is configured
        from joserfc.errors import JoseError  # noqa: PLC0415

        if not isinstance(token, str):
            raise OidcError("provider", "no id_token in the answer")
        for fresh in (False, True):
            try:
                decoded = jwt.decode(token, await self._key_set(fresh=fresh), algorithms=list(SIGNED_BY))
                break
            except (JoseError, ValueError) as error:
                if fresh:  # it may have changed its keys meanwhile: they are asked for once more
                    raise OidcError("provider", f"the id_token is not signed by it: {type(error).__name__}") from None
        claims: Mapping[str, Any] = decoded.claims
        now = self._now() // NANO
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        for right, why in (
            (claims.get("iss") == self.settings.issuer, "the issuer is another one"),
            (self.settings.client_id in audiences, "it is for somebody else"),
            (len(audiences) == 1 or claims.get("azp") == self.settings.client_id, "it was given to somebody else"),
            (claims.get("azp", self.settings.client_id) == self.settings.client_id, "it was given to somebody else"),
            (_number(claims.get("exp")) > now - LEEWAY_S, "it is over"),
            (abs(_number(claims.get("iat")) - now) < BEGUN_S + LEEWAY_S, "it was made at another time"),
            (_number(claims.get("nbf", 0)) <= now + LEEWAY_S, "it does not hold yet"),
            (
                isinstance(claims.get("nonce"), str)
                and hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()),
                "the nonce is another one",
            ),
            (isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255, "it names nobody"),
        ):
            if not right:
                raise OidcError("provider", f"the id_token is refused: {why}")
        return claims

    async def _discover(self) -> Mapping[str, Any]:
        now = self._now()
        if not self._found or now - self._found_at > KEPT_S * NANO:
            found = await self._ask("GET", self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if found.get("issuer") != self.settings.issuer:
                raise OidcError(
                    "provider", f"it calls itself {str(found.get('issuer'))[:200]!r}; write that as issuer in [oidc]"
                )
            for key in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(found.get(key), str) or urlsplit(found[key]).scheme not in {
                    "https",
                    urlsplit(self.settings.issuer).scheme,
                }:
                    raise OidcError("provider", f"its configuration has no usable {key}")
            self._found, self._found_at = found, now
        return self._found

    async def _key_set(self, *, fresh: bool) -> Any:
        from joserfc.jwk import KeySet  # noqa: PLC0415 - only where a provider is configured

        now = self._now()
        age = now - self._keys_at
        if self._keys is None or age > KEPT_S * NANO or (fresh and age > ASK_S * NANO):
            found = await self._ask("GET", str((await self._discover())["jwks_uri"]))
            try:
                self._keys = KeySet.import_key_set(
                    {"keys": [key for key in found.get("keys", []) if key.get("use", "sig") == "sig"]}
                )
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise OidcError("provider", f"its keys cannot be used: {type(error).__name__}") from None
            self._keys_at = now
        return self._keys

    async def _ask(
        self, method: str, address: str, form: Mapping[str, str] | None = None, auth: tuple[str, str] | None = None
    ) -> Mapping[str, Any]:
        import httpx2  # noqa: PLC0415 - only where a provider is configured

        if self._client is None:
            context = ssl.create_default_context(cafile=str(self.settings.ca_file) if self.settings.ca_file else None)
            self._client = httpx2.AsyncClient(
                verify=context, timeout=TIMEOUT_S, trust_env=False, follow_redirects=False
            )
        try:
            held = b""
            async with self._client.stream(
                method, address, data=form, auth=auth, headers={"Accept": "application/json"}
            ) as answer:
                async for piece in answer.aiter_bytes():
                    held += piece
                    if len(held) > MAX_ANSWER:
                        raise OidcError("provider", f"{address}: an answer of more than {MAX_ANSWER} bytes")
            body = json.loads(held)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise OidcError("provider", f"{address}: {type(error).__name__}") from None
        if answer.status_code != 200 or not isinstance(body, dict):
            why = str(body.get("error", ""))[:60] if isinstance(body, dict) else ""
            raise OidcError("provider", f"{address} answers {answer.status_code} {why}")
        return body

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("-inf")


async def welcome(directory: Directory, who: Who) -> Person:
    """The account of whoever the provider vouches for, made at the first time, with the role of today. Raises OidcError."""

    def work(db: Any) -> Person:
        actor = Actor(who.name, str(who.claim.role), "identity provider")
        person = accounts.by_subject(db, who.subject)
        if person is None:
            if accounts.find(db, who.name) is not None:  # that name would come in as somebody else
                raise OidcError(
                    "provider_nobody",
                    f"{who.name} is an account with a password here; give one of the two another name",
                )
            person = Person(
                who.name,
                who.full_name,
                who.claim.role,
                who.claim.scope,
                subject=who.subject,
                created_at=directory.now(),
            )
            accounts.add(db, person, actor)
            return person
        if not person.active:
            raise OidcError("provider_nobody", f"{person.name} is disabled here")
        after = replace(
            person, role=who.claim.role, scope=who.claim.scope, full_name=who.full_name or person.full_name, board=False
        )
        if after != person:
            accounts.change(db, after, actor, "role, scope")
        return after

    try:
        return await directory.write(work)
    except AccountError as error:
        raise OidcError("provider_nobody", str(error)) from None
