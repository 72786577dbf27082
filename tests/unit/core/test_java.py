"""Which Java is chosen, which ones are passed over and with what words. No Java is started: fakes are shell scripts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core import java
from gateway.core.java import Java, JavaMissing

MakeJava = Callable[..., Path]


@pytest.fixture
def make_java(tmp_path: Path) -> MakeJava:
    """A folder that looks like a Java installation. Its program marks that it was started."""

    def make(name: str, release: str | None, says: str = "exit 1", programs: tuple[str, ...] = ("java",)) -> Path:
        home = tmp_path / name
        (home / "bin").mkdir(parents=True)
        for program in programs:
            script = home / "bin" / program
            script.write_text(f"#!/bin/sh\ntouch {home}/started\n{says}\n")
            script.chmod(0o755)
        if release is not None:
            (home / "release").write_text(f'IMPLEMENTOR="Somebody"\n{release}\n')
        return home

    return make


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's own installations stay out of it; the usual folder is usual/ of the test."""
    monkeypatch.setattr(java, "_FOLDERS", (f"{tmp_path}/usual/*",))


def environ(java_home: Path | str = "", path: Path | str = "/nonexistent") -> dict[str, str]:
    return {"JAVA_HOME": str(java_home), "PATH": str(path), "HOME": "/nonexistent"}


def test_java_home_comes_before_the_path(make_java: MakeJava) -> None:
    named, other = make_java("named", 'JAVA_VERSION="21.0.4"'), make_java("other", 'JAVA_VERSION="17.0.15"')
    assert java.find(environ=environ(named, other / "bin")) == Java(named, 21, "21.0.4")


def test_the_path_comes_before_the_usual_folders(make_java: MakeJava) -> None:
    make_java("usual/a", 'JAVA_VERSION="17.0.1"')
    on_path = make_java("onpath", 'JAVA_VERSION="21"')
    assert java.find(environ=environ(path=on_path / "bin")).home == on_path


def test_a_link_on_the_path_leads_to_the_installation(make_java: MakeJava, tmp_path: Path) -> None:
    home = make_java("real", 'JAVA_VERSION="17.0.15"')
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "java").symlink_to(home / "bin" / "java")
    assert java.find(environ=environ(path=tmp_path / "links")).home == home


def test_a_version_switcher_s_script_is_seen_through(make_java: MakeJava) -> None:
    home = make_java("real", 'JAVA_VERSION="17.0.15"')
    shim = make_java("shims", None, says=f"echo '    java.home = {home}' >&2")
    assert java.find(environ=environ(path=shim / "bin")).home == home


def test_of_the_usual_ones_the_oldest_that_will_do_is_chosen(make_java: MakeJava) -> None:
    for name, version in (("a", "25.0.3"), ("b", "1.8.0_402"), ("c", "17.0.15"), ("d", "21")):
        make_java(f"usual/{name}", f'JAVA_VERSION="{version}"')
    assert java.find(environ=environ()).version == 17


def test_a_release_file_saves_starting_java(make_java: MakeJava) -> None:
    home = make_java("named", 'JAVA_VERSION="17.0.15"\nJAVA_RUNTIME_VERSION="17.0.15+6-Debian"')
    assert java.find(environ=environ(home)).text == "17.0.15+6-Debian"
    assert not (home / "started").exists()


def test_without_a_release_file_java_is_asked(make_java: MakeJava) -> None:
    home = make_java("named", None, says="echo '    java.runtime.version = 21.0.4+7' >&2")
    assert java.find(environ=environ(home)) == Java(home, 21, "21.0.4+7")


def test_an_old_java_home_is_passed_over(make_java: MakeJava) -> None:
    old, good = make_java("old", 'JAVA_VERSION="11.0.2"'), make_java("usual/good", 'JAVA_VERSION="17"')
    assert java.find(environ=environ(old)).home == good


@pytest.mark.parametrize(
    ("text", "major"),
    [("17.0.15+6-Debian", 17), ("1.8.0_402", 8), ("25-ea", 25), ("21", 21), ("", None), ("unknown", None)],
)
def test_versions_are_read_in_all_their_forms(text: str, major: int | None) -> None:
    assert java._major(text) == major


def test_the_message_says_why_each_was_passed_over_and_what_to_do(make_java: MakeJava, tmp_path: Path) -> None:
    old = make_java("old", 'JAVA_VERSION="1.8.0_402"')
    with pytest.raises(JavaMissing) as caught:
        java.find(environ=environ(tmp_path / "gone", old / "bin"))
    assert str(caught.value) == (
        f"Java 17 or newer is needed and was not found (looked in JAVA_HOME: there is no bin/java in {tmp_path}/gone;"
        f" java on the PATH: Java 1.8.0_402 of {old} is too old):"
        " as root run `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME."
    )


def test_a_java_that_does_not_run_is_passed_over(make_java: MakeJava) -> None:
    with pytest.raises(JavaMissing, match="bin/java does not run"):
        java.find(environ=environ(make_java("broken", None)))


def test_the_setting_is_taken_at_its_word(make_java: MakeJava) -> None:
    good, old = make_java("good", 'JAVA_VERSION="17"'), make_java("old", 'JAVA_VERSION="11"')
    assert java.find(str(good), environ(old)).home == good
    with pytest.raises(JavaMissing, match="setting java_home: Java 11 of .* is too old.*name another one there"):
        java.find(str(old), environ(good))


def test_a_compiler_can_be_asked_for(make_java: MakeJava) -> None:
    runtime = make_java("runtime", 'JAVA_VERSION="17"')
    kit = make_java("usual/kit", 'JAVA_VERSION="21"', programs=("java", "javac"))
    assert java.find(environ=environ(runtime)).home == runtime
    assert java.find(environ=environ(runtime), compiler=True).home == kit


class Apt:
    """An apt-get that knows some packages once its lists are there, and puts a Java where Java is looked for."""

    def __init__(self, make_java: MakeJava, *, offers: int, has_lists: bool = True, works: bool = True) -> None:
        self._make_java, self._offers, self._has_lists, self._works = make_java, offers, has_lists, works
        self.calls: list[str] = []

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        package = command[-1]
        known = self._has_lists and package.startswith(f"openjdk-{self._offers}-")
        if command[0] == "apt-cache":
            return subprocess.CompletedProcess(command, 0 if known else 100)
        self.calls.append(" ".join(command[command.index("Dpkg::Use-Pty=0") + 1 :]))
        if package == "update":
            self._has_lists = True
        elif self._works:
            programs = ("java", "javac") if "-jdk-" in package else ("java",)
            self._make_java("usual/installed", f'JAVA_VERSION="{self._offers}.0.1"', programs=programs)
        return subprocess.CompletedProcess(command, 0 if self._works or package == "update" else 100)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Apt], None]:
    """Root, apt-get, and no Java."""

    def prepare(apt: Apt) -> None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setattr(java.os, "geteuid", lambda: 0)
        monkeypatch.setattr(java.shutil, "which", lambda name, path=None: f"/bin/{name}" if name == "apt-get" else None)
        monkeypatch.setattr(java.subprocess, "run", apt.run)

    return prepare


def test_java_is_installed_without_fetching_lists_that_are_there(make_java: MakeJava, bare_machine) -> None:
    apt = Apt(make_java, offers=17)
    bare_machine(apt)
    assert java.install().version == 17
    assert apt.calls == ["install openjdk-17-jre-headless"]


def test_a_newer_debian_s_java_is_installed_after_fetching_lists(make_java: MakeJava, bare_machine) -> None:
    apt = Apt(make_java, offers=21, has_lists=False)
    bare_machine(apt)
    assert java.install(compiler=True).has_compiler
    assert apt.calls == ["update", "install openjdk-21-jdk-headless"]


def test_an_installation_that_fails_says_so(make_java: MakeJava, bare_machine) -> None:
    apt = Apt(make_java, offers=17, works=False)
    bare_machine(apt)
    with pytest.raises(JavaMissing, match="`apt-get install openjdk-17-jre-headless` failed"):
        java.install()
    assert apt.calls == ["install openjdk-17-jre-headless", "update", "install openjdk-17-jre-headless"]


def test_nobody_but_root_installs(make_java: MakeJava, bare_machine, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(make_java, offers=17)
    bare_machine(apt)
    monkeypatch.setattr(java.os, "geteuid", lambda: 1000)
    with pytest.raises(JavaMissing, match="as root run"):
        java.install()
    assert apt.calls == []


def test_a_setting_that_leads_nowhere_installs_nothing(make_java: MakeJava, bare_machine) -> None:
    apt = Apt(make_java, offers=17)
    bare_machine(apt)
    with pytest.raises(JavaMissing, match="setting java_home"):
        java.install("/nonexistent")
    assert apt.calls == []


def test_the_module_run_by_itself_answers_in_one_sentence(make_java: MakeJava) -> None:
    home = make_java("good", 'JAVA_VERSION="17.0.15"')
    command = [sys.executable, "-m", "gateway.core.java"]
    found = subprocess.run(command, env=environ(home), capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, f"Java 17.0.15 of {home}\n")
    setting = {**environ(home), "SPARK_GATEWAY_JAVA_HOME": "/nonexistent"}
    missing = subprocess.run(command, env=setting, capture_output=True, text=True)
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1 and "the setting java_home" in missing.stderr
