"""Results of tests as JUnit XML, the form that CI systems read: a suite for each file, a case for each test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

from hub.workers.bench import CaseResult
from hub.workers.flowtest import FileResult

#: characters that XML 1.0 has no way to write
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(results: Sequence[FileResult], file: Path) -> None:
    """Writes the file. Raises: OSError."""
    root = xml.Element("testsuites", name="hub test")
    for result in results:
        root.append(_suite(result))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    xml.indent(root)
    xml.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _suite(result: FileResult) -> xml.Element:
    failures = sum(not case.passed for case in result.cases)
    suite = xml.Element("testsuite", name=_text(result.file))
    suite.set("tests", str(len(result.cases) + bool(result.problems)))
    suite.set("failures", str(failures))
    suite.set("errors", str(int(bool(result.problems))))
    suite.set("skipped", "0")
    suite.set("time", f"{sum(case.seconds for case in result.cases):.3f}")
    suite.extend(_case(result, case) for case in result.cases)
    if result.problems:
        broken = xml.SubElement(suite, "testcase", name="the file", classname=_class(result), time="0.000")
        error = xml.SubElement(broken, "error", type="broken", message=_text(result.problems[0]))
        error.text = _text("\n".join(result.problems))
    return suite


def _case(result: FileResult, case: CaseResult) -> xml.Element:
    element = xml.Element("testcase", name=_text(case.name), classname=_class(result), time=f"{case.seconds:.3f}")
    file, line, _ = case.place.rsplit(":", 2)
    element.set("file", _text(file))
    element.set("line", line)
    if case.failures:
        first = case.failures[0]
        message = f"{first['place']}: {first['what']}: expected {first['expected']}, found {first['found']}"
        failure = xml.SubElement(element, "failure", type="expectation", message=_text(message))
        failure.text = _text(
            "\n".join(
                f"{each['place']}: {each['what']}\n  expected {each['expected']}\n  found    {each['found']}"
                for each in case.failures
            )
        )
    return element


def _class(result: FileResult) -> str:
    """Shown as a package by CI systems, which split at dots."""
    return _text(result.file.removesuffix(".test.yaml").replace("/", "."))


def _text(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
