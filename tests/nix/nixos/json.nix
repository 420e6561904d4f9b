# The JSON format of settings files: its type as an option, and its text with one key a line, so
# that a change of a rendered file can be read. Not a parser.
{ lib }:
let
  inherit (lib) types;

  value =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
        types.path
        (types.attrsOf value)
        (types.listOf value)
      ]
    )
    // {
      description = "JSON value";
    };

  block =
    open: close: indent: entries:
    if entries == [ ] then
      open + close
    else
      "${open}\n"
      + lib.concatStringsSep ",\n" (map (entry: "${indent}  ${entry}") entries)
      + "\n${indent}${close}";

  print =
    indent: v:
    let
      deeper = print "${indent}  ";
    in
    if lib.isList v then
      block "[" "]" indent (map deeper v)
    else if lib.isAttrs v && !(v ? outPath) then
      block "{" "}" indent (lib.mapAttrsToList (name: x: "${builtins.toJSON name}: ${deeper x}") v)
    else
      builtins.toJSON v;
in
{
  type = value;
  pretty = print "";
}
