"""Which Java runs Spark: finds one that is new enough, says why others were passed over, installs one where it may.

Starts as few JVMs as it can (each costs tens of milliseconds): an installation's `release` file tells its version.
Run as a module it is the Java step of the set-up. Knows nothing about Spark but the version it asks for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import Misconfigured

OLDEST = 17  # Spark 4.0 and later: https://spark.apache.org/docs/latest/#downloading
_INSTALLABLE = (17, 21, 25)  # in order of preference; a Debian or Ubuntu release has some of them

_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "~/.sdkman/candidates/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)


class JavaMissing(Misconfigured):
    """No Java that will do; the message says where was looked and what to do."""


@dataclass(frozen=True)
class Java:
    """An installation: its JAVA_HOME, its version (17 of 17.0.15), and its full version as it says it itself."""

    home: Path
    version: int
    text: str

    @property
    def has_compiler(self) -> bool:
        return _is_program(self.home / "bin" / "javac")

    def __str__(self) -> str:
        return f"Java {self.text} of {self.home}"


@dataclass(frozen=True)
class Place:
    """Where a Java may be, as somebody would say it."""

    name: str
    home: Path


def find(java_home: str | None = None, environ: Mapping[str, str] = os.environ, *, compiler: bool = False) -> Java:
    """The Java to use: `java_home` and nothing else if given, else JAVA_HOME, the PATH's, then the usual folders.

    `compiler` asks for one with javac. Raises JavaMissing.
    """
    reasons = []
    for place in [Place("the setting java_home", Path(java_home))] if java_home else _places(environ):
        found = probe(place.home)
        if isinstance(found, Java) and compiler and not found.has_compiler:
            found = f"{found} has no compiler"
        if isinstance(found, Java):
            return found
        reasons.append(f"{place.name}: {found}")
    raise JavaMissing(_sentence(reasons, java_home, compiler))


def probe(home: Path) -> Java | str:
    """The Java at `home`, or why it will not do. Starts it only when it has no readable `release` file."""
    if not _is_program(home / "bin" / "java"):
        return f"there is no bin/java in {home}"
    text = _released_version(home) or _running_version(home / "bin" / "java")
    version = _major(text)
    if version is None:
        return f"{home}/bin/java does not run"
    if version < OLDEST:
        return f"Java {text} of {home} is too old"
    return Java(home, version, text)


def install(java_home: str | None = None, *, compiler: bool = False) -> Java:
    """The Java to use, installed by apt-get first if there is none and we are root. Raises JavaMissing."""
    try:
        return find(java_home, compiler=compiler)
    except JavaMissing:
        if java_home or os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise
    package = _known_package(compiler) or (_apt_get("update") and _known_package(compiler))
    if not package:
        raise JavaMissing(f"Java {OLDEST} or newer is needed and apt-get offers none: install one and set JAVA_HOME.")
    print(f"Installing {package}", file=sys.stderr)
    # The package lists may name files that the archive has replaced since.
    if not _apt_get("install", package) and not (_apt_get("update") and _apt_get("install", package)):
        raise JavaMissing(f"Java {OLDEST} or newer is needed and `apt-get install {package}` failed: see what it says.")
    return find(java_home, compiler=compiler)


# ---------------------------------------------------------------- where


def _places(environ: Mapping[str, str]) -> Iterator[Place]:
    if environ.get("JAVA_HOME"):
        yield Place("JAVA_HOME", Path(environ["JAVA_HOME"]))
    on_path = shutil.which("java", path=environ.get("PATH", os.defpath))
    if on_path:
        yield Place("java on the PATH", _home_of(Path(on_path)))
    for home in _usual_homes(environ):
        yield Place("found", home)


def _home_of(program: Path) -> Path:
    """JAVA_HOME of a `java` on the PATH. Version switchers put a script there, which only Java itself sees through."""
    home = program.resolve().parent.parent
    if (home / "release").exists():
        return home
    return Path(_properties(program).get("java.home", home))


def _usual_homes(environ: Mapping[str, str]) -> list[Path]:
    """Installations in the usual folders, each once, oldest first: the older ones are what Spark is tested with."""
    user = environ.get("HOME", "/nonexistent")
    found: dict[Path, None] = {}
    for folder in _FOLDERS:
        pattern = folder.replace("~", user).lstrip("/")
        found.update(dict.fromkeys(path.resolve() for path in Path("/").glob(pattern)))
    homes = [home for home in found if _is_program(home / "bin" / "java")]
    return sorted(homes, key=lambda home: _major(_released_version(home)) or 0)


# ---------------------------------------------------------------- which version


def _released_version(home: Path) -> str:
    """The version in the installation's `release` file, as full as it is told; empty without one."""
    try:
        lines = (home / "release").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    told = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    return told.get("JAVA_RUNTIME_VERSION") or told.get("JAVA_VERSION", "")


def _running_version(program: Path) -> str:
    return _properties(program).get("java.runtime.version", "")


def _properties(program: Path) -> dict[str, str]:
    """Java's system properties by its own telling; empty when it does not run."""
    command = [str(program), "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, errors="replace", check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(re.findall(r"^\s+(java\.[\w.]+) = (.+)$", done.stderr, re.MULTILINE))


def _major(text: str) -> int | None:
    """17 of "17.0.15+6", 8 of "1.8.0_402"."""
    match = re.match(r"(?:1\.)?(\d+)", text)
    return int(match[1]) if match else None


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


# ---------------------------------------------------------------- installing


def _package(version: int, compiler: bool) -> str:
    return f"openjdk-{version}-{'jdk' if compiler else 'jre'}-headless"


def _known_package(compiler: bool) -> str | None:
    """The package that this system's lists have."""
    for version in _INSTALLABLE:
        command = ["apt-cache", "show", "--no-all-versions", _package(version, compiler)]
        if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0:
            return _package(version, compiler)
    return None


def _apt_get(*words: str) -> bool:
    """Whether it worked. Asks nothing and says only what goes wrong."""
    command = ["apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", *words]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def _sentence(reasons: list[str], java_home: str | None, compiler: bool) -> str:
    what = f"Java {OLDEST} or newer" + (" with its compiler" if compiler else "")
    looked = "; ".join(reasons) or f"JAVA_HOME, the PATH, {', '.join(_FOLDERS)}"
    fix = f"as root run `apt-get install {_package(_INSTALLABLE[0], compiler)}`, or set JAVA_HOME"
    if java_home:
        fix = "name another one there, or leave java_home empty to have one found"
    return f"{what} is needed and was not found (looked in {looked}): {fix}."


def main(arguments: list[str]) -> int:
    from gateway.core.settings import reading

    look = install if "--install" in arguments else find
    try:
        chosen = reading.load(os.environ).java_home or None
        print(look(chosen, compiler="--jdk" in arguments))
    except Misconfigured as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
