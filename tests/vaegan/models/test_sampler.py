import pytest
import torch

from vaegan.errors import UserError
from vaegan.models import build_model
from vaegan.models.autoencoder import Sampler
from vaegan.models.density import Density

from ...tiny import tiny


def test_where_the_density_is_the_prior_its_codes_are_the_priors() -> None:
    model = build_model(tiny("vae").model, (1, 8, 8), 0)
    unit = Density("gaussian", 9, torch.ones(1).double(), torch.zeros(1, 4).double(), torch.eye(4).double()[None])
    assert torch.equal(Sampler(model, 8, unit).draw_codes(3, 30), model.draw_prior_codes(3, 30, 8))
    assert torch.equal(model.sample(9, 8, unit), model.sample(9, 8))
    assert Sampler(model.double(), 8, unit).draw_codes(0, 2).dtype == torch.float64


def test_images_are_those_of_the_model_and_each_is_its_own_whatever_the_range() -> None:
    model = build_model(tiny("vae").model, (1, 8, 8), 0)
    sampler = Sampler(model, 3)
    images = torch.cat([sampler.draw(0, 4), sampler.draw(4, 4), sampler.draw(4, 9)])
    torch.testing.assert_close(images, model.sample(9, 3))
    assert not torch.equal(images, model.sample(9, 4))


def test_the_source_is_the_density_or_else_the_prior() -> None:
    vae, ae = (build_model(tiny(name).model, (1, 8, 8), 0) for name in ("vae", "ae"))
    unit = Density("gaussian", 9, torch.ones(1).double(), torch.zeros(1, 4).double(), torch.eye(4).double()[None])
    assert [Sampler(model).source for model in (vae, ae)] == ["N(0, I)", None]
    assert {Sampler(model, 0, unit).source for model in (vae, ae)} == {"Gaussian, fitted to 9 codes"}
    with pytest.raises(UserError, match="no prior"):
        Sampler(ae).draw(0, 1)
