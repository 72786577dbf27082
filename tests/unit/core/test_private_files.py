"""Files of this user alone, and whether Java reads from them what was meant."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.core import private_files

NASTY = {
    "spark.plain": "x",
    "spark.space in key": "v",
    "spark.a=b": "c=d",
    "spark.a:b": "c:d",
    "#comment": "#v",
    "!comment": "!v",
    "spark.leading": "  two spaces",
    "spark.tab": "\ttab",
    "spark.feed": "\fform feed",
    "spark.key\ffeed": "v",
    "spark.lines": "one\ntwo\r\nthree",
    "spark.backslash": "C:\\temp\\new \\u0041",
    "spark.ends": "with backslash\\",
    "spark.unicode": "ünï – 日本 🎉",
    "spark.ünï": "v",
    "spark.empty": "",
    "spark.quotes": "\"a\" 'b' $HOME `id`",
}


def read_properties(text: str) -> dict[str, str]:
    """java.util.Properties, as its documentation has it, for files without continued lines."""
    found = {}
    for line in re.split(r"(?:\r\n|\r|\n)[ \t\f]*", text):
        if not line or line[0] in "#!":
            continue
        match = re.fullmatch(r"((?:\\.|[^\\ \t\f=:])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        assert match is not None
        found[unescape(match[1])] = unescape(match[2])
    return found


def unescape(text: str) -> str:
    known = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
    return re.sub(
        r"\\(u[0-9a-fA-F]{4}|.)",
        lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else known.get(m[1], m[1]),
        text,
        flags=re.DOTALL,
    )


def test_a_properties_file_says_what_was_meant(tmp_path: Path) -> None:
    private_files.write_properties(tmp_path / "conf", NASTY)
    assert read_properties((tmp_path / "conf").read_text("utf-8")) == NASTY


JAVA = """
import java.nio.file.*;
public class Read {
    public static void main(String[] args) throws Exception {
        var properties = new java.util.Properties();
        properties.load(Files.newBufferedReader(Path.of(args[0])));
        var out = new StringBuilder();
        for (var name : properties.stringPropertyNames()) {
            for (var text : new String[] {name, properties.getProperty(name)}) {
                for (char c : text.toCharArray()) out.append(String.format("%04x", (int) c));
                out.append("\\n");
            }
        }
        System.out.print(out);
    }
}
"""


@pytest.mark.skipif(not shutil.which("java"), reason="no Java to ask")
def test_java_reads_a_properties_file_as_it_was_meant(tmp_path: Path) -> None:
    private_files.write_properties(tmp_path / "conf", NASTY)
    (tmp_path / "Read.java").write_text(JAVA)
    command = ["java", "-XX:TieredStopAtLevel=1", str(tmp_path / "Read.java"), str(tmp_path / "conf")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    texts = [bytes.fromhex(line).decode("utf-16-be") for line in answer.split("\n")[:-1]]
    assert dict(zip(texts[::2], texts[1::2])) == NASTY


def test_a_properties_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    private_files.write_properties(path, {"a": "1"})
    private_files.write_properties(path, {"b": "2"})
    assert path.read_text() == "b=2\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["conf"]
