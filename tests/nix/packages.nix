# Stand-ins of nixpkgs' packages and of its functions that make small files. A package has a fixed
# path in the store, so what is rendered is the same on every machine; a generated file has its
# real one. A package that is not listed is an error. Not for building any package: see `pkgs/`
# for those.
{
  lib,
  # What `hybrid-coordinator` is. By default a name only; with { folder; digest; } it is what stands in
  # that folder's bin, and the check of the settings is built with it. The digest tells its versions
  # apart: the folder's name is the same for all.
  coordinator ? null,
}:
let
  # 32 characters of the store's alphabet, which has no "e".
  digest =
    name:
    lib.replaceStrings [ "e" ] [ "x" ] (lib.substring 0 32 (builtins.hashString "sha256" name));

  package =
    name: attributes:
    let
      self = {
        type = "derivation";
        inherit name;
        pname = name;
        version = "0";
        outPath = "${builtins.storeDir}/${digest name}-${name}";
        outputs = [ "out" ];
        outputName = "out";
        out = self;
        system = "x86_64-linux";
        meta.mainProgram = name;
        override = _: self;
        overrideAttrs = _: self;
        passthru = { };
      }
      // attributes;
    in
    self;

  # name → main program, where it is not the name.
  names = {
    bash = "bash";
    cacert = null;
    coreutils = null;
    curl = "curl";
    findutils = null;
    gawk = "gawk";
    gnugrep = "grep";
    gnused = "sed";
    grafana = "grafana";
    jq = "jq";
    llama-cpp = "llama";
    llama-cpp-rocm = "llama";
    llama-cpp-vulkan = "llama";
    nginx = "nginx";
    nix = "nix";
    ollama = "ollama";
    ollama-cpu = "ollama";
    ollama-cuda = "ollama";
    ollama-rocm = "ollama";
    ollama-vulkan = "ollama";
    openssl = "openssl";
    parallel = "parallel";
    prometheus = "prometheus";
    python3 = "python3";
    qdrant = "qdrant";
    qdrant-web-ui = null;
    redis = "redis-cli";
    systemd = "systemctl";
    util-linux = null;
    # ours, by our overlay
    hybrid-coordinator = "hybrid-coordinator";
    hybrid-ai-embedding-model = null;
    lemonade-server = "lemond";
    # a model of the tests, by theirs
    hybrid-ai-test-model = null;
  };

  # Where modules decide by it: as in the pinned nixpkgs.
  versions.redis = "8.2.3";

  # What our own packages say of themselves.
  facts.hybrid-ai-embedding-model.dimensions = 384;

  stubs = lib.mapAttrs (
    name: program:
    package name (
      {
        version = versions.${name} or "0";
        meta = lib.optionalAttrs (program != null) { mainProgram = program; };
      }
      // facts.${name} or { }
    )
  ) names;

  # A file or folder that a shell makes. Only what does not depend on this machine may be in `script`.
  build =
    name: environment: script:
    derivation (
      {
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [
          "-euc"
          script
        ];
        # Of Debian, and of NixOS.
        PATH = "/usr/bin:/bin:/run/current-system/sw/bin";
      }
      // environment
    );

  isPlain = text: lib.all (c: !(c ? outputs)) (lib.attrValues (builtins.getContext text));

  writeText =
    name: text:
    if isPlain text then
      package name {
        outPath = builtins.toFile name text;
        meta = { };
      }
    else
      build name {
        inherit text;
        passAsFile = [ "text" ];
      } "cp \"$textPath\" \"$out\"";

  json = import ./nixos/json.nix { inherit lib; };

  format = extension: _: {
    inherit (json) type;
    generate = name: value: writeText name (json.pretty value + "\n");
  };

  # The generated JSON files that some strings refer to.
  filesOf =
    values:
    let
      strings = map (v: "${v}") (lib.filter lib.isStringLike values);
      paths = lib.concatMap (s: lib.attrNames (builtins.getContext s)) strings;
    in
    map (path: builtins.appendContext path { ${path}.path = true; }) (
      lib.filter (lib.hasSuffix ".json") paths
    );

  interpreter = "${stubs.bash}/bin/bash";

  runCommand =
    name: environment: script:
    # The check of the settings returns its input unchanged; the file is rendered as it is here, since
    # its checker is a package that this harness does not have. `checked` builds the real thing.
    if lib.hasInfix "check-config" script && coordinator == null then
      package name {
        outPath = lib.head (filesOf (lib.attrValues environment ++ [ script ]));
        meta = { };
      }
    else
      build name (
        environment // lib.optionalAttrs (coordinator != null) { inherit (coordinator) digest; }
      ) script;
in
stubs
// lib.optionalAttrs (coordinator != null) {
  hybrid-coordinator = package "hybrid-coordinator" { outPath = coordinator.folder; };
}
// {
  inherit lib writeText runCommand;
  runCommandLocal = runCommand;
  runtimeShell = interpreter;
  formats.json = format "json";
  formats.yaml = format "yaml";
  stdenv.hostPlatform = {
    system = "x86_64-linux";
    isx86_64 = true;
    isAarch64 = false;
    isLinux = true;
  };
  writeShellScript = name: text: writeText name "#!${interpreter}\n${text}";
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      ...
    }:
    build name {
      text = ''
        #!${interpreter}
        set -o errexit
        set -o nounset
        set -o pipefail

        ${lib.optionalString (
          runtimeInputs != [ ]
        ) "export PATH=\"${lib.makeBinPath runtimeInputs}:$PATH\"\n"}
        ${text}
      '';
      passAsFile = [ "text" ];
    } ''
      mkdir -p "$out/bin"
      cp "$textPath" "$out/bin/${name}"
      chmod 0755 "$out/bin/${name}"
    ''
    // {
      meta.mainProgram = name;
    };
  linkFarm =
    name: entries:
    let
      pairs =
        if lib.isList entries then
          entries
        else
          lib.mapAttrsToList (name: path: { inherit name path; }) entries;
    in
    build name { } (
      "mkdir -p \"$out\"\n"
      + lib.concatMapStrings (e: ''
        mkdir -p "$out/$(dirname ${lib.escapeShellArg e.name})"
        ln -s ${lib.escapeShellArg "${e.path}"} "$out/"${lib.escapeShellArg e.name}
      '') pairs
    );
}
