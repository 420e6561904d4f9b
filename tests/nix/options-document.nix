# docs/options.md: every option below services.hybrid-ai with its type, default, example and
# description, from the options alone. Nothing of this machine is in it.
{
  lib ? import (builtins.getEnv "NIXPKGS_LIB" + "/lib"),
  modules ? [ ../../modules ],
}:
let
  inherit (import ./evaluate.nix { inherit lib modules; }) options;

  shown = lib.filter (option: option.visible && !option.internal) (
    lib.optionAttrSetToDocList { inherit (options.services) hybrid-ai; }
  );
  sorted = lib.sort (a: b: a.name < b.name) shown;

  # Descriptions are written in nixpkgs' dialect of Markdown: {option}`x` is `x` elsewhere. Texts that
  # were put together have empty lines to spare.
  markdown =
    text:
    lib.replaceStrings
      [ "{option}`" "{file}`" "{command}`" "{env}`" "\n\n\n" ]
      [ "`" "`" "`" "`" "\n\n" ]
      text;

  # The value as Nix text: in the line where it is short, else as a block.
  valueOf = value: lib.removeSuffix "\n" (value.text or (lib.generators.toPretty { } value));
  entry =
    label: value:
    let
      text = valueOf value;
    in
    if value._type or "" == "literalMD" then
      "- ${label}: ${text}\n"
    else if lib.hasInfix "\n" text then
      "- ${label}:\n\n"
      + lib.concatMapStrings (line: "  ${line}\n") (
        [ "```nix" ] ++ lib.splitString "\n" text ++ [ "```" ]
      )
    else
      "- ${label}: `${text}`\n";

  section = option: ''
    ## `${option.name}`

    ${markdown (lib.removeSuffix "\n" (option.description.text or option.description))}

    - Type: ${option.type}${lib.optionalString option.readOnly " (read only)"}
    ${lib.optionalString (option ? default) (entry "Default" option.default)}${
      lib.optionalString (option ? example) (entry "Example" option.example)
    }'';
in
''
  # Options of `services.hybrid-ai`

  Made by `make render` from `modules/`; change the options there. What `coordinator.settings` may
  contain besides is in `coordinator/settings.schema.json`.

''
+ lib.concatMapStringsSep "\n" section sorted
