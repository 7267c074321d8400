"""Where there is no browser: the tests that need one are skipped with a sentence, or, if told so, fail with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("anywidget")
SENTENCE = "there is no Chromium here, so nothing can be tested in it: apt-get install chromium"


@pytest.mark.parametrize(
    ("required", "said", "status"),
    [("", "1 skipped", 0), pytest.param("required", "1 error", 1, marks=pytest.mark.long)],
)
def test_a_missing_browser_is_said(tmp_path: Path, required: str, said: str, status: int) -> None:
    test = Path(__file__).with_name("test_widget_page.py")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"{test}::test_a_text_stays_a_text"]
    environment = os.environ | {"PATH": str(tmp_path), "GPTLIB_BROWSER": required}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert SENTENCE in done.stdout and said in done.stdout
