"""Who may call what: a request's bearer token and the scopes its operation names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from msgspec import Struct

from api.errors import ApiError
from api.facade import TheGateway
from api.tokens import Token, authenticate


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls: their token, and its text for asking again whether it still holds (a long stream)."""

    token: Token
    text: str

    @property
    def name(self) -> str:
        """The name that stands in the record."""
        return self.token.name

    def may(self, scope: str) -> bool:
        """Whether the token has this scope."""
        return scope in self.token.scopes


bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token made with `linli token create`: linli_<id>_<secret>."
)


def authorize(
    wanted: SecurityScopes,
    gateway: TheGateway,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """The caller, if the token is good and has the scopes the operation names; else a 401 or 403 problem."""
    if given is None:
        raise ApiError(
            401, "send a token: Authorization: Bearer linli_...", headers={"WWW-Authenticate": 'Bearer realm="linli"'}
        )
    token = authenticate(gateway.store, given.credentials, datetime.now(UTC))
    if token is None:
        raise ApiError(
            401,
            "the token is unknown, expired or revoked",
            headers={"WWW-Authenticate": 'Bearer realm="linli", error="invalid_token"'},
        )
    if missing := [scope for scope in wanted.scopes if scope not in token.scopes]:
        raise ApiError(
            403,
            f"the token lacks the scope {' '.join(missing)}",
            headers={
                "WWW-Authenticate": f'Bearer realm="linli", error="insufficient_scope", scope="{" ".join(missing)}"'
            },
            more={"missing_scopes": missing},
        )
    return Caller(token=token, text=given.credentials)


AnyToken = Annotated[Caller, Security(authorize)]
AlertsRead = Annotated[Caller, Security(authorize, scopes=["alerts:read"])]
AlertsWrite = Annotated[Caller, Security(authorize, scopes=["alerts:write"])]
DevicesRead = Annotated[Caller, Security(authorize, scopes=["devices:read"])]
DevicesWrite = Annotated[Caller, Security(authorize, scopes=["devices:write"])]
CommandsWrite = Annotated[Caller, Security(authorize, scopes=["commands:write"])]
PeopleRead = Annotated[Caller, Security(authorize, scopes=["people:read"])]
PeopleWrite = Annotated[Caller, Security(authorize, scopes=["people:write"])]
PeopleCorrect = Annotated[Caller, Security(authorize, scopes=["people:read", "alerts:write"])]
VehiclesRead = Annotated[Caller, Security(authorize, scopes=["vehicles:read"])]
VehiclesWrite = Annotated[Caller, Security(authorize, scopes=["vehicles:write"])]
VehiclesMark = Annotated[Caller, Security(authorize, scopes=["vehicles:read", "alerts:write"])]
PlacesWrite = Annotated[Caller, Security(authorize, scopes=["places:write"])]
SiteWrite = Annotated[Caller, Security(authorize, scopes=["devices:write", "vehicles:write", "places:write"])]
SyncWrite = Annotated[Caller, Security(authorize, scopes=["sync:write"])]
SubscriptionsWrite = Annotated[Caller, Security(authorize, scopes=["subscriptions:write"])]
EvidenceRead = Annotated[Caller, Security(authorize, scopes=["evidence:read"])]
