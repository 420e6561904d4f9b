# `nix flake check`: every scenario as NixOS machines that run its named tests, once as virtual machines
# and, where nixpkgs has them, once as systemd-nspawn containers; the unit tests with nixpkgs' versions;
# and that what is made from the modules and committed is up to date. The same named tests run without
# nixpkgs in `tests/systemd`. Not for what a test looks at: that is `named/`.
{
  # nixpkgs with our overlay, and with leave to use the tests' model (see test-model.nix).
  pkgs,
}:
let
  inherit (pkgs) lib;
  root = ../..;

  pkgsOfTests = pkgs.extend (
    final: _: { hybrid-ai-test-model = final.callPackage ./test-model.nix { }; }
  );

  # The named tests as the driver imports them, the package `tests.nixos`, and the files they read.
  scripts = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/modules/checked-settings.nix")
      (root + "/tests/__init__.py")
      (lib.fileset.fileFilter (file: !(file.hasExt "nix" || file.hasExt "pyc")) ./.)
    ];
  };

  isScenario = name: kind: kind == "regular" && lib.hasSuffix ".nix" name && name != "common.nix";
  scenarios = map (lib.removeSuffix ".nix") (
    lib.attrNames (lib.filterAttrs isScenario (builtins.readDir ./scenarios))
  );

  # A file of several nodes is a set that names them; anything else is one module.
  nodesOf =
    scenario:
    let
      path = ./scenarios + "/${scenario}.nix";
      content = import path;
    in
    if lib.isAttrs content && content ? nodes then content.nodes else { machine = path; };

  testScript = scenario: ''
    import importlib
    import sys

    sys.path.insert(0, "${scripts}")
    registry = importlib.import_module("tests.nixos.registry")
    start_all()
    registry.run({${
      lib.concatMapStringsSep ", " (name: "\"${name}\": ${name}") (lib.attrNames (nodesOf scenario))
    }}, "${scenario}")
  '';

  # A container takes its room from its host: what a scenario says of a virtual machine's is accepted
  # and means nothing.
  roomOfAVirtualMachine.options.virtualisation =
    lib.genAttrs
      [
        "cores"
        "diskSize"
        "memorySize"
      ]
      (
        name:
        lib.mkOption {
          type = lib.types.ints.positive;
          internal = true;
          description = "What `virtualisation.${name}` is in a virtual machine.";
        }
      );

  test =
    {
      scenario,
      suffix ? "",
      # Where the driver takes the machines from: `nodes` or `containers`.
      kind,
      extraModule ? { },
    }:
    lib.nameValuePair "nixos-${scenario}${suffix}" (
      pkgsOfTests.testers.runNixOSTest {
        name = "hybrid-ai-${scenario}${suffix}";
        ${kind} = lib.mapAttrs (_: node: {
          imports = [
            ../../modules
            extraModule
            node
          ];
        }) (nodesOf scenario);
        testScript = testScript scenario;
        # With software emulation, where there is no KVM.
        globalTimeout = 3 * 60 * 60;
      }
    );

  virtualMachines = map (
    scenario:
    test {
      inherit scenario;
      kind = "nodes";
    }
  ) scenarios;

  # Nix must be allowed to give a build several users: `auto-allocate-uids` and the system feature
  # `uid-range`.
  containers = map (
    scenario:
    test {
      inherit scenario;
      suffix = "-nspawn";
      kind = "containers";
      extraModule = roomOfAVirtualMachine;
    }
  ) scenarios;
  hasContainers = lib.pathExists (pkgs.path + "/nixos/modules/virtualisation/nspawn-container");

  sources =
    paths:
    lib.fileset.toSource {
      inherit root;
      fileset = lib.fileset.unions (map (path: root + "/${path}") paths);
    };

  # What `make render` makes of the modules, committed, is of these modules.
  rendered =
    pkgs.runCommand "hybrid-ai-rendered"
      {
        nativeBuildInputs = [ pkgs.python3 ];
        src = sources [
          "modules"
          "templates"
          "tests/__init__.py"
          "tests/nix"
          "tests/nixos/scenarios"
          "tests/systemd/rendered/DIGEST"
          "tests/testbed"
        ];
      }
      ''
        cd "$src"
        export PYTHONDONTWRITEBYTECODE=1
        found=$(python3 -c 'from tests.nix.digest import digest; print(digest())')
        if [ "$found" != "$(cat tests/systemd/rendered/DIGEST)" ]; then
          echo "tests/systemd/rendered is not of these modules: run make render" >&2
          exit 1
        fi
        touch "$out"
      '';

  optionsDocument =
    pkgs.runCommand "hybrid-ai-options-document"
      { made = pkgs.callPackage ../../pkgs/options-doc.nix { }; }
      ''
        diff -u ${root + "/docs/options.md"} "$made/share/doc/hybrid-ai/options.md" || {
          echo "docs/options.md is not of these modules: run make render" >&2
          exit 1
        }
        touch "$out"
      '';
in
{
  inherit (pkgs) hybrid-coordinator hybrid-ai-embedding-model lemonade-server;
  unit-tests = pkgs.hybrid-coordinator.tests.unit;
  options-document = optionsDocument;
  inherit rendered;
}
// lib.listToAttrs (virtualMachines ++ lib.optionals hasContainers containers)
