"""The rules of the house, held by a machine: read from the sources as text and syntax; only the list of commands is run.

ruff, mypy and import-linter hold the rest (`make check`). A rule stands here when no linter knows it, or when a
`noqa` must not get round it. Each test collects every breach and fails with their places, so one run shows all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from nirantar.cli.__main__ import COMMANDS

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = sorted((ROOT / "src").rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
ENTRY: Final = ROOT / "src/nirantar/cli/__main__.py"
TREES: Final = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (*SOURCES, *TESTS)}

LINES_MAX: Final = 400
LONG_BECAUSE: Final = "Long because"
"""A module over LINES_MAX carries a sentence in its docstring that begins with these words."""

VAGUE_NAMES: Final = frozenset({"util", "utils", "helper", "helpers", "common", "base", "manager", "misc"})
SHIPPED_FOR_TESTS: Final = frozenset({"nirantar.host.simulated", "nirantar.store.memory"})
"""Fakes that ship, so that others can test against them; nothing in the program itself imports them."""
PARTS_OF_A_FORMAT: Final = {
    "nirantar.tlog.entry_bundle": "C2SP's form of published entries, which a monitor of our tiles reads",
    "nirantar.fold.ownership": "who owns what, as data: the leases and desks that ask it are to come",
}
"""Complete and tested, but asked by no command yet, each with the reason to keep it. One that is reached leaves here."""

COMMITTED: Final = (
    "*.md", "*.toml", "Makefile", ".ci/*", "src/**/*", "tests/**/*", "docs/**/*", "tools/*", "changes/*", "requirements/*",
)
"""What is under version control. Not asked of git, so that an unpacked archive can be tested too."""

type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)


def place(path: Path, node: ast.AST | None = None) -> str:
    """Where a breach is: file and line from the project's root."""
    line = f":{node.lineno}" if node is not None and hasattr(node, "lineno") else ""
    return f"{path.relative_to(ROOT)}{line}"


def module_name(path: Path) -> str:
    """The dotted name of a source file; a package's for its `__init__.py`."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def none(breaches: Iterable[str]) -> None:
    """Fail with every breach on a line of its own, if there is one."""
    found = sorted(set(breaches))
    assert not found, "\n".join(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method in a tree, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, type_of_function))


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the last word of what is called: `json.decode(…)` gives "decode"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node, node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node, node.func.id


def text_files() -> Iterator[tuple[Path, str]]:
    """Every committed text file with its text."""
    for path in sorted({path for pattern in COMMITTED for path in ROOT.glob(pattern)}):
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def documents() -> dict[Path, str]:
    """The documents for people."""
    paths = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("*.md"))
    return {path: path.read_text(encoding="utf-8") for path in paths}


# --- the sources -----------------------------------------------------------------------------------------------------


def undocumented(path: Path, body: list[ast.stmt]) -> Iterator[str]:
    """Public classes, functions and methods of a body that have no docstring."""
    for node in body:
        if not isinstance(node, (*type_of_function, ast.ClassDef)) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(each).rpartition(".")[2] for each in node.decorator_list}
        if ast.get_docstring(node) is None and not decorators & {"overload", "setter", "override"}:
            yield f"{place(path, node)} {node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(path, node.body)


def test_everything_public_has_a_docstring() -> None:
    """A reader learns from the source itself what each public thing promises."""
    none(f"{place(path)} has no docstring" for path in (*SOURCES, *TESTS) if path.name != "__init__.py" or path in SOURCES
         if ast.get_docstring(TREES[path]) is None)
    none(breach for path in SOURCES for breach in undocumented(path, TREES[path].body))


def test_no_time_is_naive_and_only_host_reads_the_clock() -> None:
    """A time without a zone cannot be written, and a decision cannot read the clock behind host's back."""
    naive = {"utcnow", "utcfromtimestamp", "today"}
    none(f"{place(path, call)} {name}() gives a time without a zone"
         for path in SOURCES for call, name in calls(TREES[path]) if name in naive)
    none(f"{place(path, call)} datetime.now() reads the clock; take `host.now_us()`"
         for path in SOURCES if "host" not in path.parts
         for call, name in calls(TREES[path]) if name == "now" and "datetime" in ast.unparse(call.func))


def test_no_function_imports_save_one_lazy_loader() -> None:
    """Dependencies stand at the top of a file. One module may load others late, and its docstring says that it does."""
    none(f"{place(path, node)} imports inside {function.name}"
         for path in SOURCES for function in functions(TREES[path]) for node in ast.walk(function)
         if isinstance(node, ast.Import | ast.ImportFrom))
    loaders = [path for path in SOURCES for _, name in calls(TREES[path]) if name in {"import_module", "__import__"}]
    none(f"{place(path)} is not the one lazy loader, or its docstring does not say “lazy”"
         for path in loaders if path != loaders[0] or "lazy" not in str(ast.get_docstring(TREES[path])).lower())


def imported_by(path: Path, known: frozenset[str]) -> frozenset[str]:
    """The project's modules that a source file names: in imports, or, as the command line's entry does with the
    commands that it loads late, in a string that is the name of a module beside it."""
    named: set[str] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            named.add(node.module)
            named.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and path == ENTRY:
            named.add(f"nirantar.cli.{node.value}")
    return frozenset(named) & known


def test_no_module_is_dead() -> None:
    """Every module is reached from the command line; what nothing reaches is removed or wired in."""
    paths = {module_name(path): path for path in SOURCES}
    known = frozenset(paths)
    reached: set[str] = set()
    waiting = [module_name(ENTRY), *(known & SHIPPED_FOR_TESTS)]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(imported_by(paths[name], known))
            waiting.extend(known & {name.rpartition(".")[0]})
    packages = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    none(f"{place(paths[name])} is reached by nothing" for name in known - reached - packages - set(PARTS_OF_A_FORMAT))
    none(f"{name} is reached: take it off the list" for name in reached & set(PARTS_OF_A_FORMAT))


def test_a_long_file_says_why() -> None:
    """A file is one thought; one over the limit explains itself in its docstring."""
    none(f"{place(path)} has {count} lines and no sentence “{LONG_BECAUSE} …” in its docstring"
         for path in SOURCES if (count := len(path.read_text(encoding="utf-8").splitlines())) > LINES_MAX
         if LONG_BECAUSE not in str(ast.get_docstring(TREES[path])))


def names_given(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every name that a file itself gives: to classes, functions, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (*type_of_function, ast.ClassDef)):
            yield node, node.name
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node, node.attr


def test_names_are_the_fields_own() -> None:
    """No file or class has a name that says nothing, and “bundle” is always qualified: FHIR and the log both use it."""
    none(f"{place(path)} has a name that says nothing"
         for path in (*SOURCES, *TESTS) if VAGUE_NAMES & set(path.relative_to(ROOT).with_suffix("").parts))
    for path in (*SOURCES, *TESTS):
        given = list(names_given(TREES[path]))
        none(f"{place(path, node)} calls it “{name}”: which bundle?" for node, name in given if name.lower() == "bundle")
        none(f"{place(path, node)} {name} has a name that says nothing" for node, name in given
             if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helpers?|Manager)$|^Base[A-Z]", name))


def test_every_limit_is_enforced_somewhere() -> None:
    """A bound that nothing reads bounds nothing."""
    limits = ROOT / "src/nirantar/limits.py"
    named = [node.target.id for node in TREES[limits].body
             if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    rest = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path != limits)
    assert named
    none(f"{name} of limits.py is used nowhere" for name in named if not re.search(rf"\b{name}\b", rest))


def test_the_drawn_error_tree_is_the_real_one() -> None:
    """The picture in the docstring of errors.py shows each error under its real parent, and none that is not there."""
    tree = TREES[ROOT / "src/nirantar/errors.py"]
    drawn: dict[str, str] = {}
    above: dict[int, str] = {-1: "Exception"}
    for line in str(ast.get_docstring(tree)).splitlines():
        found = re.match(r"^    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)  ", line)
        if found:
            depth = len(found["branch"]) // 4
            above[depth] = found["name"]
            drawn[found["name"]] = above[depth - 1]
    real = {node.name: ast.unparse(node.bases[0]) for node in tree.body if isinstance(node, ast.ClassDef) and node.bases}
    assert drawn == real


# --- the tests -------------------------------------------------------------------------------------------------------


def is_checked(node: ast.AST, checking: frozenset[str]) -> bool:
    """Whether a tree holds an assertion, or calls one of the `checking` functions or one that is named for raising."""
    return any(isinstance(each, ast.Assert) for each in ast.walk(node)) or any(
        name in checking or re.match(r"(verify|check|expect)(_|$)", name) for _, name in calls(node))


def test_every_test_says_what_it_proves_and_can_fail() -> None:
    """Each test function has a docstring and an assertion, its own or in a function of the tests that it calls."""
    checking = frozenset({"raises", "fail"})
    everything = [(path, function) for path in TESTS for function in functions(TREES[path])]
    while True:
        more = checking | {function.name for _, function in everything
                           if not function.name.startswith("test") and is_checked(function, checking)}
        if more == checking:
            break
        checking = more
    tests = [(path, function) for path, function in everything if function.name.startswith("test_")]
    assert tests
    none(f"{place(path, test)} {test.name} does not say what it proves" for path, test in tests
         if ast.get_docstring(test) is None)
    none(f"{place(path, test)} {test.name} cannot fail" for path, test in tests if not is_checked(test, checking))


def test_no_test_is_skipped_and_nothing_is_mocked() -> None:
    """A missing service is a failure, and a shipped fake stands where others put a mock."""
    none(f"{place(path, node)} {ast.unparse(node)}" for path in TESTS for node in ast.walk(TREES[path])
         if isinstance(node, ast.Attribute) and node.attr in {"skip", "skipif", "xfail", "importorskip", "skipIf"}
         and "pytest" in ast.unparse(node))
    none(f"{place(path, node)} {ast.unparse(node)}" for path in TESTS for node in ast.walk(TREES[path])
         if isinstance(node, ast.Import | ast.ImportFrom) and re.search(r"\bmock\b", ast.unparse(node)))


# --- the documents ---------------------------------------------------------------------------------------------------


def commands() -> list[str]:
    """The names by which the command line knows its commands; none of them is loaded."""
    return list(COMMANDS)


def test_every_command_is_documented() -> None:
    """Whoever adds a command writes `nirantar NAME` into README.md or docs/commands.md."""
    text = "\n".join(text for path, text in documents().items()
                     if path in {ROOT / "README.md", ROOT / "docs/commands.md"})
    assert commands()
    none(f"`nirantar {name}` is in neither README.md nor docs/commands.md" for name in commands()
         if not re.search(rf"nirantar {name}\b", text))


def test_every_setting_is_documented() -> None:
    """Whoever adds a setting writes its name, in backquotes, into README.md or docs/configuration.md."""
    settings = [(path, field) for path in sorted((ROOT / "src/nirantar/app").rglob("*.py"))
                for node in ast.walk(TREES[path]) if isinstance(node, ast.ClassDef)
                if re.search(r"(Configuration|Settings|Config)$", node.name)
                for field in node.body if isinstance(field, ast.AnnAssign)]
    text = "\n".join(text for path, text in documents().items()
                     if path in {ROOT / "README.md", ROOT / "docs/configuration.md"})
    assert settings
    none(f"{place(path, field)} `{name}` is in neither README.md nor docs/configuration.md" for path, field in settings
         if (name := ast.unparse(field.target)) and f"`{name}`" not in text)


def anchors(markdown: str) -> set[str]:
    """The anchors of a document's headings, as a forge makes them."""
    headings = re.findall(r"^#+ +(.+)$", markdown, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    """Each link between documents names a file that is there, and a heading that is in it."""
    texts = documents()
    breaches = []
    for path, text in texts.items():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(texts[there])):
                breaches.append(f"{place(path)} links to {target}")
    none(breaches)


def test_every_rfd_is_in_the_table() -> None:
    """The list of decisions leaves none out, and each file says its number and a state."""
    index = (ROOT / "docs/rfd/README.md").read_text(encoding="utf-8")
    decisions = [path for path in (ROOT / "docs/rfd").glob("*.md") if path.name != "README.md"]
    assert decisions
    none(f"{place(path)} is not in the table of docs/rfd/README.md" for path in decisions if f"({path.name})" not in index)
    none(f"{place(path)} does not begin with its number, or has no state" for path in decisions
         if not re.match(rf"# RFD {path.name[:4]}: .+\n\nState: (proposed|decided|replaced by)", path.read_text("utf-8")))


def test_news_fragments_are_named_and_written() -> None:
    """Each file in changes/ has a kind that the changelog knows and a whole sentence in it."""
    kinds = "added|changed|fixed|removed|security"
    fragments = [path for path in (ROOT / "changes").glob("*") if path.name != "README.md"]
    none(f"{place(path)} is not called NAME.KIND.md with a KIND of {kinds}" for path in fragments
         if not re.fullmatch(rf"[a-z0-9]+(-[a-z0-9]+)*\.({kinds})\.md", path.name))
    none(f"{place(path)} is not a sentence" for path in fragments
         if not re.fullmatch(r"[A-Z`].*[.!]\n", path.read_text(encoding="utf-8"), flags=re.DOTALL))


def test_committed_text_names_no_machine() -> None:
    """Nothing depends on one developer's folders or one package registry."""
    machine = re.compile(r"(?<![\w./~-])/(?:work|root|home/[a-z]+|Users/\w+)/|(?:pypi|pythonhosted|npmjs)\.(?:org|com)")
    none(f"{place(path)}:{number} {found[0]}" for path, text in text_files()
         for number, line in enumerate(text.splitlines(), start=1) if (found := machine.search(line)))


def test_sources_name_only_documents_that_are_there() -> None:
    """A docstring that sends the reader to a document sends him to one that he has."""
    names = {path.name for path in documents()}
    none(f"{place(path)} names {name}" for path in (*SOURCES, *TESTS) if path != Path(__file__).resolve()
         for name in re.findall(r"\b[\w-]+\.md\b", path.read_text(encoding="utf-8")) if name not in names)


def test_pinned_lists_agree_and_carry_hashes() -> None:
    """What is tested is what runs: each runtime pin is a development pin, and no pin lacks its hash."""
    pins = {name: (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8") for name in ("build", "runtime", "dev")}
    versions = {name: set(re.findall(r"^(\S+==\S+)", text, flags=re.MULTILINE)) for name, text in pins.items()}
    assert versions["runtime"] | versions["build"] <= versions["dev"]
    none(f"requirements/{name}.txt pins {pin} without a hash" for name, text in pins.items()
         for pin in re.findall(r"^(\S+==\S+)(?![^\n]*\\\n +--hash)", text, flags=re.MULTILINE))


def test_continuous_integration_runs_what_the_readme_names() -> None:
    """The README's test command is the one that continuous integration runs, and its first command is the demo."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = {line.strip() for block in re.findall(r"^```.*?^```", readme, flags=re.MULTILINE | re.DOTALL)
             for line in block.splitlines()}
    none(f"README.md does not name `{command}` in a code block" for command in ("make demo", "make test")
         if not any(re.match(rf"(\$ )?{command}\b", line) for line in lines))
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
