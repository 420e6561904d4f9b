# What some strings refer to in the store, directly or by way of other files: { files; links; },
# each { name of the store path = { path inside it, "" for itself = text, or where the link leads
# } }. The store is read while evaluating, so this needs a Nix that may write to it. Packages of
# the harness have no file and are not found here.
{ lib }:
strings:
let
  plain = builtins.unsafeDiscardStringContext;
  contextOf = string: builtins.attrNames (builtins.getContext string);

  # A derivation is named by its .drv in a context; its outputs are what is referred to.
  pathsOf =
    string:
    lib.concatMap (
      key:
      let
        entry = (builtins.getContext string).${key};
      in
      if entry ? outputs then
        map (output: (import key).${output}.outPath) entry.outputs
      else
        [ (builtins.appendContext key { ${key}.path = true; }) ]
    ) (contextOf string);

  # Nix itself does not tell where a symbolic link leads.
  targetOf =
    path:
    lib.removeSuffix "\n" (
      builtins.readFile (derivation {
        name = "target";
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [
          "-euc"
          "readlink ${lib.escapeShellArg path} > $out"
        ];
        # Of Debian, and of NixOS.
        PATH = "/usr/bin:/bin:/run/current-system/sw/bin";
      })
    );

  # [ { inside; kind; text; } ] of everything in a store path.
  read =
    path: inside:
    let
      full = "${path}${inside}";
      kind = builtins.readFileType full;
    in
    if kind == "directory" then
      lib.concatMap (name: read path "${inside}/${name}") (lib.attrNames (builtins.readDir full))
    else
      [
        {
          inherit inside kind;
          text = if kind == "symlink" then targetOf full else builtins.readFile full;
        }
      ];

  node = path: {
    key = plain path;
    entries = read path "";
  };

  closure = builtins.genericClosure {
    startSet = map node (lib.concatMap pathsOf strings);
    operator = item: map node (lib.concatMap pathsOf (map (entry: entry.text) item.entries));
  };

  select =
    wanted:
    lib.filterAttrs (_: inside: inside != { }) (
      lib.listToAttrs (
        map (
          item:
          lib.nameValuePair (baseNameOf item.key) (
            lib.listToAttrs (
              map (entry: lib.nameValuePair entry.inside (plain entry.text)) (
                lib.filter (entry: wanted entry.kind) item.entries
              )
            )
          )
        ) closure
      )
    );
in
{
  files = select (kind: kind != "symlink");
  links = select (kind: kind == "symlink");
}
