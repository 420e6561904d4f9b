# How the modules name their own options in messages, and how the text of a message is joined. Not a
# module: plain functions.
{ lib }:
rec {
  option = name: "services.hybrid-ai.${name}";
  setting = name: option "coordinator.settings.${name}";

  # The names in a message are of any length, so it is the terminal that breaks its lines.
  joined = text: lib.replaceStrings [ "\n" ] [ " " ] (lib.trim text);
  assertion = given: given // { message = joined given.message; };
}
