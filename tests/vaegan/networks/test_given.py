"""Given modules take the place of the built networks, and are described by their class and weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vaegan.config.schema import NetworksConfig
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.networks.given import GivenDiscriminator, add_networks, describe_networks
from vaegan.trainers import train
from vaegan.trainers.steps import build_step

from ...own_networks import OwnDiscriminator, build_own_networks
from ...tiny import ADVERSARIES, FAMILY_OPTIONS, LOOP_OPTIONS, VECTORS, load_newest, tiny


class Wrapped(nn.Module):
    """A network of the toolkit as a user could have written it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        if hasattr(self.network, "pre_tanh"):
            return self.network.pre_tanh(inputs, labels)
        if hasattr(self.network, "trunk") and hasattr(self.network, "layer"):
            return tuple(self.network(inputs, None, labels)[:2])
        return self.network(inputs, labels)

    def get_last_layer(self) -> Tensor:
        return self.network.get_last_layer()


@pytest.mark.parametrize("name", VECTORS)
def test_the_built_networks_given_as_modules_train_the_same_bits(name: str, tmp_path: Path) -> None:
    """With labels, spectral norm and the adaptive weight, as far as the family has them."""
    options = [*LOOP_OPTIONS, *(word.replace("auxiliary", "none") for word in FAMILY_OPTIONS.get(name, ()))]
    if name == "vaegan3":  # the term of a built discriminator alone
        options += ["model.adversarial.instance=0", "model.discriminator.instance_layers=[]"]
    options += ["model.discriminator.projected_layers=[]"] if name == "ganvae" else []
    config = tiny(name, *options)
    autoencoder, *others = build_step(config).build_networks().values()
    networks = {"encoder": Wrapped(autoencoder.encoder), "decoder": Wrapped(autoencoder.decoder)}
    if name in ADVERSARIES:
        networks["discriminator"] = Wrapped(*others)
    data = open_data(config.data)
    own = tiny(name, *options, *(["model.discriminator.spectral_norm=false"] if name in ADVERSARIES else []))
    built, given = train(config, tmp_path / "built", data), train(own, tmp_path / "given", data, networks=networks)
    assert built.history_file.read_bytes() == given.history_file.read_bytes()
    one, two = load_newest(built.path).tensors, load_newest(given.path).tensors
    assert one.keys() == two.keys()
    for file in one:
        new = {key.replace("module.network.", ""): value for key, value in two[file].items()}
        assert new.keys() == one[file].keys() and all(torch.equal(new[key], one[file][key]) for key in new), file


def test_modules_are_described_by_their_classes_and_weights() -> None:
    networks = build_own_networks()
    described = describe_networks(networks)
    assert described == describe_networks(build_own_networks()) != describe_networks(build_own_networks(seed=1))
    assert described.discriminator.class_name == "OwnDiscriminator"
    assert add_networks(tiny("vaegan3"), networks).networks == described
    assert add_networks(tiny("vaegan3"), None) == tiny("vaegan3")
    assert described.select("encoder") == NetworksConfig(encoder=described.encoder)
    assert NetworksConfig(encoder=described.encoder).select("decoder", "discriminator") is None


def test_a_config_keeps_the_networks_that_are_not_given() -> None:
    """The config.yaml of a run is a config, too, and its discriminator must not become a built one without a word."""
    networks = build_own_networks()
    config, decoder = add_networks(tiny("vaegan3"), networks), build_own_networks(seed=1)["decoder"]
    changed = add_networks(config, {"decoder": decoder})
    assert changed.networks.discriminator == config.networks.discriminator
    assert changed.networks.decoder == describe_networks({"decoder": decoder}).decoder
    with pytest.raises(UserError, match=r"^networks\.encoder: a OwnEncoder is given in Python alone"):
        build_step(changed, {"decoder": decoder})


def test_a_frozen_parameter_changes_the_hash() -> None:
    networks = build_own_networks()
    trained = describe_networks(networks)
    networks["encoder"].head.bias.requires_grad_(False)
    assert describe_networks(networks).encoder != trained.encoder
    assert describe_networks(networks).decoder == trained.decoder


def test_networks_share_no_trained_weight() -> None:
    """Each is copied for itself, so that the weight would be two."""
    encoder, decoder = nn.Linear(3, 3), nn.Linear(3, 3)
    decoder.weight = encoder.weight
    with pytest.raises(UserError, match=r"^networks: decoder: weight of the encoder and weight share their memory; "):
        describe_networks({"encoder": encoder, "decoder": decoder})
    encoder.weight.requires_grad_(False)
    describe_networks({"encoder": encoder, "decoder": decoder})


def test_every_change_of_the_weights_changes_their_hash() -> None:
    class Weights(nn.Module):
        def __init__(self, **tensors: Tensor) -> None:
            super().__init__()
            for name, tensor in tensors.items():
                self.register_buffer(name, tensor)

    values = torch.arange(6.0)
    changed = (
        {"a": values}, {"b": values}, {"a": values.view(2, 3)}, {"a": values.double()}, {"a": values + 1e-6},
        {"a": values, "b": values + 0}, {"a": values.bfloat16()}, {"a": values > 2}, {"a": torch.zeros(0)},
        {"a": torch.zeros(1)}, {"a": torch.zeros(1, dtype=torch.int32)},
    )  # fmt: skip
    hashes = {describe_networks({"encoder": Weights(**tensors)}).encoder.sha256 for tensors in changed}
    assert len(hashes) == len(changed)


class Extra(nn.Linear):
    def get_extra_state(self) -> str:
        return "not a tensor"


def tie(module: nn.Sequential) -> nn.Sequential:
    module[1].weight = module[0].weight
    return module


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        (nn.Linear(1, 1), "networks: not a mapping"),
        ({"generator": nn.Linear(1, 1)}, "networks: generator: unknown; allowed: encoder, decoder, discriminator"),
        ({"decoder": nn.Linear}, "networks: decoder: no torch.nn.Module but the class Linear; call it"),
        ({"decoder": "digits/vae"}, "networks: decoder: no torch.nn.Module but str"),
        ({"decoder": nn.LazyLinear(3)}, "has lazy layers without weights"),
        ({"decoder": Extra(1, 1)}, "_extra_state of its state dict is no tensor"),
        ({"decoder": tie(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))}, "0.weight and 1.weight share their memory"),
    ],
)
def test_what_is_no_module_or_cannot_be_saved_is_refused(networks: object, words: str) -> None:
    with pytest.raises(UserError) as caught:
        describe_networks(networks)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_module_that_cannot_be_copied_is_refused() -> None:
    module = nn.Linear(3, 3)
    module.cache = module.weight * 2  # with a graph, as old weight norms keep it
    for wrong in (module, torch.jit.script(nn.Linear(3, 3))):
        with pytest.raises(UserError, match=r"networks: encoder: cannot be copied by copy.deepcopy"):
            describe_networks({"encoder": wrong})


def test_a_given_discriminator_has_scores_in_the_type_of_the_images_under_autocast() -> None:
    module = OwnDiscriminator(None, 3)
    images = torch.rand(2, 1, 8, 8) * 2 - 1
    fine, coarse = (GivenDiscriminator(module, takes_labels=False)(images, dtype) for dtype in (None, torch.bfloat16))
    assert coarse.scores.dtype == coarse.features.dtype == torch.float32
    assert 0 < (fine.scores - coarse.scores).abs().max() < 0.1
