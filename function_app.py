"""The function app: registers the blueprints of triggers, orchestrators and activities, and nothing else."""

from __future__ import annotations

import azure.durable_functions as df
import azure.functions as func

from activities.registry import blueprint as activities
from orchestrators.registry import blueprint as orchestrators
from shared.config import validate_at_start
from triggers.registry import blueprint as triggers

validate_at_start()

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in (triggers, orchestrators, activities):
    app.register_functions(blueprint)
