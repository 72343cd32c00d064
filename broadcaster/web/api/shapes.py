"""The shapes of requests, for the OpenAPI document. What a value may be is decided by the functions behind."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A request body: a key that there is not is an error, never a setting without effect."""

    model_config = ConfigDict(extra="forbid")


class SelectionIn(Shape):
    """Who: places x premises categories x languages x groups, minus exclusions. At least a place or a group."""

    places: list[str] = Field(default=[], description="12-digit codes or their meaningful prefixes")
    premises_categories: list[str] = []
    languages: list[str] = []
    groups: list[str] = []
    exclude_places: list[str] = []
    exclude_groups: list[str] = []


class DraftIn(Shape):
    """What an author decides."""

    name: str
    template_set: str
    mode: str = Field(description="live or exercise; there is no default")
    level: str | None = None
    facts: dict[str, Any] = {}
    selection: SelectionIn = Field(default_factory=SelectionIn)
    channels: list[str] = []
    not_before: str | None = Field(None, description="RFC 3339; none = from approval on")
    expires: str | None = Field(None, description="RFC 3339; none = as long as the template set says")


class EditIn(DraftIn):
    """A draft in place of the one that was read at `version`."""

    version: int


class ApproveIn(Shape):
    """The seal that the approver read; another one is refused."""

    digest: str


class ReasonIn(Shape):
    """Why."""

    reason: str


class CorrectIn(Shape):
    """Facts of the correction, and another template set than the prepared one."""

    facts: dict[str, Any] = {}
    template_set: str | None = None


class CountIn(Shape):
    """An audience to count."""

    selection: SelectionIn
    channels: list[str] | None = None


Document = dict[str, Any]
