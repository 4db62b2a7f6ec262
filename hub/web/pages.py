"""Pages for people: the status of the hub, signing in by a one-time link, the list of API routes."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from hub.web.access import SESSION_COOKIE, SESSION_SECONDS
from hub.web.site import Site, page
from hub.workers.admin import connections, questions, reports


def router(site: Site) -> APIRouter:
    """`/`, `/login` and `/docs`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def status() -> Response:
        return page(
            "status.html",
            merchant=reports.merchant(site.hub)["name"],
            status=reports.status(site.hub),
            questions=questions.listed(site.hub, limit=50)["items"],
            connections=connections.listed(site.hub)["items"],
        )

    @routes.get("/login")
    def login(request: Request, token: str = "", next: str = "/") -> Response:
        if not site.keys.use_login(token):
            return page(
                "message.html",
                401,
                title="This link is not good any more",
                texts=["A link works once and for 15 minutes. `hub login` prints a new one."],
                home=False,
            )
        here = next if next.startswith("/") and not next.startswith(("//", "/\\")) else "/"
        answer = RedirectResponse(here, 303, headers={"cache-control": "no-store", "referrer-policy": "no-referrer"})
        answer.set_cookie(
            SESSION_COOKIE,
            site.keys.session(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=site.secure and site.is_public(request.headers["host"]),
        )
        return answer

    @routes.get("/docs")
    def docs(request: Request) -> Response:
        return page("docs.html", routes=_routes(request.app))

    return routes


def _routes(app: FastAPI) -> list[dict[str, Any]]:
    schema = app.openapi()
    found = []
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": route.get("description") or route.get("summary", ""),
                    "parameters": [
                        {
                            "name": each["name"],
                            "place": each["in"],
                            "type": _type(each.get("schema", {})),
                            "required": each.get("required", False),
                        }
                        for each in route.get("parameters", [])
                    ],
                    "body": _body(route, schema),
                }
            )
    return found


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"] if each.get("type") != "null")
    return str(schema.get("type", "any"))


def _body(route: dict[str, Any], schema: dict[str, Any]) -> str:
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if content is None:
        return ""
    if "$ref" in content:
        content = schema["components"]["schemas"][content["$ref"].rpartition("/")[2]]
    required = content.get("required", [])
    fields = {
        name + ("" if name in required else "?"): _type(each) for name, each in content.get("properties", {}).items()
    }
    return json.dumps(fields, indent=2, ensure_ascii=False)
