"""Making a model of the spec's own by the server that pulls (POST /api/create)."""

# ruff: noqa: PTH119
import os
from contextlib import closing
from pathlib import Path

from ollamactl.host import store
from ollamactl.modelname import ModelName
from ollamactl.pulling import recipe, staging
from ollamactl.pulling.moment import Moment, Phase, PullError, Watch
from ollamactl.pulling.recipe import Recipe
from ollamactl.pulling.server import Server


def make(made: Recipe, api: Server, place: staging.Staging, models_dir: str, *, others: bool, watch: Watch) -> bytes:
    """Makes a model beside the store; returns its manifest, which says what it was made from. Raises PullError.

    `others`: its files become everybody's to read, so they must be that already.
    """
    if made.problem or made.read is None:
        raise PullError(f"{made.model} cannot be made: {made.path}: {made.problem}", hint=f"look at {made.path}")
    if made.marks is None and made.base:
        raise PullError(
            f"{made.model} cannot be made: the store has no {made.base.short}, from which {made.path} makes it",
            hint=f"sudo ollamactl pull {made.base.short}",
        )
    body = {"model": made.model, **made.read.request}
    watch(Moment(model=made.model, phase=Phase.MAKING, words="reading what it is made from"))
    if made.base:
        data = store.read(Path(models_dir), wanted=[made.base])[made.base.short].data
        place.put(made.base, data)
        for digest, _ in staging.layers(data):
            place.lend(digest, uid=api.uid)
        body["from"] = made.base.short
    for key, paths in (("files", made.files), ("adapters", made.adapters)):
        if paths:
            body[key] = {os.path.basename(path): place.add(path, uid=api.uid, others=others) for path in paths}
    with closing(api.create(made.model, body)) as moments:
        for moment in moments:
            if moment.phase is not Phase.DONE:
                watch(moment)
    return recipe.marked(place.manifest(ModelName.parse(made.model)), made.marks or {})
