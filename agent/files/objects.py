"""The objects that refer to stored files: images, boot configurations, repositories, and what each may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from agent.errors import Conflict, FieldError
from agent.model import FileReference, Kind
from agent.ports import Store
from agent.records import Records, Spec
from agent.records.spec import Body, invalid, is_uid

Name = Annotated[str, Meta(min_length=1, max_length=255, description="Unique among its kind")]
Text = Annotated[str, Meta(max_length=65536)]
Frozen = Annotated[bool, Meta(description="Guards against change and deletion; only unfreezing is allowed then")]
File = FileReference | None


class ImageFields(Struct):
    """An image: a root filesystem that nodes boot."""

    name: Name
    content: Annotated[File, Meta(description="The packed image")] = None
    description: Text = ""
    frozen: Frozen = False
    parent: Annotated[Text, Meta(description="What it was made from; for information only")] = ""
    distro: Annotated[str | None, Meta(description="The uid of its distribution")] = None


class BootConfigFields(Struct):
    """A boot configuration: a kernel, an initramfs and the image that they boot into."""

    name: Name
    kernel: File = None
    initramfs: File = None
    description: Text = ""
    frozen: Frozen = False
    cmdline: Annotated[Text, Meta(description="The kernel's command line")] = ""
    image: Annotated[str | None, Meta(description="The uid or the name of an image; kept as its uid")] = None
    boot_style: Literal["rwram", "roram", "iscsi", "next", "disked", "sanboot", "live"] = "rwram"


class RepoFields(Struct):
    """A repository of software packages, perhaps an uploaded ISO."""

    name: Name
    iso: File = None
    description: Text = ""
    full_name: Text = ""
    urls: tuple[Text, ...] = ()
    mirrors: tuple[Text, ...] = ()
    keys: tuple[Text, ...] = ()
    disable: bool = False
    check: bool = False
    rhel_entitlement: bool = False


def check_filename(filename: str) -> None:
    """Raises ValueError unless it is a path inside the store, in its one plain spelling."""
    if "\0" in filename or len(filename.encode()) > 4095:
        raise ValueError("filename must be a path of at most 4095 bytes without NUL")
    for part in filename.split("/"):
        if not part:
            raise ValueError("filename must be relative to the store, without empty parts: a name, or folder/name")
        if part.startswith("."):
            raise ValueError("filename must have no part that begins with a dot: those are the store's own")
        if len(part.encode()) > 255:
            raise ValueError("filename must have no part longer than 255 bytes")


def _file(reference: FileReference) -> FileReference:
    check_filename(reference.filename)
    if reference.size is not None and not 0 <= reference.size < 2**63:
        raise ValueError("size must be a number of bytes, 0 or more")
    return reference


def _name(name: str) -> str:
    if not name.isprintable() or name != name.strip() or "/" in name:
        raise ValueError("must be printable, without / and without spaces at its ends")
    if is_uid(name) or name in (".", ".."):
        raise ValueError("must not look like a uid, nor be . or .., which no path can end in")
    return name


def _repo_name(name: str) -> str:
    if name[0].isdigit():
        raise ValueError("must not begin with a number")
    return _name(name)


def _uid(value: str) -> str:
    if not is_uid(value):
        raise ValueError("must be a uid: 32 lower-case letters and digits")
    return value


def _thaw_first(before: Body, after: Body | None) -> None:
    """What is frozen can only be unfrozen, by itself."""
    if before.get("frozen") and after != {**before, "frozen": False} and after != _without_frozen(before):
        raise Conflict('this object is frozen: set "frozen" to false first, and nothing else with it', code="frozen")


def _without_frozen(body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "frozen"}


async def _known_image(store: Store, before: Body, after: Body) -> Body:
    """Have `image` be the uid of an image that exists; one that has gone since may stay."""
    image = after.get("image")
    if image is None or image == before.get("image"):
        return after
    found = await store.get(Kind.IMAGE, image) if is_uid(image) else await store.find(Kind.IMAGE, image)
    if found is None:
        raise invalid("a boot configuration", [FieldError("image", "there is no image with that uid or name")])
    return {**after, "image": found.uid}


IMAGES = Spec(
    Kind.IMAGE,
    "an image",
    ImageFields,
    name="name",
    checks={"name": _name, "content": _file, "distro": _uid},
    guard=_thaw_first,
)
BOOTCONFIGS = Spec(
    Kind.BOOTCONFIG,
    "a boot configuration",
    BootConfigFields,
    name="name",
    checks={"name": _name, "kernel": _file, "initramfs": _file},
    refine=_known_image,
    guard=_thaw_first,
)
REPOS = Spec(Kind.REPO, "a repository", RepoFields, name="name", checks={"name": _repo_name, "iso": _file})
# A new kind of object: its shape above, its Spec here, its routes in `api/routes/`.


def objects(store: Store) -> Mapping[Kind, Records]:
    """The standard verbs for each kind of object."""
    return {spec.kind: Records(store, spec) for spec in (IMAGES, BOOTCONFIGS, REPOS)}
