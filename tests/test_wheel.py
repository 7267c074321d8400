"""The package from outside: a wheel, installed where nothing of the clone and none of the extras is in reach.

The environment is a bare venv. What gptlib needs is lent to it from this one by a `.pth` file; what only the extras
bring is refused by an import hook, so that it is as if it were not installed.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ["matplotlib", "anywidget", "ipywidgets", "traitlets", "jupyterlab", "IPython", "PIL", "tiktoken"]
EXTRAS += ["huggingface_hub", "transformers", "tensorboard", "pytest", "beartype", "nbdev"]
REFUSE = f"""import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
"""


@dataclass(frozen=True)
class Installed:
    """The wheel, and the environment that it was installed into."""

    wheel: Path
    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / "venv" / ("Scripts" if os.name == "nt" else "bin")

    @property
    def packages(self) -> Path:
        names = {"base": str(self.folder / "venv"), "platbase": str(self.folder / "venv")}
        return Path(sysconfig.get_path("purelib", "venv", names))

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """A command of that environment, in a folder with nothing in it."""
        (self.folder / "elsewhere").mkdir(exist_ok=True)
        hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "GPTLIB_DEVICE")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        return subprocess.run(
            list(map(str, command)),
            cwd=self.folder / "elsewhere",
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    def python(self, code: str) -> str:
        """What a few lines print there."""
        done = self.run(self.scripts / "python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout


def tracked() -> list[Path]:
    """The files that git knows and that are there; outside of a clone the question has no answer."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is not a git clone")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A wheel made of the tracked files only, with the setuptools that is here, and no network."""
    folder = tmp_path_factory.mktemp("with a space")
    for path in tracked():
        copy = folder / "source" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    make = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), "."]
    done = subprocess.run(make, cwd=folder / "source", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("gptlib-*.whl")
    venv.create(folder / "venv", with_pip=False)
    found = Installed(wheel, folder)
    install = [*pip, "--python", str(found.scripts / "python"), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lent = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (found.packages / "lent.pth").write_text("\n".join(lent) + "\n", encoding="utf-8", newline="\n")
    (found.packages / "sitecustomize.py").write_text(REFUSE, encoding="utf-8", newline="\n")
    return found


# ---- what is in it


def test_the_wheel_holds_the_package_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = set(archive.namelist())
    files = tracked()
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.is_relative_to(ROOT / "gptlib")}
    data = {path.relative_to(ROOT / "data").as_posix() for path in files if path.is_relative_to(ROOT / "data")}
    expected |= {f"gptlib/corpora/{name}" for name in data}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"gptlib/py.typed", "gptlib/corpora/model/model.safetensors", "gptlib/static/common.js"} <= expected
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert installed.wheel.stat().st_size < 8_000_000, "it was 4.6 MB, and 4.3 MB of that are the model"


def test_the_wheel_says_what_it_needs(installed: Installed) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(installed.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = message_from_bytes(archive.read(name))
    needed = [line.replace(" ", "") for line in said.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(needed) == sorted(project["dependencies"])
    assert said["Requires-Python"] == project["requires-python"]
    assert {"notebooks", "fast", "hub"} <= set(said.get_all("Provides-Extra", []))


# ---- what it does there


def test_importing_gptlib_is_quick_and_light(installed: Installed) -> None:
    """Measured: 0.02 s. Two seconds would be felt, and torch alone takes more than one."""
    code = "import sys, time; t = time.perf_counter(); import gptlib; took = time.perf_counter() - t; import json;"
    code += "print(json.dumps([took, gptlib.__file__, sorted({m.partition('.')[0] for m in sys.modules})]))"
    runs = [json.loads(installed.python(code)) for _ in range(3)]
    assert min(took for took, _, _ in runs) < 2
    _, place, modules = runs[0]
    assert Path(place).is_relative_to(installed.packages), "it is the installed one that is tested"
    assert not {"torch", "numpy", "tyro", *EXTRAS} & set(modules)


def test_each_name_is_there_or_says_what_to_install(installed: Installed) -> None:
    code = """
import gptlib, json
found = {}
for name in gptlib.__all__:
    try:
        found[name] = str(type(getattr(gptlib, name)))
    except ModuleNotFoundError as error:
        found[name] = str(error)
for module in ("viz",):
    try:
        __import__(f"gptlib.{module}")
    except ModuleNotFoundError as error:
        found[module] = str(error)
print(json.dumps(found))
"""
    found = json.loads(installed.python(code))
    missing = {name for name, text in found.items() if "not installed" in text}
    assert missing == {"AttentionView", "TokenView", "SamplerView", "LossView", "side_by_side", "logit_lens", "viz"}
    for name in missing:
        assert re.fullmatch(
            r".* needs? anywidget, which is not installed: pip install 'gptlib\[notebooks\]'", found[name]
        )
    assert found["complete"] == "<class 'function'>" and found["GPT"] == "<class 'type'>"


def test_the_shipped_model_writes_there(installed: Installed) -> None:
    import gptlib

    code = "import gptlib; model, tokenizer = gptlib.load('tales');"
    code += "print(gptlib.complete(model, tokenizer, 'Once upon a time', 40, temperature=0), end='')"
    model, tokenizer = gptlib.load("tales")
    assert installed.python(code) == gptlib.complete(model, tokenizer, "Once upon a time", 40, temperature=0)


def test_the_corpora_are_there(installed: Installed) -> None:
    code = "from gptlib.corpora import tales; from gptlib import load_text; text = load_text('tales');"
    code += "print(len(text), tales.score(text.split('\\n<|endoftext|>\\n')[0].strip()) > 0)"
    length, scored = installed.python(code).split()
    assert int(length) > 1_000_000 and scored == "True"


@pytest.mark.parametrize("start", ["script", "module"])
def test_the_commands_work_there(installed: Installed, start: str) -> None:
    program = [installed.scripts / "gptlib"] if start == "script" else [installed.scripts / "python", "-m", "gptlib"]
    told = installed.run(*program, "--help")
    assert told.returncode == 0 and all(name in told.stdout for name in ("train", "generate", "doctor")), told.stderr
    if start == "module":
        return
    settings = ["--run", "tales", "--prompt", "Once upon a time", "--max_new_tokens", "20"]
    written = installed.run(*program, "generate", *settings)
    assert written.returncode == 0 and written.stdout.startswith("Once upon a time "), written.stderr
    examined = installed.run(*program, "doctor")
    assert examined.returncode == 0 and "forward pass agrees" in examined.stdout, examined.stderr
    refused = installed.run(*program, "generate", "--run", "nowhere", "--prompt", "Once")
    assert refused.returncode == 2 and "nowhere" in refused.stderr and "Traceback" not in refused.stderr


def test_the_script_of_a_caller_runs_there(installed: Installed) -> None:
    done = installed.run(installed.scripts / "python", ROOT / "tests" / "caller.py")
    assert (done.returncode, done.stdout) == (0, "2 Once 1 (2, 8, 2, 8)\n"), done.stderr


# ---- what a type checker says of a script that uses it


def mypy(installed: Installed, script: Path) -> tuple[int, str]:
    """Strict, from a folder without the clone, so that it reads the package that is installed."""
    checker = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary"]
    places = ["--python-executable", installed.scripts / "python", "--cache-dir", installed.folder / "mypy"]
    done = installed.run(*checker, *places, script)
    return done.returncode, done.stdout + done.stderr


MISUSE = {
    'text: int = gptlib.load_text("tales")': "assignment",
    "gptlib.load_text(3)": "arg-type",
    'gptlib.GPTConfig(n_layer="four")': "arg-type",
    "gptlib.GPTConfig(layers=4)": "call-arg",
    'gptlib.GPTConfig(gelu="relu")': "arg-type",
    "gptlib.TrainConfig(learning_rate=1e-3)": "call-arg",
    "gptlib.GPTConfig().n_layer = 5": "misc",
    "gptlib.BPETokenizer.train('text')": "call-arg",
    "gptlib.CharTokenizer('ab').merges": "attr-defined",
    "gptlib.complete(model, tokenizer, ['Once'])": "arg-type",
    "gptlib.generate(model, torch.ones(1, 2), '20')": "arg-type",
    "gptlib.train(model, steps=3)": "call-arg",
    "gptlib.from_hf('gpt2').generate()": "operator",
    "gptlib.tell_me_a_story()": "attr-defined",
    "gptlib.attention_view": "attr-defined",
}


def test_a_type_checker_passes_the_script_of_a_caller(installed: Installed) -> None:
    assert mypy(installed, ROOT / "tests" / "caller.py") == (0, "")


def test_a_type_checker_sees_each_misuse(installed: Installed, tmp_path: Path) -> None:
    """One line each: where a name had no type, any use of it would pass."""
    script = tmp_path / "misuse.py"
    lines = ["import torch", "import gptlib", 'model, tokenizer = gptlib.load("tales")', *MISUSE]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    _, said = mypy(installed, script)
    kinds = {int(line): kind for line, kind in re.findall(r":(\d+): error: .*\[([\w-]+)\]$", said, re.MULTILINE)}
    unseen = [line for number, line in enumerate(lines, start=1) if line in MISUSE and number not in kinds]
    assert not unseen, said
    assert {lines[number - 1]: kind for number, kind in kinds.items()} == MISUSE, said


def test_without_its_mark_the_package_would_have_no_types(installed: Installed, tmp_path: Path) -> None:
    """That is how a missing py.typed would show: so the two tests above see it."""
    mark = installed.packages / "gptlib" / "py.typed"
    mark.rename(tmp_path / "py.typed")
    try:
        code, said = mypy(installed, ROOT / "tests" / "caller.py")
    finally:
        shutil.move(tmp_path / "py.typed", mark)
    assert code == 1 and "py.typed" in said


def test_type_checkers_are_told_of_the_names_that_are_there() -> None:
    """`__init__` says the names twice: once for Python, which imports late, and once for those who only read."""
    import gptlib

    body = ast.parse((ROOT / "gptlib" / "__init__.py").read_text(encoding="utf-8")).body
    block = next(node for node in body if isinstance(node, ast.If))
    told = {a.name: (n.module, a.asname) for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert told == {name: (f"gptlib.{home}", name) for name, home in gptlib._HOME.items()}
    assert [*gptlib._HOME] == gptlib.__all__[1:]
