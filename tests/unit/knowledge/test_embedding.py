"""The bundled embedder, with its real model."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hybrid_coordinator.errors import EmbeddingError, SettingsError
from hybrid_coordinator.knowledge.embedder_files import locate
from hybrid_coordinator.knowledge.embedding import BUNDLED_CALIBRATION, FastembedEmbedder
from hybrid_coordinator.settings import Collection, EmbedderSettings
from hybrid_coordinator.telemetry.metrics import Metrics


async def test_a_vector_has_the_size_and_length_1(embedder: FastembedEmbedder) -> None:
    vector = await embedder.embed_query("What is NixOS?")
    assert vector.shape == (embedder.size,) == (384,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


async def test_what_means_the_same_is_nearer_than_what_does_not(
    embedder: FastembedEmbedder,
) -> None:
    question, same, other = [
        await embedder.embed_query(text)
        for text in (
            "How do I undo a commit?",
            "What is the way to revert the last commit?",
            "Best pizza dough recipe",
        )
    ]
    floor = embedder.calibration.floor(Collection.BEST_PRACTICES)
    assert question @ same > floor > question @ other


async def test_questions_asked_at_once_get_the_vectors_they_would_get_alone(
    embedder: FastembedEmbedder,
) -> None:
    texts = [f"question number {n} about {'many ' * n}things" for n in range(12)]
    together = await asyncio.gather(*(embedder.embed_query(text) for text in texts))
    alone = await embedder.embed_documents(texts)
    assert np.stack(together) == pytest.approx(alone, abs=1e-4)


async def test_no_documents_give_an_empty_matrix(embedder: FastembedEmbedder) -> None:
    assert (await embedder.embed_documents([])).shape == (0, embedder.size)


@pytest.mark.parametrize("text", ["", "  \n\t"])
async def test_an_empty_text_is_an_error(embedder: FastembedEmbedder, text: str) -> None:
    with pytest.raises(EmbeddingError, match="empty"):
        await embedder.embed_query(text)
    with pytest.raises(EmbeddingError, match="empty"):
        await embedder.embed_documents(["fine", text])


@pytest.mark.parametrize("text", ["a\ud800b", "\x00", "🙂" * 100, "word " * 100_000, "x" * 50_000])
async def test_strange_and_long_texts_are_embedded(embedder: FastembedEmbedder, text: str) -> None:
    assert np.linalg.norm(await embedder.embed_query(text)) == pytest.approx(1.0, abs=1e-5)


def test_tokens_are_counted_to_the_end_of_the_text(embedder: FastembedEmbedder) -> None:
    assert embedder.count_tokens("") == 0
    assert embedder.count_tokens("one two three") == 3
    assert embedder.count_tokens("word " * 5000) == 5000


@pytest.mark.parametrize("broken", [np.zeros(384), np.full(384, np.nan), np.full(384, np.inf)])
async def test_lesson_2_a_zero_or_broken_vector_is_an_error_and_never_returned(
    tmp_path: Path, broken: np.ndarray
) -> None:
    made = FastembedEmbedder(EmbedderSettings(), tmp_path)
    await made.start()

    class Broken:
        def query_embed(self, texts: Sequence[str]) -> list[np.ndarray]:
            return [broken for _ in texts]

        passage_embed = query_embed

    made._model = Broken()
    with pytest.raises(EmbeddingError, match="nothing is stored"):
        await made.embed_query("a question")
    with pytest.raises(EmbeddingError, match="nothing is stored"):
        await made.embed_documents(["a text"])
    await made.aclose()


async def test_lesson_1_a_vector_of_another_size_is_an_error(tmp_path: Path) -> None:
    made = FastembedEmbedder(EmbedderSettings(), tmp_path)
    await made.start()

    class Shorter:
        def query_embed(self, texts: Sequence[str]) -> list[np.ndarray]:
            return [np.ones(5) for _ in texts]

    made._model = Shorter()
    with pytest.raises(EmbeddingError, match="5 dimensions, not 384"):
        await made.embed_query("a question")
    await made.aclose()


async def test_recent_texts_are_remembered_and_the_memory_is_bounded(tmp_path: Path) -> None:
    metrics = Metrics()
    made = FastembedEmbedder(EmbedderSettings(memory=2), tmp_path, metrics)
    await made.start()

    def remembered() -> float:
        labels = {"source": "memory"}
        return metrics.registry.get_sample_value("hybrid_embedded_texts_total", labels) or 0.0

    first = await made.embed_query("one")
    assert await made.embed_query("one") is first
    assert remembered() == 1
    await made.embed_query("two")
    await made.embed_query("three")
    await made.embed_query("one")
    assert remembered() == 1, "it had left to make room"
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1.0
    await made.aclose()


async def test_a_closed_embedder_says_so(tmp_path: Path) -> None:
    made = FastembedEmbedder(EmbedderSettings(), tmp_path)
    with pytest.raises(EmbeddingError, match="not started"):
        await made.embed_query("x")
    with pytest.raises(EmbeddingError, match="not started"):
        made.count_tokens("x")


async def test_lesson_3_thresholds_of_an_unknown_model_are_derived_when_it_starts(
    embedder: FastembedEmbedder, tmp_path: Path
) -> None:
    """A folder with the bundled model under another name: its own derivation must come close."""
    files = locate(EmbedderSettings(), tmp_path)
    assert files is not None
    folder = tmp_path / "custom"
    folder.mkdir()
    for file in files.folder.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    made = FastembedEmbedder(EmbedderSettings(model=str(folder)), tmp_path)
    await made.start()
    derived, bundled = made.calibration, BUNDLED_CALIBRATION
    assert made.name == "custom"
    assert derived.origin.startswith("derived at start")
    assert derived.prose == pytest.approx(bundled.prose, abs=0.08)
    assert derived.code == pytest.approx(bundled.code, abs=0.08)
    assert embedder.calibration == bundled
    await made.aclose()


async def test_a_model_that_cannot_be_loaded_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no/such-model") as raised:
        await FastembedEmbedder(EmbedderSettings(model="no/such-model"), tmp_path).start()
    assert raised.value.field == "embedder.model"


async def test_without_fastembed_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name == "fastembed":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(SettingsError, match="'embeddings'"):
        await FastembedEmbedder(EmbedderSettings(), tmp_path).start()


def test_the_bundled_models_folder_is_assembled_once_and_from_links(tmp_path: Path) -> None:
    first = locate(EmbedderSettings(), tmp_path)
    again = locate(EmbedderSettings(), tmp_path)
    assert first == again
    assert first is not None
    assert first.folder == tmp_path / "models" / "embedder"
    assert (first.folder / "model.onnx").is_symlink()
    config = json.loads((first.folder / "tokenizer_config.json").read_text())
    assert config["model_max_length"] == 256
    assert {path.name for path in first.folder.iterdir()} <= {
        "model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
        "config.json",
        "special_tokens_map.json",
    }


def test_a_folder_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = locate(EmbedderSettings(), tmp_path)
    assert files is not None
    monkeypatch.setenv("HYBRID_EMBEDDER_PATH", str(files.folder))
    found = locate(EmbedderSettings(), tmp_path / "elsewhere")
    assert found is not None
    assert found.folder == files.folder
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_lacks_files_is_refused_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    with pytest.raises(SettingsError, match=r"lacks tokenizer\.json") as raised:
        locate(EmbedderSettings(folder=tmp_path), tmp_path)
    assert raised.value.field == "embedder.folder"
