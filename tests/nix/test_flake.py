"""The flake: its pin, its outputs' shape, and that `nix flake check` can evaluate them.

nixpkgs itself is not at hand, so the outputs are evaluated with the stand-in in `flake/nixpkgs`,
whose packages are names. Not for what the packages contain or the modules come to.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hybrid_coordinator.configuration import validate_settings
from tests.nix.evaluation import HERE, REPOSITORY, evaluate
from tests.testbed.nix import NixError, run_nix

SYSTEMS = ["aarch64-linux", "x86_64-linux"]
SCENARIOS = sorted(
    path.stem
    for path in (REPOSITORY / "tests/nixos/scenarios").glob("*.nix")
    if path.name != "common.nix"
)
CHECKS = {
    "hybrid-coordinator",
    "hybrid-ai-embedding-model",
    "lemonade-server",
    "unit-tests",
    "options-document",
    "rendered",
    *(f"nixos-{scenario}" for scenario in SCENARIOS),
}
_CONTAINERS = "nixos/modules/virtualisation/nspawn-container"
# What the flake reads; the rest of a working tree is not copied.
_FLAKE = ("flake.nix", "flake.lock", "coordinator", "docs", "modules", "pkgs", "templates", "tests")

_OUTPUTS = """
let
  stub = (import "${nixpkgs}/flake.nix").outputs { } // { outPath = nixpkgs; };
  self = (import "${repository}/flake.nix").outputs { inherit self; nixpkgs = stub; };
in
"""


@pytest.fixture(scope="module")
def nixpkgs(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in with the library beside it, as the flake it is."""
    folder = tmp_path_factory.mktemp("flake") / "nixpkgs"
    shutil.copytree(HERE / "flake" / "nixpkgs", folder)
    shutil.copytree(library / "lib", folder / "lib", ignore=shutil.ignore_patterns("tests"))
    return folder


def of_outputs(nixpkgs: Path, expression: str) -> Any:
    """An expression over the flake's outputs, `self`, as JSON data."""
    return evaluate(
        _OUTPUTS + expression, nixpkgs=str(nixpkgs.resolve()), repository=str(REPOSITORY)
    )


def test_the_flake_only_delegates() -> None:
    lines = (REPOSITORY / "flake.nix").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120


def test_nixpkgs_is_pinned_to_the_release_that_was_looked_at() -> None:
    lock = json.loads((REPOSITORY / "flake.lock").read_text(encoding="utf-8"))
    assert lock["version"] == 7
    assert lock["nodes"] == {
        "nixpkgs": {
            "locked": {
                "lastModified": 1786313170,
                "narHash": "sha256-9BG7OgUWdu0ONDO5X2q6+K4bsuBITkX/3W4nNJu1Ito=",
                "owner": "NixOS",
                "repo": "nixpkgs",
                "rev": "fcb8fcd6bf2d0adecae5bd491afaaaf8311b758d",
                "type": "github",
            },
            "original": {
                "owner": "NixOS",
                "ref": "nixos-26.05",
                "repo": "nixpkgs",
                "type": "github",
            },
        },
        lock["root"]: {"inputs": {"nixpkgs": "nixpkgs"}},
    }


def test_every_output_is_there_for_both_systems(nixpkgs: Path) -> None:
    shape = of_outputs(
        nixpkgs,
        """{
          top = builtins.attrNames self;
          modules = builtins.attrNames self.nixosModules;
          overlays = builtins.attrNames self.overlays;
          templates = builtins.attrNames self.templates;
          of = builtins.mapAttrs (system: _: {
            packages = builtins.attrNames self.packages.${system};
            apps = builtins.attrNames self.apps.${system};
            devShells = builtins.attrNames self.devShells.${system};
            formatter = self.formatter.${system}.name;
          }) self.packages;
        }""",
    )
    assert shape["top"] == [
        "apps",
        "checks",
        "devShells",
        "formatter",
        "nixosModules",
        "overlays",
        "packages",
        "templates",
    ]
    assert shape["modules"] == ["default", "hybrid-ai"]
    assert shape["overlays"] == shape["templates"] == ["default"]
    assert sorted(shape["of"]) == SYSTEMS
    for system in SYSTEMS:
        assert shape["of"][system] == {
            "packages": [
                "default",
                "embedding-model",
                "hybrid-coordinator",
                "lemonade-server",
                "options-doc",
            ],
            "apps": ["default"],
            "devShells": ["default"],
            "formatter": "nixfmt-tree",
        }


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_scenario_is_a_check_and_a_container_where_nixpkgs_has_them(
    nixpkgs: Path, system: str, tmp_path: Path
) -> None:
    names = f"builtins.attrNames self.checks.{system}"
    assert set(of_outputs(nixpkgs, names)) == CHECKS
    newer = tmp_path / "nixpkgs"
    shutil.copytree(nixpkgs, newer, symlinks=True)
    (newer / _CONTAINERS).mkdir(parents=True)
    containers = {f"nixos-{scenario}-nspawn" for scenario in SCENARIOS}
    assert set(of_outputs(newer, names)) == CHECKS | containers


def test_every_derivation_of_the_flake_can_be_evaluated(nixpkgs: Path) -> None:
    derivations = of_outputs(
        nixpkgs,
        """builtins.mapAttrs (system: _:
          map (derivation: derivation.drvPath) (
            builtins.attrValues self.packages.${system}
            ++ builtins.attrValues self.checks.${system}
            ++ builtins.attrValues self.devShells.${system}
          )) self.packages""",
    )
    assert all(path.endswith(".drv") for system in SYSTEMS for path in derivations[system])
    assert set(derivations["x86_64-linux"]).isdisjoint(derivations["aarch64-linux"])


def test_a_scenarios_script_runs_its_named_tests_on_the_machines_it_has(nixpkgs: Path) -> None:
    tests = of_outputs(
        nixpkgs,
        """builtins.mapAttrs (_: check: {
          machines = builtins.attrNames check.arguments.nodes;
          script = check.arguments.testScript;
        }) (nixpkgsLib.filterAttrs (name: _: nixpkgsLib.hasPrefix "nixos-" name)
          self.checks.x86_64-linux)""".replace("nixpkgsLib", "stub.lib"),
    )
    assert tests["nixos-two-coordinators"]["machines"] == ["first", "second", "stores"]
    assert tests["nixos-minimal"]["machines"] == ["machine"]
    for name, test in tests.items():
        called = _call_of_run(test["script"])
        assert called["scenario"] == name.removeprefix("nixos-")
        assert called["machines"] == {machine: machine for machine in test["machines"]}


def test_the_script_finds_the_named_tests_and_the_files_they_read(nixpkgs: Path) -> None:
    script = of_outputs(nixpkgs, "self.checks.x86_64-linux.nixos-minimal.arguments.testScript")
    folder = script.split('sys.path.insert(0, "')[1].split('"')[0]
    listed = evaluate(
        """rec {
          names = path: builtins.attrNames (builtins.readDir (folder + path));
          result = {
            tests = names "/tests";
            nixos = names "/tests/nixos";
            modules = names "/modules";
          };
        }.result""",
        folder=folder,
    )
    assert listed["tests"] == ["__init__.py", "nixos"]
    assert listed["modules"] == ["checked-settings.nix"]
    assert {"enabled.py", "named", "registry.py", "tools", "upgrade-state"} <= set(listed["nixos"])
    assert not [name for name in listed["nixos"] if name.endswith(".nix")]


def test_the_default_app_serves_with_settings_that_the_coordinator_accepts(nixpkgs: Path) -> None:
    run = of_outputs(
        nixpkgs,
        """rec {
          pkgs = stub.legacyPackages.x86_64-linux.extend self.overlays.default;
          app = pkgs.callPackage "${repository}/pkgs/run.nix" {
            formats.json = _: { generate = _: value: "<${builtins.toJSON value}>"; };
          };
          result = {
            script = app.arguments.text;
            model = "${pkgs.hybrid-ai-embedding-model}";
            coordinator = "${pkgs.hybrid-coordinator}";
            program = self.apps.x86_64-linux.default.program;
          };
        }.result""",
    )
    assert run["program"].endswith("/bin/hybrid-ai-run")
    assert f'exec {run["coordinator"]}/bin/hybrid-coordinator serve "$@"' in run["script"]
    given = json.loads(run["script"].split("<", 1)[1].rsplit(">", 1)[0])
    settings = validate_settings(given)
    assert str(settings.embedder.folder) == run["model"]
    assert sorted(settings.backends) == ["lemonade", "ollama"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_coordinator_has_its_embedder_on_every_system(nixpkgs: Path, system: str) -> None:
    checked = of_outputs(
        nixpkgs,
        f"""map (package: package.arguments.pythonImportsCheck or [ ])
          (builtins.filter (package: package.pname == "fastembed")
            self.packages.{system}.hybrid-coordinator.arguments.dependencies)""",
    )
    assert checked == [[] if system == "aarch64-linux" else ["fastembed"]]


def test_the_coordinators_dependencies_are_those_of_its_project_file(nixpkgs: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    text = (REPOSITORY / "coordinator/pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    wanted = {_name(requirement) for requirement in project["dependencies"]} | {"hiredis"}
    extras = project["optional-dependencies"]
    wanted |= {_name(r) for r in (*extras["embeddings"], *extras["languages"], *extras["tracing"])}
    found = of_outputs(
        nixpkgs,
        """map (package: package.pname)
          self.packages.x86_64-linux.hybrid-coordinator.arguments.dependencies""",
    )
    # TSX is a package of its own in nixpkgs, and its grammar for Kotlin is another.
    assert set(found) == wanted - {"tree-sitter-kotlin"} | {"tree-sitter-tsx"}


def test_the_dashboards_charts_are_those_of_the_lock_file(nixpkgs: Path) -> None:
    text = (REPOSITORY / "requirements/assets/package-lock.json").read_text(encoding="utf-8")
    locked = json.loads(text)["packages"]["node_modules/uplot"]
    url, checksum, patch = of_outputs(
        nixpkgs,
        """let package = self.packages.x86_64-linux.hybrid-coordinator; in
          [ package.charts.arguments.url package.charts.arguments.hash package.arguments.postPatch ]
        """,
    )
    assert url == f"mirror://npm/uplot/-/uplot-{locked['version']}.tgz"
    assert checksum == locked["integrity"]
    for name in ("uPlot.js", "uPlot.css", "LICENSE.txt"):
        assert f'"$vendor/{name}"' in patch


def test_the_options_document_as_a_package_is_the_committed_one(nixpkgs: Path) -> None:
    made = of_outputs(nixpkgs, "self.packages.x86_64-linux.options-doc.arguments.text")
    committed = (REPOSITORY / "docs/options.md").read_text(encoding="utf-8")
    assert made == committed, "Run make render and commit what it writes."


def test_the_embedding_model_says_the_size_that_the_modules_go_by(nixpkgs: Path) -> None:
    said, assumed = of_outputs(
        nixpkgs,
        """let
          harness = import "${here}/packages.nix" { inherit (stub) lib; };
        in
        [
          self.packages.aarch64-linux.embedding-model.dimensions
          harness.hybrid-ai-embedding-model.dimensions
        ]""",
    )
    assert said == assumed == 384


def test_the_default_module_brings_the_packages_and_the_options(nixpkgs: Path) -> None:
    module = of_outputs(
        nixpkgs,
        """{
          imports = map toString self.nixosModules.default.imports;
          added = builtins.attrNames (
            (builtins.head self.nixosModules.default.nixpkgs.overlays) { } { });
        }""",
    )
    assert module["imports"] == [str(REPOSITORY / "modules")]
    assert module["added"] == ["hybrid-ai-embedding-model", "hybrid-coordinator", "lemonade-server"]


def test_nix_flake_check_accepts_every_output(nixpkgs: Path, tmp_path: Path) -> None:
    flake = tmp_path / "flake"
    flake.mkdir()
    for name in _FLAKE:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(
                source, flake / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            shutil.copy(source, flake / name)
    check = ["flake", "check", f"path:{flake}", "--no-build", "--all-systems", "--offline"]
    override = ["--no-write-lock-file", "--override-input", "nixpkgs", f"path:{nixpkgs}"]
    run_nix("nix", [*check, *override])
    broken = flake / "pkgs" / "embedding-model" / "package.nix"
    broken.write_text(broken.read_text().replace("runCommand", "runComand"))
    with pytest.raises(NixError, match="runComand"):
        run_nix("nix", [*check, *override])


def _name(requirement: str) -> str:
    return requirement.split(">")[0].split("[")[0]


def _call_of_run(script: str) -> dict[str, Any]:
    """Run a test script with stand-ins of driver and registry; what the registry was asked."""
    called: dict[str, Any] = {}

    class Registry:
        @staticmethod
        def run(machines: dict[str, str], scenario: str) -> None:
            called.update(machines=machines, scenario=scenario)

    class Importlib:
        @staticmethod
        def import_module(name: str) -> type[Registry]:
            assert name == "tests.nixos.registry"
            return Registry

    body = "\n".join(
        line for line in script.splitlines() if not line.startswith(("import ", "sys.path"))
    )
    names = {"machine": "machine", "first": "first", "second": "second", "stores": "stores"}
    started: list[bool] = []
    exec(body, {**names, "importlib": Importlib, "start_all": lambda: started.append(True)})
    assert started
    return called
