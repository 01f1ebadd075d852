"""The configuration: what is right is typed, what is wrong is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config, ConfigError, Live, load, reload
from agent.config.sections import SECTIONS, keys, template
from agent.config.values import ADDRESSES, PATTERNS, duration, size

UID = "0123456789abcdef0123456789abcdef"
SHIPPED = Path(__file__).parents[2] / "etc" / "head-agent.ini"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "head-agent.ini"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_shipped_file_is_written_from_the_sections() -> None:
    assert SHIPPED.read_text() == "\n".join(template()) + "\n"


def test_shipped_file_with_every_key_uncommented_equals_the_defaults(tmp_path: Path) -> None:
    lines = [line[1:] if line[:1] == "#" and line[1:2].isalpha() else line for line in template()]
    text = "\n".join(lines).replace("\nuid =", f"\nuid = {UID}")
    shown, plain = load(written(tmp_path, text), {}), load(written(tmp_path, f"[head]\nuid={UID}\n"), {})
    assert shown == plain
    assert all(f"\n#{name} =" in SHIPPED.read_text() for section in SECTIONS for name in keys(section))


def test_values_are_typed_and_have_units(tmp_path: Path) -> None:
    config = load(
        written(
            tmp_path,
            f"[head]\nuid = {UID}\n[files]\nmin_age = 2h\ntrash_watermark = 90%\n[api]\nmax_body = 2M\n"
            "listen = 10.0.0.1:52390, [::1]:1\n[services]\nheal = no\npatterns = a.service b@*.service\n",
        ),
        {},
    )
    assert config.files.min_age == 7200.0
    assert config.files.trash_watermark == 90
    assert config.api.max_body == 2 * 1024 * 1024
    assert config.api.listen == ("10.0.0.1:52390", "[::1]:1")
    assert config.services.heal is False
    assert config.services.patterns == ("a.service", "b@*.service")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[head]\nuid = XYZ\n", ["head-agent.ini:2:", "[head] uid", "'XYZ'", "32 lower-case letters and digits"]),
        ("[head]\n\nuidd = x\n", ["head-agent.ini:3:", "uidd", "must be one of uid, base_ini"]),
        ("[hosts]\n", ["head-agent.ini:1:", "[hosts] is not a section", "head, api"]),
        ("uid = x\n", ["head-agent.ini:1:", "comes before any section"]),
        ("[head]\nuid = x\nuid = y\n", ["head-agent.ini:3:", "appears twice"]),
        ("[head]\n[head]\n", ["head-agent.ini:2:", "appears twice"]),
        ("[head]\nnonsense\n", ["head-agent.ini:2:", "is not `key = value`"]),
        ("[files]\nmin_age = soon\n", ["head-agent.ini:2:", "[files] min_age", "'soon'", "duration such as 30s"]),
        ("[files]\nmin_age = 0s\n", ["[files] min_age", "between 1s"]),
        ("[files]\nroot = store\n", ["[files] root", "an absolute path"]),
        ("[files]\nroot = /a/../b\n", ["[files] root", "an absolute path"]),
        ("[api]\nlisten = localhost:80\n", ["[api] listen", "such as [::]:52390"]),
        ("[api]\nlisten = ::1:80\n", ["[api] listen"]),
        ("[api]\nlisten = 10.0.0.1:99999\n", ["[api] listen"]),
        ("[services]\nheal = maybe\n", ["[services] heal", "yes or no"]),
        ("[services]\npatterns =\n", ["[services] patterns"]),
        ("[services]\npatterns = a;b\n", ["[services] patterns"]),
        ("[access]\nknown_heads = address, password\n", ["known_heads", "certificate, address"]),
        ("[database]\nengine = mysql\n", ["engine", "sqlite"]),
    ],
)
def test_what_is_wrong_is_named_with_file_line_key_and_what_is_allowed(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    message = refused(tmp_path, text)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("[files]\nroot = /var/lib/clusterware-head-agent\n", "/var/lib/clusterware-head-agent is no store"),
        ("[files]\nroot = /var/lib\n", "keys and its database in /var/lib/clusterware-head-agent,"),
        ("[files]\nroot = /srv\n[database]\npath = /srv/db/agent.db\n", "keys and its database in /srv/db,"),
        ("[files]\nroot = /var/lib/clusterware-head-agent/images\n", ""),
        ("[files]\nroot = /var/lib/clusterware\n", ""),
    ],
)
def test_a_store_that_holds_the_agents_own_files_is_refused(tmp_path: Path, text: str, refusal: str) -> None:
    """One below them is no danger to them."""
    text = f"[head]\nuid = {UID}\n{text}"
    if refusal:
        assert refusal in refused(tmp_path, text)
    else:
        load(written(tmp_path, text), {})


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("interval = 10s\n", "10 s is no less than suspect (3 s)"),
        ("interval = 3s\n", "suspect and timeout come first, on all heads"),
        ("interval = 10s\nsuspect = 30s\ntimeout = 60s\n", ""),
        ("interval = 2s\n", ""),
    ],
)
def test_a_heartbeat_that_comes_too_late_to_be_believed_is_refused(tmp_path: Path, text: str, refusal: str) -> None:
    text = f"[head]\nuid = {UID}\n[heartbeat]\n{text}"
    if refusal:
        assert refusal in refused(tmp_path, text)
    else:
        load(written(tmp_path, text), {})


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    told = refused(tmp_path, f"[head]\nuid = {UID}\n[etcd]\nendpoints = https://root:hu@sh@10.0.0.1:2379\n")

    assert "'https://...@10.0.0.1:2379' is not allowed" in told
    assert "sh@" not in told


def test_missing_uid_names_both_places_where_it_could_stand(tmp_path: Path) -> None:
    message = refused(tmp_path, "[head]\nbase_ini = /nowhere/base.ini\n")
    assert "[head] uid" in message
    assert "/nowhere/base.ini (which cannot be read: No such file or directory) has no head.uid" in message


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.ini", {})


def test_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.ini"
    path.write_bytes(b"\xff\xfe\x00[head]")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path, {})


@pytest.mark.parametrize("header", ["", "[DEFAULT]\n", "[app:main]\n"])
def test_base_ini_gives_uid_storage_and_peer_url_with_or_without_headers(tmp_path: Path, header: str) -> None:
    base = tmp_path / "base.ini"
    base.write_text(
        f"# base\n{header}head.uid = {UID}\ndatabase.admin_pass = %secret%(x)s\n"
        "storage.path = /srv/store\netcd.peer_url = https://root:secret@10.0.0.1:52380\n"
    )
    config = load(written(tmp_path, f"[head]\nbase_ini = {base}\n"), {})
    assert config.head.uid == UID
    assert config.files.root == Path("/srv/store")
    assert config.peer_url == "https://10.0.0.1:52380"
    assert "secret" not in repr(config)


def test_own_file_wins_over_base_ini_and_its_key_names_can_be_changed(tmp_path: Path) -> None:
    base = tmp_path / "base.ini"
    base.write_text(f"head.uid = {'f' * 32}\nnode.id = {UID}\nstorage.path = /a\n")
    config = load(written(tmp_path, f"[head]\nbase_ini = {base}\nbase_ini_uid_key = node.id\n[files]\nroot = /b\n"), {})
    assert (config.head.uid, config.files.root) == (UID, Path("/b"))


def test_credential_wins_over_the_path_of_base_ini(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "base.ini").write_text(f"head.uid = {UID}\n")
    base = tmp_path / "base.ini"
    base.write_text(f"head.uid = {'f' * 32}\n")
    config = load(written(tmp_path, f"[head]\nbase_ini = {base}\n"), {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert config.head.uid == UID


def test_bad_uid_in_base_ini_names_base_ini_and_its_key(tmp_path: Path) -> None:
    base = tmp_path / "base.ini"
    base.write_text("head.uid = short\n")
    message = refused(tmp_path, f"[head]\nbase_ini = {base}\n")
    assert "base.ini" in message
    assert "head.uid" in message


def test_reload_takes_what_can_be_reloaded_and_names_what_cannot(tmp_path: Path) -> None:
    path = written(tmp_path, f"[head]\nuid = {UID}\n")
    live = Live(load(path, {}))
    path.write_text(f"[head]\nuid = {UID}\n[files]\nroot = /other\nmin_age = 5min\n[log]\nlevel = debug\n")
    changed, later = reload(live, path, {})
    assert (changed, later) == (["files.min_age", "log.level"], ["files.root"])
    assert live.config.files.min_age == 300.0
    assert live.config.files.root == Config().files.root
    assert live.config.log.level == "debug"


def test_bad_file_at_reload_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, f"[head]\nuid = {UID}\n")
    live = Live(load(path, {}))
    before = live.config
    path.write_text(f"[head]\nuid = {UID}\n[files]\nmin_age = 1min\nmin_agee = 2\n")
    with pytest.raises(ConfigError):
        reload(live, path, {})
    assert live.config == before


@given(st.integers(1, 10**8))
def test_durations_read_back_as_written(seconds: int) -> None:
    kind = duration()
    assert kind.read(kind.write(float(seconds))) == seconds


@given(st.integers(1024, 2**40))
def test_sizes_read_back_as_written(amount: int) -> None:
    kind = size(1024, 2**40)
    assert kind.read(kind.write(amount)) == amount


@given(st.text(max_size=40))
def test_no_text_breaks_a_reader_in_any_other_way_than_value_error(text: str) -> None:
    for kind in (duration(), size(1, 2**40), ADDRESSES, PATTERNS):
        try:
            kind.read(text)
        except ValueError:
            continue
