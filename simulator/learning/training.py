"""The tasks that every site can do on its own: initial weights and local epochs."""

from simulator.api import Bundle, TaskContext
from simulator.learning.context import Context
from simulator.learning.models import init_seed, new_weights


def initial(ctx: Context, *, member: int = 0) -> Bundle:
    """Fresh weights: equal at all sites, or the site's own if the scenario says ``independent``.

    ``member`` numbers networks that begin with different weights at the same place.
    """
    seed = init_seed(ctx.seed, ctx.site, shared=ctx.recipe.init == "shared", member=member)
    return Bundle(arrays=new_weights(ctx.spec, seed))


def train(ctx: TaskContext, model: Bundle, *, epochs: int, first_epoch: int) -> Bundle:
    """Local epochs on the site's own training cases; continues the optimizer's state.

    Meta: ``loss``, the mean supervised loss of each epoch, and ``steps``.

    Raises:
        Diverged: a loss or parameter is not finite.
    """
    return ctx.train(model, epochs=epochs, first_epoch=first_epoch)


def train_pooled(ctx: TaskContext, model: Bundle, *, epochs: int, first_epoch: int) -> Bundle:
    """The same on the union of all sites' training cases, which the context of this task holds."""
    return ctx.train(model, epochs=epochs, first_epoch=first_epoch)
