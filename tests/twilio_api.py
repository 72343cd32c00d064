"""Twilio's published OpenAPI file as a judge of requests: a request that it does not describe is an AssertionError.

Formats "phone-number" and "uri" are enforced here; common validators let them pass.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

FORMATS = FormatChecker(formats=())
FORMATS.checks("phone-number")(lambda value: bool(re.fullmatch(r"\+[1-9][0-9]{5,14}", str(value))))
FORMATS.checks("uri")(
    lambda value: urlsplit(str(value)).scheme in ("http", "https") and bool(urlsplit(str(value)).netloc)
)
FORMATS.checks("date-time")(lambda value: bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value))))


class Api:
    """The file, and what it says of one request."""

    def __init__(self, folder: Path) -> None:
        self.file = json.loads((folder / "twilio_api_v2010.json").read_text(encoding="utf-8"))

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Path, path and query parameters, form and security of a request against the file."""
        parts = urlsplit(target)
        operation, in_path = self._operation(method, parts.path)
        told = {(parameter["in"], parameter["name"]): parameter for parameter in operation.get("parameters", [])}
        given = {("path", name): value for name, value in in_path.items()}
        given |= {("query", name): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        for key, value in given.items():
            assert key in told, f"the file knows no parameter {key}"
            self._fits(value, told[key]["schema"], key[1])
        missing = [key for key, parameter in told.items() if parameter.get("required") and key not in given]
        assert missing == []
        self._form(operation, headers, body)
        assert {"accountSid_authToken": []} in operation["security"]
        assert headers["authorization"].startswith("Basic ")

    def answer(self, name: str, value: object) -> None:
        """Whether a body is one that the file describes: holds our stand-in to Twilio's shapes."""
        self._validator({"$ref": f"#/components/schemas/{name}"}).validate(value)

    def _operation(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        for template, operations in self.file["paths"].items():
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
            found = re.fullmatch(pattern, path)
            if found and method.lower() in operations:
                return operations[method.lower()], found.groupdict()
        raise AssertionError(f"the file has no {method} {path}")

    def _form(self, operation: dict[str, Any], headers: Mapping[str, str], body: bytes) -> None:
        if "requestBody" not in operation:
            assert body == b""
            return
        kind = "application/x-www-form-urlencoded"
        assert headers["content-type"] == kind
        schema = operation["requestBody"]["content"][kind]["schema"]
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        assert len({name for name, _ in pairs}) == len(pairs), "a field comes twice"
        assert [name for name in schema["required"] if name not in dict(pairs)] == []
        for name, value in pairs:
            assert name in schema["properties"], f"the file knows no field {name}"
            self._fits(value, schema["properties"][name], name)

    def _fits(self, value: str, schema: dict[str, Any], name: str) -> None:
        """A value out of a form or query, by its type: all of them come as text."""
        typed: object = int(value) if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value) else value
        errors = [error.message for error in self._validator(schema).iter_errors(typed)]
        assert errors == [], f"{name}: {errors}"

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        whole = {**_nullable(schema), "components": _nullable(self.file["components"])}
        return Draft202012Validator(whole, format_checker=FORMATS)


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable`, JSON Schema says type null."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _nullable(value) for name, value in schema.items()}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
