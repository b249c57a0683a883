import hashlib
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError
from frugalseg.models.build import build
from frugalseg.models.network import Network
from frugalseg.models.weights import check_state, load_encoder, match_keys, parse_safetensors, read_weights

THREE = ClassSet("three", tuple(SemanticClass(name, (0, 0, 0), (c,)) for c, name in enumerate("abc")))
State = dict[str, Tensor]


@pytest.fixture
def published() -> State:
    """What a trunk's file could hold."""
    return build("shuffle_lite", THREE, seed=7).encoder.state_dict()


@pytest.fixture
def network() -> Network:
    return build("shuffle_lite", THREE, seed=8)


def assert_loaded(network: Network, expected: State) -> None:
    own = network.encoder.state_dict()
    assert all(torch.equal(own[key], expected[key]) for key in own)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_both_kinds_load(network: Network, published: State, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trunk{suffix}"
    (torch.save if suffix == ".pth" else save_file)(published, path)
    load_encoder(network, path)
    assert_loaded(network, published)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"encoder.{key}": value for key, value in state.items()} | {"decoder.weight": torch.zeros(1)},
        lambda state: {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")},
        lambda state: state | {"fc.weight": torch.zeros(1000, 192), "conv5.0.weight": torch.zeros(1)},
    ],
    ids=["wrapped", "data parallel", "inside a network", "without counters", "with a classifier"],
)
def test_usual_wrappings_are_seen_through(
    network: Network, published: State, tmp_path: Path, wrap: Callable[[State], object]
) -> None:
    torch.save(wrap(published), tmp_path / "weights.pth")
    load_encoder(network, tmp_path / "weights.pth")
    assert_loaded(network, published)


def test_all_that_does_not_fit_is_listed_at_once(network: Network, published: State, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    del published["stage3.2.branch_main.0.weight"]
    published["stage2.4.branch_main.0.weight"] = torch.zeros(24, 24, 1, 1)  # as of a deeper sibling
    published["stage4.1.branch_main.1.bias"] = torch.zeros(7)
    published["stage4.2.branch_main.1.bias"] = torch.full((96,), float("nan"))
    published["stage4.3.branch_main.1.bias"] = torch.zeros(96, dtype=torch.int64)
    torch.save(published, path)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_encoder(network, path)
    assert str(caught.value).splitlines() == [
        f"{path}: these weights do not fit the network.",
        "  missing (1): stage3.2.branch_main.0.weight",
        "  unexpected (1): stage2.4.branch_main.0.weight",
        "  other shape (1): stage4.1.branch_main.1.bias (7,) for (96,)",
        "  other kind of number (1): stage4.3.branch_main.1.bias torch.int64 for torch.float32",
        "  not finite (1): stage4.2.branch_main.1.bias",
        "The network has 330 tensors, 329 of them are in the file.",
    ]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_long_lists_are_cut() -> None:
    with pytest.raises(ModelError, match=r"missing \(9\): k0, k1, k2, k3, k4 and 4 more"):
        check_state({}, {f"k{number}": torch.zeros(1) for number in range(9)}, "here")


def test_weights_of_half_precision_are_widened(network: Network, published: State, tmp_path: Path) -> None:
    halved = {key: value.half() if value.is_floating_point() else value for key, value in published.items()}
    torch.save(halved, tmp_path / "half.pth")
    load_encoder(network, tmp_path / "half.pth")
    assert network.encoder.state_dict()["first_conv.0.weight"].dtype == torch.float32


def test_colour_weights_suit_images_of_five_bands(published: State, tmp_path: Path) -> None:
    torch.save(published, tmp_path / "trunk.pth")
    first = build("shuffle_lite", THREE, 5, weights=tmp_path / "trunk.pth").encoder.state_dict()["first_conv.0.weight"]
    assert torch.equal(first[:, :3], published["first_conv.0.weight"])
    assert not first[:, 3:].any()


def test_depthwise_weights_are_not_taken_for_a_first_convolution(published: State, tmp_path: Path) -> None:
    """Both have one input channel in a network for grey images."""
    published["stage2.0.branch_main.3.weight"] = published["stage2.0.branch_main.3.weight"].repeat(1, 2, 1, 1)
    torch.save(published, tmp_path / "trunk.pth")
    with pytest.raises(ModelError, match=r"stage2.0.branch_main.3.weight \(24, 2, 3, 3\) for \(24, 1, 3, 3\)"):
        build("shuffle_lite", THREE, 1, weights=tmp_path / "trunk.pth")


@pytest.mark.parametrize("encoder", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_a_file_from_timm_fits_timms_encoder(encoder: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = timm.create_model(encoder).state_dict()  # with its classifier; stages.0 where features have stages_0
    save_file(whole, tmp_path / "timm.safetensors")
    network = build(f"unet:{encoder}", THREE, weights=tmp_path / "timm.safetensors")
    by_plain_name = {key.replace(".", "_"): value for key, value in whole.items()}
    own = network.encoder.state_dict()
    assert own
    for key, value in own.items():
        assert torch.equal(value, by_plain_name[key.removeprefix("model.").replace(".", "_")]), key


def test_keys_of_the_encoders_own_parts_are_kept_even_if_unknown() -> None:
    own = {"model.stages_0.weight": torch.zeros(1)}
    state = {"stages.0.weight": torch.ones(1), "stages.1.weight": torch.ones(2), "head.weight": torch.ones(3)}
    assert set(match_keys(state, own)) == {"model.stages_0.weight", "stages.1.weight"}


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_bomb_does_not_go_off(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    torch.save({"first_conv.0.weight": Bomb(tmp_path / "exploded")}, path)
    with pytest.raises(ModelError, match="could run code. Nothing was run"):
        read_weights(path)
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_that_names_a_class_to_import_is_refused(tmp_path: Path) -> None:
    """Not even the import happens: reading the module's name is all that is done with it."""
    module = tmp_path / "imported_by_a_checkpoint.py"
    module.write_text("import pathlib\npathlib.Path(__file__).with_name('imported').touch()\nclass Net: pass\n")
    pickled = b"\x80\x02cimported_by_a_checkpoint\nNet\nq\x00)\x81q\x01."
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little"}.items():
            archive.writestr(f"net/{name}", content)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ModelError, match="could run code. Nothing was run"):
            read_weights(path)
    finally:
        sys.path.remove(str(tmp_path))
    assert "imported_by_a_checkpoint" not in sys.modules
    assert not (tmp_path / "imported").exists()


def repacked(path: Path, edit: Callable[[str, bytes], bytes], packing: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in parts.items():
            archive.writestr(name, edit(name, content))


def test_a_flipped_bit_is_found_although_torch_does_not_look(tmp_path: Path) -> None:
    path = tmp_path / "flipped.pth"
    torch.save({"weight": torch.full((64,), 0.5)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((64,), 0.5).numpy().tobytes()) + 7] ^= 1
    path.write_bytes(content)
    assert float(torch.load(path, weights_only=True)["weight"][1]) != 0.5
    with pytest.raises(ModelError, match=r"flipped/data/0 in it is not what was saved \(its checksum differs\)"):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_hash_in_a_published_name_is_checked(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"trunk{suffix}"
    (torch.save if suffix == ".pth" else save_file)({"weight": torch.zeros(3)}, whole)
    sha256 = hashlib.sha256(whole.read_bytes()).hexdigest()
    good, bad = tmp_path / f"trunk-{sha256[:16]}{suffix}", tmp_path / f"trunk-0676ba61{suffix}"
    dated = tmp_path / f"trunk-20260131{suffix}"
    for copy in (good, bad, dated):
        copy.write_bytes(whole.read_bytes())
    assert read_weights(good).keys() == read_weights(dated).keys() == {"weight"}
    with pytest.raises(ModelError, match=f"begins with 0676ba61, but that begins with {sha256[:8]}(.|\n)*rename it"):
        read_weights(bad)


def test_storage_of_800_gb_in_a_small_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claim.pth"
    torch.save({"weight": torch.zeros(4)}, path)
    many = b"\x8a\x06" + (200_000_000_000).to_bytes(6, "little")  # a long of the pickle protocol

    def claim(name: str, content: bytes) -> bytes:
        claimed = content.replace(b"K\x04tq", many + b"tq").replace(b"K\x04\x85q", many + b"\x85q")
        assert not name.endswith("data.pkl") or claimed != content
        return claimed if name.endswith("data.pkl") else content

    repacked(path, claim)
    with pytest.raises(ModelError, match="claim.pth: damaged, or no weights file"):
        read_weights(path)


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    torch.save({"weight": torch.zeros(1000)}, path)
    repacked(path, lambda _, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="is compressed, which torch.save never does"):
        read_weights(path)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (torch.zeros(24).to_sparse(), "not plain numbers"),
        (torch.zeros(24, device="meta"), "not plain numbers"),
        (torch.zeros(1).expand(10**13), r"other shape \(1\)"),  # 40 TB if anybody looks inside
        (torch.full((24,), 1e300, dtype=torch.float64), "not finite"),
        (torch.zeros(24, dtype=torch.complex64), "other kind of number"),
    ],
    ids=["sparse", "meta", "expanded", "too large for float32", "complex"],
)
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_tensors_that_are_no_plain_arrays_are_listed(
    network: Network, published: State, tmp_path: Path, odd: Tensor, message: str
) -> None:
    published["first_conv.1.bias"] = odd
    torch.save(published, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=f"{message}.*first_conv.1.bias"):
        load_encoder(network, tmp_path / "odd.pth")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_a_first_convolution_that_cannot_be_adapted_is_listed(published: State, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    for odd in (published["first_conv.0.weight"].to_sparse(), torch.zeros(1).expand(10**9, 3, 3, 3)):
        torch.save(published | {"first_conv.0.weight": odd}, path)
        with pytest.raises(ModelError, match=r"other shape \(1\): first_conv.0.weight"):
            build("shuffle_lite", THREE, 5, weights=path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"not a weights file", "Nothing was run|damaged"),
    ],
)
def test_files_that_hold_no_weights_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_weights(path)


def test_a_truncated_file_is_refused(published: State, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save(published, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cut.pth: damaged"):
        read_weights(path)


@pytest.mark.parametrize("value", [torch.zeros(2), {"epoch": 3}, [torch.zeros(2)]])
def test_other_objects_are_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match="expected a dictionary of tensors by name"):
        read_weights(tmp_path / "odd.pth")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(ModelError, match="there is no such weights file"):
            read_weights(path)


def with_header(header: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc", "header claims 0 bytes"),
        (struct.pack("<Q", 100_000_000) + b"{}", "header claims 100,000,000 bytes"),
        (struct.pack("<Q", 2**63) + b"{}", "header claims"),
        (save({"a": torch.zeros(4)})[:-3], "damaged safetensors file"),
        (
            with_header(
                '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
                bytes(6),
            ),
            "damaged safetensors file",
        ),
        (with_header('{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}', bytes(4)), "damaged"),
    ],
    ids=["short", "header of 100 MB", "header of 8 EB", "truncated", "overlapping", "shape beyond its data"],
)
def test_damaged_safetensors_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_safetensors(content, "here")
